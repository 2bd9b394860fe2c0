import { createLimiter, Pipeline, type RateLimitOptions, type Verdict } from '@sluice/core';
import type { Redis } from 'ioredis';
import { beforeEach, describe, expect, it } from 'vitest';
import { type FakeRequest, fakeResponse, reader } from '../../core/test/http/exchange.ts';
import { RedisStore } from '../src/index.ts';
import { patient } from './support/conforms.ts';
import { withServer } from './support/server.ts';

let redis: Redis;
withServer((client) => {
  redis = client;
});
beforeEach(() => redis.flushall());

const storeOf = () => new RedisStore(redis, patient);

describe('limiters of two processes that share a Redis', () => {
  const limits = { policies: { limit: 10, window: '300d', algorithm: 'sliding-window-log' } } as const;

  it('count what is reserved at once, and give back what was not needed', async () => {
    const [one, other] = [
      createLimiter({ ...limits, store: storeOf() }),
      createLimiter({ ...limits, store: storeOf() }),
    ];
    const reservation = await one.reserve('alice', 8);
    expect(reservation.allowed).toBe(true);
    expect(await other.consume('alice', 3)).toMatchObject({ allowed: false, remaining: 2 });
    await reservation.commit(5);
    expect(await other.consume('alice', 5)).toMatchObject({ allowed: true, remaining: 0, source: 'store' });
    const cancelled = await other.reserve('bob', 10);
    await cancelled.cancel();
    expect(await one.peek('bob')).toMatchObject({ remaining: 10 });
  });

  it('charge what took more than was reserved', async () => {
    const limiter = createLimiter({ ...limits, store: storeOf() });
    const reservation = await limiter.reserve('alice', 2);
    await reservation.commit(6);
    expect(await limiter.peek('alice')).toMatchObject({ remaining: 4 });
  });

  it('let a waiter in when units are back, and never one too many', async () => {
    const policies = { limit: 20, window: '1s', burst: 2, algorithm: 'token-bucket' } as const;
    const limiters = [1, 2].map(() => createLimiter({ policies, store: storeOf() }));
    const grants = await Promise.all(
      limiters.flatMap((limiter) => Array.from({ length: 4 }, () => limiter.acquire('alice'))),
    );
    expect(grants.every(({ allowed, source }) => allowed && source === 'store')).toBe(true);
    const times = grants.map(({ at }) => at).sort((a, b) => a - b);
    // Beyond the burst, one every 50 ms.
    for (let i = 2; i < times.length; i++) expect(times[i]! - times[0]!).toBeGreaterThanOrEqual(50 * (i - 1) - 0.001);
    for (const limiter of limiters) await limiter.close();
  });

  it('turn a waiter away at once who would wait too long', async () => {
    const limiter = createLimiter({ ...limits, store: storeOf() });
    await limiter.consume('alice', 10);
    await expect(limiter.acquire('alice', { maxWait: 1_000 })).rejects.toThrow(
      expect.objectContaining({ code: 'MAX_WAIT_EXCEEDED' }),
    );
  });

  it('forget a key for all when one is told to', async () => {
    const [one, other] = [
      createLimiter({ ...limits, store: storeOf() }),
      createLimiter({ ...limits, store: storeOf() }),
    ];
    await one.consume('alice', 10);
    await other.reset('alice');
    expect(await one.peek('alice')).toMatchObject({ remaining: 10 });
    expect(await redis.keys('*')).toEqual([]);
  });
});

describe('a penalty over requests', () => {
  const options: RateLimitOptions<FakeRequest> = {
    limit: 2,
    window: '300d',
    algorithm: 'fixed-window',
    penalty: { blockFor: '1h', banAfter: 2, banFor: '2h' },
  };

  it('blocks a client in all processes that share a Redis, and not the others', async () => {
    const pipelines = [1, 2].map(() => new Pipeline(reader, { ...options, store: storeOf() }));
    const ask = async (process: number, ip: string): Promise<Verdict> => {
      const response = fakeResponse();
      return pipelines[process]!.handle({ ip, method: 'POST' }, response, response);
    };
    const actions = [];
    for (const process of [0, 1, 0, 1, 0]) actions.push(await ask(process, '192.0.2.1'));
    expect(actions.map(({ action }) => action)).toEqual(['pass', 'pass', 'refuse', 'refuse', 'refuse']);
    expect(await ask(1, '192.0.2.2')).toMatchObject({ action: 'pass' });
    const keys = await redis.keys('ratelimit:penalty:*');
    expect(keys).toHaveLength(2);
    for (const key of keys) expect(await redis.pttl(key)).toBeGreaterThan(0);
    // The limit is as it was: only the block refuses.
    await redis.del(await redis.keys('ratelimit:fixed-window:*'));
    expect(await ask(0, '192.0.2.1')).toMatchObject({ action: 'refuse' });
  });
});
