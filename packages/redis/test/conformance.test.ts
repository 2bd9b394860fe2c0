import { storeSuite } from '@sluice/testing';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { RedisServer } from '../../../test/support/redis/server.ts';
import { RedisStore } from '../src/index.ts';
import { timedStore } from './support/timed-store.ts';

let server: RedisServer;
let redis: Redis;
beforeAll(async () => {
  server = await RedisServer.start();
  redis = new Redis(server.url);
});
afterAll(async () => {
  redis.disconnect();
  await server.stop();
});

describe('a RedisStore', () => {
  storeSuite(test, {
    realTime: true,
    async create() {
      await redis.flushall();
      // So long that a busy machine does not make the answers another's.
      return { store: new RedisStore(redis, { onError: 'throw', deadline: '10s', logger: { warn() {} } }) };
    },
  });
});

describe('the scripts of a RedisStore, at a time that a test sets', () => {
  storeSuite(test, {
    async create(clock) {
      await redis.flushall();
      return { store: timedStore(redis, clock) };
    },
  });
});
