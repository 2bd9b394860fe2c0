import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { algorithmOf } from '../../src/algorithms/index.ts';
import { compilePenalty, type PenaltyOptions } from '../../src/penalty.ts';
import type { CompiledPolicy } from '../../src/policy.ts';
import { micros } from './arbitraries.ts';
import { Key } from './key.ts';

const minute = 60_000_000;

function blockOf(options: PenaltyOptions): CompiledPolicy {
  return compilePenalty(options, 'penalty', 'test').block!;
}

/** Breaches told one by one, without any of the algorithm's arithmetic. */
class Reference {
  readonly #policy: CompiledPolicy;
  #blocks: { until: number; end: number }[] = [];

  constructor(policy: CompiledPolicy) {
    this.#policy = policy;
  }

  record(now: number): void {
    this.#forget(now);
    const last = this.#blocks.at(-1);
    if (last === undefined || now >= last.until) {
      const number = this.#blocks.length + 1;
      const until = number >= this.#policy.limit ? now + this.#lengthOf(number) : now;
      this.#blocks.push({ until, end: until + this.#policy.penalty!.memory });
    } else if (this.#policy.penalty!.restarts) {
      last.until = now + this.#lengthOf(this.#blocks.length);
      last.end = last.until + this.#policy.penalty!.memory;
    }
  }

  look(now: number) {
    this.#forget(now);
    const last = this.#blocks.at(-1);
    const left = this.#policy.limit - this.#blocks.length;
    const blocked = last !== undefined && now < last.until;
    return {
      allowed: !blocked,
      remaining: blocked ? 0 : Math.max(1, left),
      retryAfter: blocked ? last.until - now : 0,
      resetAfter: last === undefined ? 0 : last.end - now,
    };
  }

  #forget(now: number): void {
    if (this.#blocks.length > 0 && now >= this.#blocks.at(-1)!.end) this.#blocks = [];
  }

  #lengthOf(number: number): number {
    let length = this.#policy.window;
    for (let i = this.#policy.limit; i < number && this.#policy.penalty!.doubles; i++) {
      length = Math.min(length * 2, this.#policy.penalty!.longest);
    }
    return Math.min(length, this.#policy.penalty!.longest);
  }
}

const durations = fc.oneof(fc.integer({ min: 1, max: 20 }), fc.constantFrom(1_000, 60_000, 86_400_000));
const policies = fc
  .record({ limit: fc.integer({ min: 1, max: 4 }), window: durations, factor: fc.integer({ min: 1, max: 40 }) })
  .chain(({ limit, window, factor }) =>
    fc.record({ doubles: fc.boolean(), restarts: fc.boolean(), memory: durations }).map((terms): CompiledPolicy => {
      const policy = blockOf({ blockFor: window });
      const longest = terms.doubles ? policy.window * factor : policy.window;
      return { ...policy, limit, penalty: { ...terms, memory: terms.memory * 1_000, longest } };
    }),
  );

type Step = { gap: (policy: CompiledPolicy, key: Key) => number; cost: number };
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.record({
    cost: fc.constantFrom(0, 1, 1, 1, 7),
    gap: fc.oneof(
      fc.constantFrom<Step['gap'][]>(
        () => 0,
        () => 1,
        ({ window }) => window,
        ({ window }) => window - 1,
        ({ penalty }) => penalty!.memory,
        (_policy, key) => micros(key.peek(0).retryAfter),
        (_policy, key) => Math.max(0, micros(key.peek(0).retryAfter) - 1),
        (_policy, key) => micros(key.peek(0).resetAfter),
        (_policy, key) => Math.max(0, micros(key.peek(0).resetAfter) - 1),
      ),
      fc.integer({ min: 0, max: 30_000 }).map(
        (n): Step['gap'] =>
          () =>
            n,
      ),
    ),
  }),
  { maxLength: 40 },
);

describe('a penalty', () => {
  it('answers as a list of breaches would', () => {
    fc.assert(
      fc.property(policies, steps, (policy, trace) => {
        const key = new Key(policy);
        const reference = new Reference(policy);
        for (const { gap, cost } of trace) {
          key.now += gap(policy, key);
          const told = key.consume(cost);
          if (cost > 0) reference.record(key.now);
          const { retryAfter, resetAfter, ...expected } = reference.look(key.now);
          expect(told).toMatchObject({ ...expected, delay: 0, limit: policy.limit, source: 'store' });
          expect([micros(told.retryAfter), micros(told.resetAfter)]).toEqual([retryAfter, resetAfter]);
        }
      }),
      { numRuns: 1_000 },
    );
  });

  it('promises truly: blocked one microsecond before retryAfter, free at it, and fresh at resetAfter', () => {
    fc.assert(
      fc.property(policies, steps, (policy, trace) => {
        const key = new Key(policy);
        for (const { gap, cost } of trace) {
          key.now += gap(policy, key);
          const { allowed, retryAfter, resetAfter } = key.consume(cost);
          if (!allowed) {
            expect(key.at(key.now + micros(retryAfter) - 1).peek(0).allowed).toBe(false);
            expect(key.at(key.now + micros(retryAfter)).peek(0).allowed).toBe(true);
          }
          expect(key.at(key.now + micros(resetAfter)).peek(0)).toMatchObject({
            resetAfter: 0,
            remaining: policy.limit,
          });
          if (resetAfter > 0) expect(key.at(key.now + micros(resetAfter) - 1).peek(0).resetAfter).toBe(0.001);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('blocks at once a key that has so many breaches left as remaining says', () => {
    fc.assert(
      fc.property(policies, steps, (policy, trace) => {
        const key = new Key(policy);
        for (const { gap, cost } of trace) {
          key.now += gap(policy, key);
          key.consume(cost);
          const { remaining } = key.peek(0);
          const other = key.at(key.now);
          for (let left = remaining; left > 0; left--) expect(other.consume().allowed).toBe(left > 1);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('leaves the state as it is where nothing is recorded', () => {
    const key = new Key(blockOf({ blockFor: '15m', escalate: true }));
    key.consume();
    const { state } = key;
    key.now += minute;
    key.consume();
    key.consume(0);
    key.peek(5);
    key.release(1);
    expect(key.state).toBe(state);
    key.now += 15 * minute;
    key.consume(0);
    expect(key.state).toBe(state);
    key.now += 60 * minute;
    key.release(1);
    expect(key.state).toBeUndefined();
  });

  it('changes nothing when it only looks, though the clock was set back', () => {
    const policy = blockOf({ blockFor: '15m', escalate: true });
    const key = new Key(policy);
    key.consume();
    const { decide } = algorithmOf('penalty');
    const back = key.now - 60 * minute;
    expect(decide(policy, key.state, 1, back, false).state).toBe(key.state);
    expect(decide(policy, key.state, 0, back, true).state).not.toBe(key.state);
  });

  it('forgets a single block at its end, so that no state outlasts it', () => {
    const key = new Key(blockOf({ blockFor: '15m' }));
    const { retryAfter, resetAfter } = key.consume();
    expect([retryAfter, resetAfter]).toEqual([900_000, 900_000]);
  });

  it('still counts whole microseconds when a block has doubled far beyond the longest', () => {
    const key = new Key(blockOf({ blockFor: 1, escalate: true, longest: '366d', forgetAfter: '366d' }));
    for (let i = 0; i < 2_000; i++) {
      const { retryAfter } = key.consume();
      expect(micros(retryAfter)).toBe(Math.min(2 ** i * 1_000, 366 * 86_400_000_000));
      key.now += micros(retryAfter);
    }
  });
});

describe('a penalty, when the clock is set back', () => {
  const setbacks = fc.oneof(fc.integer({ min: 1, max: 2_000 }), fc.integer({ min: 1, max: 2 * 86_400_000_000 }));

  it('blocks nobody for longer than the longest block, and remembers nothing for longer than it would', () => {
    fc.assert(
      fc.property(policies, steps, setbacks, fc.constantFrom(0, 1), (policy, trace, setback, cost) => {
        const key = new Key(policy);
        for (const { gap, cost } of trace) {
          key.now += gap(policy, key);
          key.consume(cost);
        }
        const { remaining } = key.peek(0);
        key.now -= setback;
        expect(key.peek(0).remaining).toBeLessThanOrEqual(remaining);
        const { retryAfter, resetAfter } = key.consume(cost);
        expect(micros(retryAfter)).toBeLessThanOrEqual(policy.penalty!.longest);
        expect(micros(resetAfter)).toBeLessThanOrEqual(policy.penalty!.longest + policy.penalty!.memory);
        // The state is brought back with it.
        key.now += policy.penalty!.longest;
        expect(key.peek(0).allowed).toBe(true);
        key.now += policy.penalty!.memory;
        expect(key.peek(0).resetAfter).toBe(0);
      }),
      { numRuns: 500 },
    );
  });

  it('blocks no longer than the present block, though later ones may be', () => {
    const key = new Key(blockOf({ blockFor: '15m', escalate: true }));
    key.consume();
    key.now -= 5 * 60 * minute;
    expect(key.peek(0).retryAfter).toBe(900_000);
  });
});

describe('a penalty whose terms change', () => {
  it('ends a block by the shorter one', () => {
    const key = new Key(blockOf({ blockFor: '1d' }));
    key.consume();
    key.policy = blockOf({ blockFor: '1m' });
    expect(key.peek(0).retryAfter).toBe(60_000);
  });

  it('ends a block that has begun when it was to end, under a longer one', () => {
    const key = new Key(blockOf({ blockFor: '1m' }));
    key.consume();
    key.policy = blockOf({ blockFor: '1d' });
    expect(key.peek(0).retryAfter).toBe(60_000);
  });

  it('keeps a block under a raised limit', () => {
    const ban = (banAfter: number) => compilePenalty({ banAfter }, 'penalty', 'test').ban!;
    const key = new Key(ban(1));
    key.consume();
    key.policy = ban(3);
    expect(key.peek(0)).toMatchObject({ allowed: false, retryAfter: 86_400_000 });
    key.now += 1_440 * minute;
    expect(key.peek(0)).toMatchObject({ allowed: true, remaining: 2 });
  });
});
