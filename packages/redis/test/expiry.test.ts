import { type CompiledPolicy, compilePolicies, type Policy } from '@sluice/core';
import { ManualClock } from '@sluice/testing';
import fc from 'fast-check';
import type { Redis } from 'ioredis';
import { beforeEach, describe, expect, it } from 'vitest';
import { until } from '../../../test/support/redis/until.ts';
import { micros, names, policies, steps } from '../../core/test/algorithms/arbitraries.ts';
import { RedisStore } from '../src/index.ts';
import { patient } from './support/conforms.ts';
import { serverTime, withServer } from './support/server.ts';
import { timedStore } from './support/timed-store.ts';

let redis: Redis;
let store: RedisStore;
withServer((client) => {
  redis = client;
  store = new RedisStore(client, patient);
});
beforeEach(() => redis.flushall());

const compile = (policy: Policy): CompiledPolicy => compilePolicies([policy], 'test')[0]!;

describe.each(names)('what Redis keeps of a %s', (algorithm) => {
  it('expires when the key is as fresh as new, to the millisecond', async () => {
    const policy = compile({ algorithm, limit: 1_000, window: '1h' });
    for (const cost of [1, 700, 299]) {
      const before = await serverTime(redis);
      const [decision] = await store.consume([{ policy, key: 'alice', cost }]);
      const after = await serverTime(redis);
      const expiry = await redis.pexpiretime(`ratelimit:${algorithm}:{alice}`);
      const rest = Math.ceil(decision!.resetAfter);
      expect(expiry).toBeGreaterThanOrEqual(Math.floor(before / 1_000) + rest);
      expect(expiry).toBeLessThanOrEqual(Math.floor(after / 1_000) + rest);
    }
  });

  it('is given an expiry of exactly the time to fresh, rounded up, whatever the policy', async () => {
    const trace = steps(['consume', 'consume', 'release', 'return'], 15);
    const property = fc.asyncProperty(policies(algorithm), trace, async (policy, trace) => {
      await redis.flushall();
      const clock = new ManualClock();
      const store = timedStore(redis, clock);
      const name = `ratelimit:${algorithm}:{alice}`;
      const charge = (cost: number) => [{ policy, key: 'alice', cost }];
      let last = (await store.peek(charge(0)))[0]!;
      for (const step of trace) {
        clock.jump(step.gap(policy, last) / 1_000);
        const cost = step.cost(policy, last);
        const before = await redis.getBuffer(name);
        if (step.ask === 'consume') await store.consume(charge(cost));
        else await store.release([{ ...charge(cost)[0]!, at: step.ask === 'return' ? last.at : undefined }]);
        last = (await store.peek(charge(0)))[0]!;
        const after = await redis.getBuffer(name);
        if (after === null || (before !== null && after.equals(before))) continue;
        const freshAt = Math.floor(clock.now() / 1_000) + Math.ceil(micros(last.resetAfter) / 1_000);
        expect(Number(await redis.get(`expiry ${name}`))).toBe(freshAt);
      }
    });
    await fc.assert(property, { numRuns: 60 });
  });

  it('is gone when the key is fresh again, and the key has everything', async () => {
    const policy = compile({ algorithm, limit: 3, window: '500ms' });
    await store.consume([{ policy, key: 'alice', cost: 3 }]);
    expect(await redis.exists(`ratelimit:${algorithm}:{alice}`)).toBe(1);
    await until('the key is gone', async () => (await redis.exists(`ratelimit:${algorithm}:{alice}`)) === 0);
    const [decision] = await store.peek([{ policy, key: 'alice', cost: 3 }]);
    expect(decision).toMatchObject({ allowed: true, remaining: 3, resetAfter: 0 });
  });
});

describe('a burst that is smaller than the rate of a second', () => {
  it.each(['token-bucket', 'leaky-bucket'] as const)('is a limit for a %s', async (algorithm) => {
    const clock = new ManualClock();
    const timed = timedStore(redis, clock);
    const policy = compile({ algorithm, limit: 1_000, window: '1s', burst: 3 });
    const take = async () => (await timed.consume([{ policy, key: 'alice', cost: 1 }]))[0]!;
    const answers = [await take(), await take(), await take(), await take()];
    expect(answers.map(({ allowed }) => allowed)).toEqual([true, true, true, false]);
    expect(answers[3]!.retryAfter).toBe(1);
    clock.advance(1);
    expect([await take(), await take()].map(({ allowed }) => allowed)).toEqual([true, false]);
  });
});

describe('no key', () => {
  it('is without an expiry, whatever is asked', async () => {
    const request = fc.record({
      name: fc.constantFrom(...names),
      window: fc.integer({ min: 10_000, max: 10_000_000 }),
      limit: fc.integer({ min: 1, max: 20 }),
      key: fc.constantFrom('alice', 'bob', 'carol'),
      cost: fc.integer({ min: 0, max: 12 }),
      countRefused: fc.boolean(),
      ask: fc.constantFrom('consume', 'consume', 'consume', 'release'),
    });
    const property = fc.asyncProperty(fc.array(request, { minLength: 20, maxLength: 60 }), async (requests) => {
      await Promise.all(
        requests.map(({ name, key, cost, ask, ...policy }) => {
          const charge = { policy: compile({ algorithm: name, ...policy }), key, cost };
          if (ask === 'consume') return store.consume([charge]);
          return store.release([charge]);
        }),
      );
      const keys = await redis.keys('*');
      expect(keys.length).toBeGreaterThan(0);
      // Some may have expired by now, and have no time left to live: -2. None may have no end: -1.
      for (const key of keys) expect(await redis.pttl(key), key).not.toBe(-1);
    });
    await fc.assert(property, { numRuns: 30 });
  });
});
