import { describe, expect, it } from 'vitest';
import type { Policy } from '../../src/index.ts';
import { buckets, compile, micros, names, newYear } from './arbitraries.ts';
import { Key } from './key.ts';

/** What a key at the first instant of a minute is told, `[seconds, cost]` by `[seconds, cost]`: what is left, or null. */
function timeline(policy: Policy, requests: readonly (readonly [number, number])[]): (number | null)[] {
  const key = new Key(compile(policy));
  return requests.map(([seconds, cost]) => {
    key.now = newYear + Math.round(seconds * 1_000_000);
    const { allowed, remaining } = key.consume(cost);
    return allowed ? remaining : null;
  });
}

describe('a fixed window', () => {
  it('starts counting again at the edge of the window, whatever was taken just before', () => {
    const policy: Policy = { algorithm: 'fixed-window', limit: 10, window: '1m' };
    expect(
      timeline(policy, [
        [59, 10],
        [59.999_999, 1],
        [60, 10],
        [60, 1],
      ]),
    ).toEqual([0, null, 0, null]);
  });

  it('begins with the first unit of a key where it is anchored there, and again with the first after it', () => {
    const policy: Policy = { algorithm: 'fixed-window', limit: 10, window: '1m', anchor: 'first' };
    expect(
      timeline(policy, [
        [30, 0],
        [40, 10],
        [60, 1],
        [99.999_999, 1],
        [130, 9],
        [189.999_999, 2],
        [190, 10],
      ]),
    ).toEqual([10, 0, null, null, 1, null, 0]);
  });

  it('gives units back only to the window they were taken from', () => {
    const key = new Key(compile({ algorithm: 'fixed-window', limit: 10, window: '1m' }));
    const grant = key.consume(4);
    key.now += 60_000_000;
    key.consume(3);
    key.release(4, grant);
    expect(key.peek(0).remaining).toBe(7);
    key.release(4);
    expect(key.peek(0).remaining).toBe(10);
  });
});

describe('a sliding log', () => {
  it('has each unit back a window after it was granted', () => {
    const policy: Policy = { algorithm: 'sliding-window-log', limit: 10, window: '1m' };
    expect(
      timeline(policy, [
        [0, 4],
        [30, 6],
        [59.999_999, 1],
        [60, 4],
        [60, 1],
        [90, 6],
      ]),
    ).toEqual([6, 0, null, 0, null, 0]);
  });

  it('names the moment at which enough of the oldest units are gone', () => {
    const key = new Key(compile({ algorithm: 'sliding-window-log', limit: 10, window: '1m' }));
    for (const cost of [1, 2, 3, 4]) {
      key.consume(cost);
      key.now += 1_000_000;
    }
    expect([1, 2, 3, 4, 6, 7, 10].map((cost) => key.peek(cost).retryAfter / 1_000)).toEqual([
      56, 57, 57, 58, 58, 59, 59,
    ]);
  });

  it('gives back the units of the grant that is named, else the oldest', () => {
    const key = new Key(compile({ algorithm: 'sliding-window-log', limit: 10, window: '1m' }));
    key.consume(5);
    key.now += 1_000_000;
    const grant = key.consume(5);
    const named = key.at(key.now);
    named.release(5, grant);
    expect(named.peek(0)).toMatchObject({ remaining: 5, resetAfter: 59_000 });
    key.release(5);
    expect(key.peek(0)).toMatchObject({ remaining: 5, resetAfter: 60_000 });
  });
});

describe('a sliding counter', () => {
  const policy: Policy = { algorithm: 'sliding-window-counter', limit: 10, window: '1m' };

  it('counts the window before by the share that a window ending now still covers', () => {
    expect(
      timeline(policy, [
        [59, 10],
        [60, 0],
        [60.000_001, 0],
        [75, 0],
        [90, 0],
        [90, 6],
        [90, 5],
        [119.999_999, 0],
        [120, 0],
      ]),
    ).toEqual([0, 0, 1, 3, 5, null, 0, 5, 5]);
  });

  it('grants no second burst at the edge of a window', () => {
    const requests = Array.from({ length: 10 }, () => [60, 1] as const);
    expect(timeline(policy, [[59, 10], ...requests])).toEqual([0, ...requests.map(() => null)]);
  });

  it('gives units back only to the window they were taken from', () => {
    const key = new Key(compile(policy));
    const grant = key.consume(8);
    key.now += 90_000_000;
    key.consume(2);
    expect(key.peek(0).remaining).toBe(4);
    key.release(8, grant);
    expect(key.peek(0).remaining).toBe(8);
  });
});

describe('a bucket', () => {
  it.each(buckets)('refills evenly, and no further than its burst (%s)', (algorithm) => {
    expect(
      timeline({ algorithm, limit: 10, window: '1m', burst: 5 }, [
        [0, 5],
        [5.999_999, 1],
        [6, 1],
        [30, 4],
        [600, 6],
        [600, 5],
      ]),
    ).toEqual([0, null, 0, 0, null, 0]);
  });

  it.each(buckets)('works with a burst smaller than what the rate brings in a second (%s)', (algorithm) => {
    const key = new Key(compile({ algorithm, limit: 1_000, window: '1s', burst: 1 }));
    expect(key.consume(1)).toMatchObject({ allowed: true, remaining: 0, resetAfter: 1 });
    expect(key.consume(1)).toMatchObject({ allowed: false, retryAfter: 1 });
    key.now += 999;
    expect(key.consume(1).allowed).toBe(false);
    key.now += 1;
    expect(key.consume(1).allowed).toBe(true);
  });

  it('holds the requests of a leaky bucket until the drain reaches them', () => {
    const key = new Key(compile({ algorithm: 'leaky-bucket', limit: 10, window: '1s', burst: 4 }));
    expect([1, 1, 1, 1].map((cost) => key.consume(cost).delay)).toEqual([0, 100, 200, 300]);
    expect(key.consume(1)).toMatchObject({ allowed: false, delay: 0, retryAfter: 100 });
    key.now += 150_000;
    expect(key.consume(1)).toMatchObject({ allowed: true, delay: 250 });
  });
});

describe.each(names)('%s', (algorithm) => {
  it('frees a key under a window of half a second', () => {
    const key = new Key(compile({ algorithm, limit: 3, window: '500ms' }));
    key.consume(3);
    const { allowed, resetAfter } = key.consume(1);
    expect(allowed).toBe(false);
    expect(resetAfter).toBeLessThanOrEqual(1_000);
    key.now += micros(resetAfter);
    expect(key.consume(3).allowed).toBe(true);
  });

  it('frees a key that was asked once', () => {
    const key = new Key(compile({ algorithm, limit: 1_000_000, window: '1h' }));
    const { resetAfter } = key.consume(1);
    expect(resetAfter).toBeGreaterThan(0);
    expect(resetAfter).toBeLessThanOrEqual(2 * 3_600_000);
    key.now += micros(resetAfter);
    expect(key.peek(0)).toMatchObject({ remaining: 1_000_000, resetAfter: 0 });
  });

  it('grants more units per window than the window has milliseconds', () => {
    const key = new Key(compile({ algorithm, limit: 2_000, window: '1s' }));
    for (let unit = 0; unit < 2_000; unit++) expect(key.consume(1).allowed).toBe(true);
    const { allowed, retryAfter } = key.consume(1);
    expect(allowed).toBe(false);
    key.now += micros(retryAfter);
    expect(key.consume(1).allowed).toBe(true);
  });

  it('grants a limit of 1 once per window', () => {
    const key = new Key(compile({ algorithm, limit: 1, window: '1s' }));
    expect(key.consume(1)).toMatchObject({ allowed: true, remaining: 0 });
    const { allowed, retryAfter } = key.consume(1);
    expect(allowed).toBe(false);
    expect(retryAfter).toBeGreaterThanOrEqual(1_000);
    expect(retryAfter).toBeLessThanOrEqual(1_000.001);
  });

  it('refuses the first request of a key where it asks for too much, and grants the next', () => {
    const key = new Key(compile({ algorithm, limit: 5, window: '1s' }));
    expect(key.consume(6)).toMatchObject({ allowed: false, remaining: 5, retryAfter: Number.POSITIVE_INFINITY });
    expect(key.state).toBeUndefined();
    expect(key.consume(5).allowed).toBe(true);
  });

  it('spends nothing on requests that it refuses', () => {
    const key = new Key(compile({ algorithm, limit: 10, window: '1h' }));
    key.consume(10);
    const { resetAfter } = key.peek(0);
    for (let i = 0; i < 1_000; i++) expect(key.consume(1 + (i % 10)).allowed).toBe(false);
    expect(key.peek(0).resetAfter).toBe(resetAfter);
  });
});
