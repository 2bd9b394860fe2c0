import { ManualClock } from '@sluice/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compilePolicies, leaseTime } from '../../src/index.ts';
import { LendingStore } from './support/lending-store.ts';

const key = 'hot';

const policies = fc
  .record({
    limit: fc.integer({ min: 1, max: 1_000 }),
    burst: fc.integer({ min: 1, max: 1_000 }),
    window: fc.constantFrom(500, 2_000, 60_000),
    algorithm: fc.constantFrom('token-bucket', 'fixed-window', 'sliding-window-counter'),
  } as const)
  .map(({ limit, burst, window, algorithm }) => {
    const own = algorithm === 'token-bucket' ? { burst } : {};
    return compilePolicies([{ limit, window, algorithm, ...own }], 'test')[0]!;
  })
  .filter((policy) => leaseTime(policy) > 0);

/**
 * Time passes, in lease times, or until half of one before the window ends; units are taken or leased; and some of those
 * that are leased are spent.
 */
const moves = fc.array(
  fc.record({
    passes: fc.oneof(
      { weight: 4, arbitrary: fc.constant(0) },
      { weight: 1, arbitrary: fc.constant('to the end' as const) },
      { weight: 3, arbitrary: fc.double({ min: 0, max: 2, noNaN: true }) },
      { weight: 1, arbitrary: fc.integer({ min: 0, max: 200 }) },
    ),
    does: fc.constantFrom('take', 'fill', 'fill', 'lease', 'lease', 'lease', 'spend', 'spend', 'spend', 'reset'),
    units: fc.integer({ min: 0, max: 1_200 }),
  }),
  { minLength: 40, maxLength: 60 },
);

describe('units that are leased and spent at any time of their lease', () => {
  it('are never more, in any interval, than the policy grants', () => {
    const property = fc.property(policies, moves, (policy, moves) => {
      const clock = new ManualClock();
      const store = new LendingStore(clock);
      // What is spent, by the arithmetic of the policy and when it is spent.
      const spent = new LendingStore(clock);
      const charge = (cost: number) => ({ policy, key, cost });
      let leases: { units: number; readonly end: number }[] = [];
      const spend = (units: number) => {
        const [decision] = spent.consume([charge(units)]);
        expect(decision).toMatchObject({ allowed: true });
      };
      for (const { passes, does, units } of moves) {
        const time = leaseTime(policy);
        const toEnd = policy.windowMs - ((clock.now() / 1_000) % policy.windowMs);
        const passing = passes === 'to the end' ? Math.max(0, toEnd - time / 2) : passes * time;
        clock.jump(Math.floor(passing * 1_000) / 1_000);
        leases = leases.filter(({ end }) => clock.now() < end);
        if (does === 'take' || does === 'fill') {
          const cost = does === 'take' ? units : store.peek([charge(0)])[0]!.remaining;
          if (store.consume([charge(cost)])[0]!.allowed) spend(cost);
        } else if (does === 'lease') {
          const demand = units % 7;
          const leased = store.lease({ policy, key, demand, extra: units, share: 1 + (units % 3) });
          const granted = Math.min(demand, leased.units);
          if (granted > 0) spend(granted);
          leases.push({ units: leased.units - granted, end: clock.now() + Math.round(leased.lasts * 1_000) });
        } else if (does === 'reset') {
          store.reset(key, [policy]);
          spent.reset(key, [policy]);
          // Of a window, units that are leased go with what was taken before.
          if (policy.algorithm !== 'token-bucket') leases = [];
        } else {
          const lease = leases[units % Math.max(1, leases.length)];
          if (lease === undefined) continue;
          const some = Math.min(units % 50, lease.units);
          lease.units -= some;
          if (some > 0) spend(some);
        }
      }
    });
    fc.assert(property, { numRuns: 1_000 });
  });
});
