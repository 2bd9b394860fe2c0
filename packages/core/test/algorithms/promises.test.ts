import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { buckets, compile, limits, micros, names, policies, steps, windows } from './arbitraries.ts';
import { Key } from './key.ts';

const consume = steps(['consume'], 20);

describe.each(names)('%s', (name) => {
  it('refuses one microsecond before retryAfter, and grants exactly then', () => {
    fc.assert(
      fc.property(policies(name), consume, fc.integer({ min: 1, max: 1_000 }), (policy, trace, part) => {
        const key = new Key(policy);
        key.play(trace);
        const most = key.peek(0).remaining + 1;
        const cost = most + Math.floor((Math.max(0, policy.capacity - most) * part) / 1_000);
        const refusal = key.consume(cost);
        expect(refusal.allowed).toBe(false);
        if (cost > policy.capacity) {
          expect(refusal.retryAfter).toBe(Number.POSITIVE_INFINITY);
          return;
        }
        const wait = micros(refusal.retryAfter);
        expect(key.at(key.now + wait - 1).consume(cost).allowed).toBe(false);
        expect(key.at(key.now + wait).consume(cost)).toMatchObject({ allowed: true, retryAfter: 0 });
      }),
      { numRuns: 300 },
    );
  });

  it('has its whole capacity exactly at resetAfter, and not one microsecond before', () => {
    fc.assert(
      fc.property(policies(name), consume, (policy, trace) => {
        const key = new Key(policy);
        key.play(trace);
        const { remaining, resetAfter } = key.peek(0);
        const wait = micros(resetAfter);
        expect(key.at(key.now + wait).peek(0)).toMatchObject({ remaining: policy.capacity, resetAfter: 0 });
        if (wait === 0) expect(remaining).toBe(policy.capacity);
        else expect(key.at(key.now + wait - 1).peek(0).remaining).toBeLessThan(policy.capacity);
      }),
      { numRuns: 300 },
    );
  });

  it('answers from resetAfter on as if nothing had ever been taken', () => {
    fc.assert(
      fc.property(policies(name), consume, consume, (policy, past, future) => {
        const key = new Key(policy);
        key.play(past);
        key.now += micros(key.peek(0).resetAfter);
        const fresh = key.fresh();
        expect(key.play(future)).toStrictEqual(fresh.play(future));
      }),
    );
  });

  it('keeps no state of a key that has given everything back', () => {
    fc.assert(
      fc.property(policies(name), fc.integer({ min: 1, max: 1_000 }), (policy, part) => {
        const key = new Key(policy);
        const cost = Math.max(1, Math.floor((policy.capacity * part) / 1_000));
        const grant = key.consume(cost);
        key.release(cost, grant);
        expect(key.state).toBeUndefined();
      }),
    );
  });

  it('never gives back more than was taken', () => {
    fc.assert(
      fc.property(policies(name), consume, limits, (policy, trace, units) => {
        const key = new Key(policy);
        key.play(trace);
        const { remaining } = key.peek(0);
        key.release(units);
        const after = key.peek(0).remaining;
        expect(after).toBeGreaterThanOrEqual(remaining);
        expect(after).toBeLessThanOrEqual(
          Math.min(policy.capacity, remaining + units + (name.endsWith('counter') ? 1 : 0)),
        );
      }),
    );
  });

  it('lets a refusal change nothing', () => {
    const policy = policies(name).filter(({ countRefused }) => !countRefused);
    fc.assert(
      fc.property(policy, consume, consume, limits, (policy, past, future, excess) => {
        const key = new Key(policy);
        key.play(past);
        const untouched = key.at(key.now);
        for (let i = 0; i < 3; i++) {
          const refusal = key.consume(key.peek(0).remaining + excess);
          expect(refusal.allowed).toBe(false);
          expect(key.state).toBe(untouched.state);
        }
        expect(key.play(future)).toStrictEqual(untouched.play(future));
      }),
    );
  });

  it('changes no state that it has handed out', () => {
    fc.assert(
      fc.property(policies(name), consume, consume, consume, (policy, past, one, other) => {
        const key = new Key(policy);
        key.play(past);
        const alternative = key.at(key.now);
        key.play(one);
        const apart = new Key(policy);
        apart.play(past);
        expect(alternative.peek(1)).toStrictEqual(apart.peek(1));
        expect(alternative.play(other)).toStrictEqual(apart.play(other));
      }),
    );
  });

  it('charges a refused request too where refusals count, but never beyond the capacity', () => {
    fc.assert(
      fc.property(limits, windows, fc.integer({ min: 1, max: 2_000_000_000 }), (limit, window, cost) => {
        const policy = compile({ algorithm: name, limit, window, countRefused: true });
        const key = new Key(policy);
        key.consume(Math.ceil(limit / 2));
        const refusal = key.consume(Math.floor(limit / 2) + cost);
        expect(refusal).toMatchObject({ allowed: false, remaining: 0 });
        // At most a full capacity was charged: it is gone as if it had just been granted.
        const full = key.fresh();
        full.consume(limit);
        expect(refusal.resetAfter).toBe(full.peek(0).resetAfter);
        expect(key.peek(1).retryAfter).toBe(full.peek(1).retryAfter);
      }),
    );
  });

  it('names the moment after the charge where refusals count, so that who waits so long is granted', () => {
    const counting = policies(name).filter(({ countRefused }) => countRefused);
    fc.assert(
      fc.property(counting, consume, (policy, trace) => {
        const key = new Key(policy);
        key.play(trace);
        const cost = Math.min(policy.capacity, key.peek(0).remaining + 1);
        const { allowed, retryAfter } = key.consume(cost);
        fc.pre(!allowed);
        expect(key.at(key.now + micros(retryAfter) - 1).peek(cost).allowed).toBe(false);
        expect(key.at(key.now + micros(retryAfter)).peek(cost).allowed).toBe(true);
      }),
    );
  });

  it('answers a peek as it would answer the request', () => {
    const policy = policies(name).filter(({ countRefused }) => !countRefused);
    fc.assert(
      fc.property(policy, consume, limits, (policy, trace, cost) => {
        const key = new Key(policy);
        key.play(trace);
        const { allowed, retryAfter, delay } = key.peek(cost);
        expect(key.consume(cost)).toMatchObject({ allowed, retryAfter, delay });
      }),
    );
  });

  it('locks nobody out for a large cost that it refused', () => {
    const key = new Key(compile({ algorithm: name, limit: 10, window: '1h' }));
    for (const cost of [11, 1_000_000, Number.MAX_SAFE_INTEGER]) expect(key.consume(cost).allowed).toBe(false);
    expect(key.consume(10)).toMatchObject({ allowed: true, remaining: 0 });
    expect(key.consume(10).allowed).toBe(false);
    expect(key.consume(10).retryAfter).toBeLessThanOrEqual(2 * 3_600_000);
  });

  it('counts windows beyond the reach of a 32-bit timer to the microsecond', () => {
    const key = new Key(compile({ algorithm: name, limit: 1, window: '300d' }));
    key.consume(1);
    const { retryAfter } = key.peek(1);
    expect(retryAfter).toBeGreaterThan(0);
    expect(key.at(key.now + micros(retryAfter) - 1).peek(1).allowed).toBe(false);
    expect(key.at(key.now + micros(retryAfter)).peek(1).allowed).toBe(true);
  });
});

describe.each(buckets)('%s', (name) => {
  it('delays a grant until the queue before it has drained, if it is a leaky bucket', () => {
    const key = new Key(compile({ algorithm: name, limit: 10, window: '1s' }));
    const delays = [1, 2, 1].map((cost) => key.consume(cost).delay);
    expect(delays).toEqual(name === 'leaky-bucket' ? [0, 100, 300] : [0, 0, 0]);
  });

  it('never lets its held grants out faster than the rate, if it is a leaky bucket', () => {
    fc.assert(
      fc.property(policies('leaky-bucket'), consume, (policy, trace) => {
        const grants = new Key(policy).play(trace);
        for (const [i, { time, delay, cost }] of grants.slice(0, -1).entries()) {
          const next = grants[i + 1]!;
          const apart = BigInt(next.time + next.delay - time - delay + policy.tick);
          expect(apart * BigInt(policy.limit)).toBeGreaterThan(BigInt(cost) * BigInt(policy.windowMs) * 1_000n);
        }
      }),
    );
  });
});
