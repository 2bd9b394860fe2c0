import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compile, longestWait, micros, names, newYear, policies, steps, year } from './arbitraries.ts';
import { Key } from './key.ts';

const consume = steps(['consume'], 20);
/** How far the clock is set back, in microseconds. */
const setbacks = fc.oneof(
  fc.integer({ min: 1, max: 2_000 }),
  fc.integer({ min: 1, max: 3 * 3_600_000_000 }),
  fc.integer({ min: 1, max: 2 * year * 1_000 }),
);

describe.each(names)('%s, when the clock is set back', (name) => {
  it('refills nothing', () => {
    fc.assert(
      fc.property(policies(name), consume, setbacks, (policy, trace, setback) => {
        const key = new Key(policy);
        key.play(trace);
        const { remaining } = key.peek(0);
        key.now -= setback;
        expect(key.peek(0).remaining).toBeLessThanOrEqual(remaining);
        const { allowed } = key.consume(remaining + 1);
        expect(allowed).toBe(false);
      }),
      { numRuns: 300 },
    );
  });

  it('locks nobody out for longer than a window, or than a bucket takes to refill', () => {
    fc.assert(
      fc.property(policies(name), consume, setbacks, (policy, trace, setback) => {
        const key = new Key(policy);
        key.play(trace);
        key.now -= setback;
        const { allowed, retryAfter } = key.consume(1);
        if (!allowed) expect(micros(retryAfter)).toBeLessThanOrEqual(longestWait(policy));
        expect(micros(key.peek(0).resetAfter)).toBeLessThanOrEqual(2 * longestWait(policy));
      }),
      { numRuns: 300 },
    );
  });

  it('brings the state back to the present with the next request, even a refused one', () => {
    const key = new Key(compile({ algorithm: name, limit: 5, window: '1m' }));
    key.consume(5);
    key.now -= year * 1_000;
    expect(key.consume(1).allowed).toBe(false);
    key.now += 2 * 60_000_000;
    expect(key.consume(5)).toMatchObject({ allowed: true, remaining: 0 });
  });

  it('goes on as before once the clock is right again', () => {
    const key = new Key(compile({ algorithm: name, limit: 5, window: '1m' }));
    key.consume(5);
    key.now -= 1_000;
    key.consume(1);
    key.now += 1_000;
    expect(key.peek(1)).toMatchObject({ allowed: false, remaining: 0 });
    expect(key.peek(1).retryAfter).toBeLessThanOrEqual(2 * 60_000);
  });
});

describe('sliding-window-counter, when the clock is set back over the edge of a window', () => {
  it('counts the units of both windows in full', () => {
    const key = new Key(compile({ algorithm: 'sliding-window-counter', limit: 10, window: '1m' }), newYear);
    key.consume(9);
    key.now += 60_000_000;
    key.consume(1);
    expect(key.peek(0).remaining).toBe(0);
    key.now -= 1;
    expect(key.peek(0).remaining).toBe(0);
  });
});
