import { SluiceError } from '@sluice/core';
import { Redis } from 'ioredis';
import { createClient } from 'redis';
import { afterAll, describe, expect, it } from 'vitest';
import { fromNodeRedis, type RedisClient, RedisStore } from '../src/index.ts';

const redis = new Redis({ lazyConnect: true });
afterAll(() => redis.disconnect());

/** What a wrong call is told. */
function told(wrong: () => unknown): string {
  try {
    wrong();
  } catch (error) {
    expect(error).toBeInstanceOf(SluiceError);
    return `${(error as SluiceError).code}: ${(error as SluiceError).message}`;
  }
  return 'nothing';
}

const wrongOptions: readonly [options: unknown, message: RegExp][] = [
  [{}, /^INVALID_OPTION: RedisStore needs 'instances': how many processes.*Write 1 .*onError: 'deny'/],
  [
    undefined,
    /^INVALID_OPTION: RedisStore takes an object of options, like new RedisStore\(redis, \{ instances: 4 \}\)/,
  ],
  [null, /^INVALID_OPTION: RedisStore takes an object/],
  [{ instances: undefined }, /needs 'instances'/],
  [{ instances: 0 }, /^INVALID_OPTION: .*'instances' must be .*got 0/],
  [{ instances: 1.5 }, /'instances' must be .*got 1\.5/],
  [{ instances: Number.NaN }, /'instances' must be .*got NaN/],
  [{ instances: '4' }, /'instances' must be .*got "4"/],
  [{ instances: -1, onError: 'deny' }, /'instances' must be/],
  [{ instance: 4 }, /^UNKNOWN_OPTION: RedisStore has no option "instance"\. Did you mean "instances"\?/],
  [{ instances: 1, onError: 'open' }, /: RedisStore: 'onError' is one of 'fallback', 'allow', .*'throw'; got "open"/],
  [{ instances: 1, onError: 'fallback ' }, /: RedisStore: 'onError' is one of .*; got "fallback "/],
  [{ instances: 1, onError: null }, /'onError' is one of .*; got null/],
  [{ instances: 1, indivisible: 'open' }, /'indivisible' is 'deny' or 'allow'; got "open"/],
  [{ onError: 'deny', indivisible: 'allow' }, /'indivisible' .*onError: 'deny' there are no shares\. Leave it out, or/],
  [{ onError: 'throw', instances: 4, indivisible: 'deny' }, /'indivisible' .*onError: 'throw' there are no shares/],
  [{ instances: 1, deadline: 0 }, /^INVALID_WINDOW: RedisStore: 'deadline' must be .*from 1 ms to a minute; got 0/],
  [{ instances: 1, deadline: '50' }, /'deadline' must be/],
  [{ instances: 1, deadline: Number.POSITIVE_INFINITY }, /'deadline' must be/],
  [
    { instances: 1, deadline: '2m' },
    /^INVALID_WINDOW: RedisStore: 'deadline' must be .*from 1 ms to a minute; got "2m"/,
  ],
  [{ instances: 1, prefix: '' }, /'prefix' must be 1 to 64 characters/],
  [{ instances: 1, prefix: 'a{b}' }, /'prefix' must be .*got "a\{b\}"/],
  [{ instances: 1, prefix: 7 }, /'prefix' must be .*got 7/],
  [{ instances: 1, logger: {} }, /'logger' needs a method warn\(\), like console/],
  [{ instances: 1, logger: console.log }, /'logger' needs a method warn/],
  [{ instances: 1, onStateChange: 'log' }, /"onStateChange" must be a function/],
  [{ instances: 1, clock: Date }, /'clock' needs the methods/],
];

describe('a RedisStore', () => {
  it.each(wrongOptions)('refuses the options %j, and says what to do', (options, message) => {
    expect(told(() => new RedisStore(redis, options as never))).toMatch(message);
  });

  it('refuses what is no client, and says how to wrap one of node-redis', () => {
    const options = { instances: 1 };
    for (const wrong of [undefined, null, {}, 'redis://127.0.0.1', new Map()]) {
      expect(told(() => new RedisStore(wrong as unknown as RedisClient, options))).toMatch(/needs a client of ioredis/);
    }
    for (const wrong of [redis.pipeline(), redis.multi()]) {
      expect(told(() => new RedisStore(wrong as unknown as RedisClient, options))).toMatch(/Give the client itself/);
    }
    expect(told(() => new RedisStore({ sendCommand: () => {} } as unknown as RedisClient, options))).toMatch(
      /options of rate-limit-redis.*new RedisStore\(redis, \{ instances: 4 \}\)/,
    );
    const client = createClient();
    expect(told(() => new RedisStore(client as unknown as RedisClient, options))).toMatch(/fromNodeRedis\(client\)/);
    expect(told(() => fromNodeRedis(redis as never))).toMatch(/fromNodeRedis takes a client of node-redis/);
  });

  it('needs to know how many share it before a limiter may have it fall back', () => {
    const store = new RedisStore(redis, { onError: 'deny' });
    expect(told(() => store.answering('fallback'))).toMatch(/needs 'instances'/);
    expect(told(() => store.answering('allow'))).toBe('nothing');
  });
});
