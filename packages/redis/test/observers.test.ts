import { createLimiter, type Logger } from '@sluice/core';
import { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import { RedisServer } from '../../../test/support/redis/server.ts';
import { until } from '../../../test/support/redis/until.ts';
import { clientOptions, RedisStore } from '../src/index.ts';

const rejects = async () => {
  throw new Error('The pager cannot be reached');
};
const throws = () => {
  throw new Error('The pager cannot be reached');
};

it.each([
  ['rejects', rejects],
  ['throws', throws],
])('an observer or a log that %s harms neither a request nor the process', async (_title, fails) => {
  await using server = await RedisServer.start();
  const unhandled: unknown[] = [];
  const note = (reason: unknown) => void unhandled.push(reason);
  process.on('unhandledRejection', note);
  // Without the recommended options, so that there is something to be warned of.
  const redis = new Redis(server.url, { retryStrategy: clientOptions.retryStrategy });
  redis.on('error', () => {});
  const told: string[] = [];
  const logged: string[] = [];
  const logger: Logger = {
    warn: (message) => {
      logged.push(message);
      return fails();
    },
    info: (message) => {
      logged.push(message);
      return fails();
    },
  };
  const store = new RedisStore(redis, {
    instances: 1,
    logger,
    onStateChange: ({ to }) => {
      told.push(to);
      return fails();
    },
  });
  const limiter = createLimiter({ policies: '100/1h', store });
  await store.ready();
  await limiter.consume('alice');
  await server.kill();
  await until('the circuit is open', async () => {
    expect(await limiter.consume('alice')).toMatchObject({ allowed: true });
    return told.includes('open');
  });
  await server.restart();
  await until('Redis decides again', async () => (await limiter.consume('alice')).source === 'store');
  expect(told.at(-1)).toBe('closed');
  expect(logged.join('\n')).toMatch(/is set so.*fails.*answers again/s);
  await store.close();
  redis.disconnect();
  process.off('unhandledRejection', note);
  expect(unhandled).toEqual([]);
});
