import { type CompiledPolicy, type Decision, MemoryStore } from '@sluice/core';
import { ManualClock } from '@sluice/testing';
import fc from 'fast-check';
import type { Redis } from 'ioredis';
import { describe, expect, it } from 'vitest';
import { buckets, compile, micros, names, policies, steps } from '../../core/test/algorithms/arbitraries.ts';
import { withServer } from './support/server.ts';
import { timedStore } from './support/timed-store.ts';

let redis: Redis;
withServer((client) => {
  redis = client;
});

const key = 'alice';
const known = (policy: CompiledPolicy, { remaining, resetAfter, at }: Decision) => [
  { policy, key, remaining, resetAfter, at },
];

describe.each(names)('what a process knows of a %s', (algorithm) => {
  const name = `ratelimit:${algorithm}:{alice}`;

  it('leaves no more than it says, and no less, however often the server is told', async () => {
    const trace = steps(['consume'], 10);
    const property = fc.asyncProperty(policies(algorithm), trace, trace, async (policy, first, second) => {
      await redis.flushall();
      const clock = new ManualClock();
      const store = timedStore(redis, clock);
      const memory = new MemoryStore({ clock });
      const take = (cost: number) => [{ policy, key, cost }];
      let told = memory.peek(take(0))[0]!;
      for (const step of first) {
        clock.jump(step.gap(policy, told) / 1_000);
        told = memory.consume(take(step.cost(policy, told)))[0]!;
      }
      let last = (await store.peek(take(0)))[0]!;
      for (const step of second) {
        clock.jump(step.gap(policy, last) / 1_000);
        last = (await store.consume(take(step.cost(policy, last))))[0]!;
      }
      told = memory.peek(take(0))[0]!;
      const state = await redis.getBuffer(name);
      const before = (await store.peek(take(0)))[0]!;
      await store.lower!(known(policy, told));
      const after = (await store.peek(take(0)))[0]!;
      const isFresh = micros(told.at) + micros(told.resetAfter) <= clock.now();
      const least = isFresh ? before.remaining : Math.min(before.remaining, told.remaining);
      // A bucket may owe parts of a unit beyond what is left, and its ticks may begin at other instants: one unit is
      // charged for the parts, and what comes back in a tick.
      const isBucket = buckets.includes(algorithm);
      const parts = 1 + Math.ceil(policy.rate / policy.unit);
      expect(after.remaining).toBeLessThanOrEqual(least);
      expect(after.remaining).toBeGreaterThanOrEqual(isBucket ? Math.max(0, least - parts) : least);
      if (isBucket && after.remaining > 0) expect(after.resetAfter).toBeGreaterThanOrEqual(told.resetAfter);
      if (after.remaining === before.remaining) expect(await redis.getBuffer(name)).toEqual(state);
      await store.lower!(known(policy, told));
      expect((await store.peek(take(0)))[0]).toStrictEqual(after);
    });
    await fc.assert(property, { numRuns: 60 });
  });

  it('is void once the key is fresh again', async () => {
    await redis.flushall();
    const clock = new ManualClock();
    const store = timedStore(redis, clock);
    const policy = compile({ algorithm, limit: 10, window: '1m' });
    const [told] = await store.consume([{ policy, key, cost: 8 }]);
    await redis.flushall();
    clock.jump(told!.resetAfter - 0.001);
    await store.lower!(known(policy, told!));
    expect((await store.peek([{ policy, key, cost: 0 }]))[0]!.remaining).toBe(2);
    await redis.flushall();
    clock.jump(0.001);
    await store.lower!(known(policy, told!));
    expect((await store.peek([{ policy, key, cost: 0 }]))[0]).toMatchObject({ remaining: 10, resetAfter: 0 });
  });
});
