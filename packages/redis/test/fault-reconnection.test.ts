import { createLimiter, systemClock } from '@sluice/core';
import { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import { RedisServer } from '../../../test/support/redis/server.ts';
import { until } from '../../../test/support/redis/until.ts';
import { connectionOf } from '../src/connection.ts';
import { clientOptions, RedisStore } from '../src/index.ts';
import { ScriptRunner } from '../src/script-runner.ts';
import { ScriptStore } from '../src/script-store.ts';
import { Scripts } from '../src/scripts/scripts.ts';
import { StoreKeys } from '../src/store-keys.ts';
import { oneServer } from '../src/topology.ts';

it('what is asked for while the connection is lost is not left to a server that may have lost its counts', async () => {
  await using server = await RedisServer.start();
  // Would be back long before the deadline.
  const redis = new Redis(server.url, { ...clientOptions, retryStrategy: () => 300 });
  const store = new RedisStore(redis, { instances: 1, deadline: '10s', logger: { warn() {} } });
  const limiter = createLimiter({ policies: '10/300d', store });
  await limiter.consume('alice', 9);

  redis.disconnect(true);
  await until('the connection is lost', async () => redis.status === 'reconnecting');
  await server.cli('FLUSHALL');
  const asked = await Promise.all(Array.from({ length: 5 }, () => limiter.consume('alice')));
  expect(asked.map(({ source }) => source)).toEqual(Array(5).fill('fallback'));
  expect(asked.filter(({ allowed }) => allowed)).toHaveLength(1);

  await until('Redis decides', async () => (await limiter.peek('bob')).source === 'store');
  expect(await limiter.consume('alice')).toMatchObject({ allowed: false, source: 'store' });
  await store.close();
  redis.disconnect();
});

it('probes that wait for a connection are one when it comes', async () => {
  await using server = await RedisServer.start();
  await server.kill();
  const redis = new Redis(server.url, clientOptions);
  redis.on('error', () => {});
  const runner = new ScriptRunner(redis, connectionOf(redis), {
    clock: systemClock,
    deadline: 10_000_000,
    sendsAgain: false,
  });
  const store = new ScriptStore(runner, new StoreKeys('ratelimit'), oneServer, new Scripts());
  const probes = Array.from({ length: 20 }, () => store.probe('redis'));
  await server.restart();
  await Promise.all(probes);
  expect(await server.cli('INFO', 'commandstats')).toMatch(/cmdstat_eval:calls=1,/);
  await store.probe('redis');
  expect(await server.cli('INFO', 'commandstats')).toMatch(/cmdstat_evalsha:calls=2,/);
  redis.disconnect();
});
