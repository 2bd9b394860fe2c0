import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ceilDiv, floorDiv, gcd, largestProduct } from '../../src/algorithms/arithmetic.ts';
import type { AlgorithmName } from '../../src/index.ts';
import { buckets, compile, names, policies } from './arbitraries.ts';

/** The algorithms that multiply counts by times. */
const coarse: readonly AlgorithmName[] = [...buckets, 'sliding-window-counter'];
const bound = BigInt(largestProduct);

describe.each(names)('the resolution of %s', (name) => {
  it('lets no product pass 2^52', () => {
    fc.assert(
      fc.property(policies(name), ({ limit, capacity, window, tick, unit, rate }) => {
        const ticks = BigInt(window / tick);
        if (buckets.includes(name)) {
          expect(BigInt(capacity) * BigInt(unit)).toBeLessThanOrEqual(bound);
          expect(BigInt(rate)).toBeLessThanOrEqual(bound);
        }
        if (name === 'sliding-window-counter') expect(BigInt(limit) * ticks).toBeLessThanOrEqual(bound);
      }),
      { numRuns: 1_000 },
    );
  });

  it('keeps the rate exact, and makes a window longer by less than a tick, never shorter', () => {
    fc.assert(
      fc.property(policies(name), ({ limit, windowMs, window, tick, unit, rate }) => {
        expect(window % tick).toBe(0);
        expect(window - windowMs * 1_000).toBeGreaterThanOrEqual(0);
        expect(window - windowMs * 1_000).toBeLessThan(tick);
        // `rate` parts per tick are `limit` units per window.
        expect(BigInt(rate) * BigInt(window / tick)).toBe(BigInt(limit) * BigInt(unit));
      }),
      { numRuns: 1_000 },
    );
  });

  it.each([
    [1000, '1h'],
    [100, '1m'],
    [2_000, '1s'],
    [5, '1d'],
    [1_000_000, '1h'],
    [1_000, '30d'],
    [1, '366d'],
    [1_000_000_000, '1s'],
  ] as const)('is a microsecond for %i per %s', (limit, window) => {
    expect(compile({ algorithm: name, limit, window }).tick).toBe(1);
  });
});

describe.each(coarse)('the tick of %s', (name) => {
  it('is never coarser than a hundred-thousandth of the window, nor than needed', () => {
    fc.assert(
      fc.property(policies(name), ({ limit, capacity, windowMs, tick }) => {
        fc.pre(tick > 1);
        expect(tick).toBeLessThanOrEqual(windowMs / 100);
        const ticks = Math.ceil((windowMs * 1_000) / (tick / 10));
        const parts = buckets.includes(name)
          ? BigInt(capacity) * BigInt(ticks / gcd(limit, ticks))
          : BigInt(limit) * BigInt(ticks);
        expect(parts).toBeGreaterThan(bound);
      }),
    );
  });
});

describe('the arithmetic', () => {
  const numerators = fc.oneof(
    fc.integer({ min: 0, max: largestProduct }),
    fc.integer({ min: largestProduct - 1_000, max: largestProduct }),
  );
  const denominators = fc.oneof(fc.integer({ min: 1, max: 2 ** 30 }), fc.integer({ min: 1, max: largestProduct }));

  it('divides exactly, rounding down and up, up to 2^52', () => {
    fc.assert(
      fc.property(numerators, denominators, (a, b) => {
        const quotient = BigInt(a) / BigInt(b);
        const isWhole = BigInt(a) % BigInt(b) === 0n;
        expect(floorDiv(a, b)).toBe(Number(quotient));
        expect(ceilDiv(a, b)).toBe(Number(isWhole ? quotient : quotient + 1n));
      }),
      { numRuns: 5_000 },
    );
  });

  it('divides exactly right beside a multiple', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2 ** 26 }), fc.integer({ min: 2, max: 2 ** 26 }), (quotient, b) => {
        const multiple = quotient * b;
        fc.pre(multiple < largestProduct);
        expect(floorDiv(multiple - 1, b)).toBe(quotient - 1);
        expect(floorDiv(multiple, b)).toBe(quotient);
        expect(ceilDiv(multiple, b)).toBe(quotient);
        expect(ceilDiv(multiple + 1, b)).toBe(quotient + 1);
      }),
      { numRuns: 2_000 },
    );
  });
});
