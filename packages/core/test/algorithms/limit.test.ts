import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { buckets, compile, limits, micros, names, newYear, policies, steps, windows } from './arbitraries.ts';
import { type Grant, Key } from './key.ts';

const consume = steps(['consume'], 60);

/** Units granted in each run of consecutive grants, with the first and the last of the run. */
function* runs(grants: readonly Grant[]): Iterable<{ units: number; first: Grant; last: Grant }> {
  for (let i = 0; i < grants.length; i++) {
    let units = 0;
    for (let j = i; j < grants.length; j++) {
      units += grants[j]!.cost;
      yield { units, first: grants[i]!, last: grants[j]! };
    }
  }
}

function sum(grants: readonly Grant[]): bigint {
  return grants.reduce((units, { cost }) => units + BigInt(cost), 0n);
}

describe('never more than the limit is granted', () => {
  it('by a log, in any interval as long as the window', () => {
    fc.assert(
      fc.property(policies('sliding-window-log'), consume, (policy, trace) => {
        for (const { units, first, last } of runs(new Key(policy).play(trace))) {
          if (last.time - first.time < policy.windowMs * 1_000) expect(units).toBeLessThanOrEqual(policy.limit);
        }
      }),
    );
  });

  it.each(buckets)('by a %s, in any interval beyond its capacity and what the rate brings meanwhile', (name) => {
    fc.assert(
      fc.property(policies(name), consume, (policy, trace) => {
        const window = BigInt(policy.windowMs) * 1_000n;
        for (const { units, first, last } of runs(new Key(policy).play(trace))) {
          const beyond = BigInt(units - policy.capacity) * window;
          expect(beyond <= BigInt(last.time - first.time) * BigInt(policy.limit)).toBe(true);
        }
      }),
    );
  });

  it('by a bucket with a coarse tick, even right after the tick', () => {
    const policy = compile({ algorithm: 'token-bucket', limit: 999_999_937, window: '366d' });
    expect(policy.tick).toBeGreaterThan(1_000_000);
    const key = new Key(policy, Math.ceil(newYear / policy.tick) * policy.tick - 1);
    expect(key.consume(policy.capacity).allowed).toBe(true);
    key.now += 2;
    expect(key.peek(1)).toMatchObject({ allowed: false, remaining: 0 });
  });

  it('by a fixed window, in any window aligned to the epoch', () => {
    const epoch = policies('fixed-window').filter(({ anchor }) => anchor === 'epoch');
    fc.assert(
      fc.property(epoch, consume, (policy, trace) => {
        const windows = new Map<number, number>();
        for (const { time, cost } of new Key(policy).play(trace)) {
          const id = Math.floor(time / policy.window);
          windows.set(id, (windows.get(id) ?? 0) + cost);
        }
        for (const units of windows.values()) expect(units).toBeLessThanOrEqual(policy.limit);
      }),
    );
  });

  it('by a fixed window that begins with the first unit, until it ends', () => {
    const first = policies('fixed-window').filter(({ anchor, countRefused }) => anchor === 'first' && !countRefused);
    fc.assert(
      fc.property(first, consume, (policy, trace) => {
        let start = Number.NEGATIVE_INFINITY;
        let units = 0;
        for (const { time, cost } of new Key(policy).play(trace)) {
          if (time >= start + policy.window) {
            start = time;
            units = 0;
          }
          units += cost;
          expect(units).toBeLessThanOrEqual(policy.limit);
        }
      }),
    );
  });

  it('by a sliding counter, by its formula over everything granted so far', () => {
    fc.assert(
      fc.property(policies('sliding-window-counter'), consume, (policy, trace) => {
        const window = BigInt(policy.window);
        const grants = new Key(policy).play(trace);
        for (const [i, { time, cost }] of grants.entries()) {
          const elapsed = BigInt(time % policy.window);
          const start = time - (time % policy.window);
          const current = sum(grants.slice(0, i).filter((grant) => grant.time >= start));
          const previous = sum(grants.filter((grant) => grant.time >= start - policy.window && grant.time < start));
          const counted = (current * window + previous * (window - elapsed)) / window;
          expect(counted + BigInt(cost)).toBeLessThanOrEqual(BigInt(policy.limit));
        }
      }),
    );
  });
});

describe.each(names)('%s', (name) => {
  it('grants exactly its capacity at one instant, in whatever portions', () => {
    const portions = fc.array(fc.integer({ min: 1, max: 1_000_000_000 }), { maxLength: 30 });
    fc.assert(
      fc.property(policies(name), portions, (policy, costs) => {
        const key = new Key(policy);
        let granted = 0;
        for (const cost of costs) if (key.consume(cost).allowed) granted += cost;
        const rest = policy.countRefused ? key.peek(0).remaining : policy.capacity - granted;
        expect(key.consume(rest)).toMatchObject({ allowed: true, remaining: 0 });
        expect(key.consume(1)).toMatchObject({ allowed: false, remaining: 0 });
      }),
    );
  });

  it('grants exactly its capacity at one instant, unit by unit', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 3_000 }), windows, (limit, window) => {
        const key = new Key(compile({ algorithm: name, limit, window }));
        let granted = 0;
        while (key.consume(1).allowed) granted++;
        expect(granted).toBe(limit);
      }),
      { numRuns: 30 },
    );
  });

  it('grants exactly its capacity again once it is fresh', () => {
    fc.assert(
      fc.property(policies(name), steps(['consume'], 10), (policy, trace) => {
        const key = new Key(policy);
        key.play(trace);
        key.now += micros(key.peek(0).resetAfter);
        expect(key.consume(policy.capacity)).toMatchObject({ allowed: true, remaining: 0 });
        expect(key.peek(1).allowed).toBe(false);
      }),
    );
  });

  it.each([
    [10, '1s'],
    [100, '1m'],
    [2_000, '1s'],
    [1, '1ms'],
    [3, '500ms'],
    [7, '1d'],
  ] as const)('grants a batch of %i per %s whole, after every reset', (limit, window) => {
    const key = new Key(compile({ algorithm: name, limit, window }), 1_767_225_600_123_457);
    for (let batch = 0; batch < 3; batch++) {
      for (let unit = 0; unit < limit; unit++) expect(key.consume(1).allowed).toBe(true);
      const refusal = key.consume(1);
      expect(refusal.allowed).toBe(false);
      key.now += micros(refusal.resetAfter);
    }
  });

  it('refuses everything at a limit of 0, for ever', () => {
    fc.assert(
      fc.property(windows, fc.integer({ min: 0, max: 5 }), fc.boolean(), (window, cost, countRefused) => {
        const key = new Key(compile({ algorithm: name, limit: 0, window, countRefused }));
        const refusal = key.consume(cost);
        expect(refusal).toMatchObject({
          allowed: false,
          limit: 0,
          remaining: 0,
          resetAfter: 0,
          retryAfter: Number.POSITIVE_INFINITY,
        });
        expect(key.state).toBeUndefined();
      }),
    );
  });

  it('refuses a cost above the capacity for ever, and takes nothing for it', () => {
    fc.assert(
      fc.property(limits, windows, fc.integer({ min: 1, max: 2 ** 52 }), (limit, window, excess) => {
        const key = new Key(compile({ algorithm: name, limit, window }));
        const refusal = key.consume(limit + excess);
        expect(refusal).toMatchObject({ allowed: false, remaining: limit, retryAfter: Number.POSITIVE_INFINITY });
        expect(key.consume(limit).allowed).toBe(true);
      }),
    );
  });

  it('takes nothing for a cost of 0', () => {
    fc.assert(
      fc.property(policies(name), steps(['consume'], 10), (policy, trace) => {
        const key = new Key(policy);
        key.play(trace);
        const before = key.state;
        const seen = key.peek(1);
        expect(key.consume(0)).toMatchObject({ allowed: key.peek(0).allowed });
        expect(key.state).toBe(before);
        expect(key.peek(1)).toStrictEqual(seen);
        const fresh = key.fresh();
        fresh.consume(0);
        expect(fresh.state).toBeUndefined();
      }),
    );
  });
});
