import { storeSuite } from '@sluice/testing';
import type { Redis } from 'ioredis';
import { describe, test } from 'vitest';
import { conforms } from './support/conforms.ts';
import { withServer } from './support/server.ts';
import { timedStore } from './support/timed-store.ts';

let redis: Redis;
withServer((client) => {
  redis = client;
});

describe('a RedisStore', () => {
  conforms(
    () => redis,
    () => redis.flushall(),
  );
});

describe.each([
  ['each call by itself', false],
  ['all calls of one time together', true],
])('the scripts of a RedisStore, at a time that a test sets, %s', (_title, isTogether) => {
  storeSuite(test, {
    async create(clock) {
      await redis.flushall();
      return { store: timedStore(redis, clock, isTogether) };
    },
  });
});
