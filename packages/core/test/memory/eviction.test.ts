import { ManualClock } from '@sluice/testing';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type AlgorithmName, compilePolicies, MemoryStore } from '../../src/index.ts';

const limits = { small: 2, large: 5 };
// Often the whole limit: only where all keys are refused or have been, the finer points decide.
const cost = fc.constantFrom(1, 2, 2, 3, 5, 5, 6);

/** One step of a trace: a key asks for units, or time passes. */
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ key: fc.nat(24), cost, large: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ pass: fc.integer({ min: 1, max: 6_000_000 }), jump: fc.boolean() }) },
);

const trace = fc.record({ maxKeys: fc.integer({ min: 1, max: 12 }), steps: fc.array(step, { maxLength: 150 }) });

describe('a full store never forgets a key that is refused before one that is not', () => {
  test.each<AlgorithmName>([
    'fixed-window',
    'sliding-window-log',
    'sliding-window-counter',
    'token-bucket',
    'leaky-bucket',
  ])('%s', (algorithm) => {
    const [small, large] = compilePolicies(
      [
        { name: 'small', algorithm, limit: limits.small, window: '10s' },
        { name: 'large', algorithm, limit: limits.large, window: '17s' },
      ],
      'test',
    );
    const show = (policy: string, key: string) => `${policy}/${key}`;

    fc.assert(
      fc.property(trace, ({ maxKeys, steps }) => {
        const clock = new ManualClock();
        const store = new MemoryStore({ maxKeys, clock });
        // The reference forgets nothing but what the store under test has forgotten.
        const reference = new MemoryStore({ clock: { now: () => clock.now(), after: () => () => {} } });
        const present = new Map<string, { policy: typeof small; key: string; refusedUntil: number }>();

        for (const next of steps) {
          if ('pass' in next) {
            if (next.jump) clock.jump(next.pass / 1_000);
            else clock.advance(next.pass / 1_000);
            continue;
          }
          const policy = next.large ? large! : small!;
          const key = `key ${next.key}`;
          const charge = { policy, key, cost: next.cost };
          const before = store.evictions;
          const [decision] = store.consume([charge]);
          const [expected] = reference.consume([charge]);
          expect(decision).toEqual(expected);
          expect(store.size).toBeLessThanOrEqual(maxKeys);

          // What the present key was asked for is done after the eviction that made room for it.
          const others = [...present.values()].filter((one) => one.key !== key || one.policy !== policy);
          const states = others.map((one) => {
            const ask = [{ policy: one.policy!, key: one.key, cost: 1 }];
            const [is] = store.peek(ask);
            const [was] = reference.peek(ask);
            return {
              ...one,
              forgotten: is!.remaining !== was!.remaining || is!.resetAfter !== was!.resetAfter,
              fresh: was!.resetAfter === 0,
              refused: was!.remaining === 0,
              open: was!.remaining > 0 && one.refusedUntil <= clock.now(),
            };
          });
          const forgotten = states.filter((state) => state.forgotten);
          expect(forgotten.length).toBeLessThanOrEqual(store.evictions - before);
          const kept = states.filter((state) => !state.forgotten);
          if (forgotten.some((state) => state.refused)) {
            expect(kept.filter((state) => state.open && !state.fresh)).toEqual([]);
          }
          // A key that differs from fresh is not forgotten while one is kept that does not.
          for (const { policy: other, key: gone, fresh } of states) {
            if (fresh) present.delete(show(other!.name, gone));
          }
          for (const { policy: other, key: gone } of forgotten) {
            reference.reset(gone, [other!]);
            present.delete(show(other!.name, gone));
          }
          // To ask for more than there ever is says nothing of a refusal before.
          const { allowed, retryAfter } = decision!;
          const earlier = present.get(show(policy.name, key))?.refusedUntil ?? 0;
          const later =
            retryAfter === Number.POSITIVE_INFINITY ? earlier : clock.now() + Math.round(retryAfter * 1_000);
          const refusedUntil = allowed ? 0 : later;
          if (decision!.resetAfter > 0) present.set(show(policy.name, key), { policy, key, refusedUntil });
        }
      }),
      { numRuns: 200 },
    );
  });

  test('a key whose refusal has lapsed counts as one that is not refused', () => {
    const clock = new ManualClock();
    const store = new MemoryStore({ maxKeys: 3, clock });
    const [policy, small] = compilePolicies(
      [
        { algorithm: 'token-bucket', limit: 4, window: '20s' },
        { algorithm: 'fixed-window', limit: 1, window: '10s' },
      ],
      'test',
    );
    const take = (key: string, cost: number) => store.consume([{ policy: policy!, key, cost }])[0]!;
    const takeSmall = (key: string) => store.consume([{ policy: small!, key, cost: 1 }])[0]!;
    take('lapsed', 4);
    clock.advance(4_000);
    takeSmall('refused');
    takeSmall('refused too');
    // A unit of the first one is back, and it is fresh later than the others.
    clock.advance(1_000);
    takeSmall('new');
    expect(store.evictions).toBe(1);
    for (const key of ['refused', 'refused too', 'new']) expect(takeSmall(key).allowed).toBe(false);
    expect(take('lapsed', 4).allowed).toBe(true);
  });

  test('the keys that were new last are kept, however many have come', () => {
    const clock = new ManualClock();
    const store = new MemoryStore({ maxKeys: 1_000, clock });
    const [policy] = compilePolicies([{ algorithm: 'token-bucket', limit: 2, window: '1d' }], 'test');
    for (let i = 0; i < 10_000; i++) {
      clock.jump(1);
      store.consumeOne(policy!, `key ${i}`, 1);
    }
    let kept = 0;
    for (let i = 9_500; i < 10_000; i++) kept += store.consumeOne(policy!, `key ${i}`, 0).remaining === 1 ? 1 : 0;
    expect(kept).toBeGreaterThan(400);
  });
});
