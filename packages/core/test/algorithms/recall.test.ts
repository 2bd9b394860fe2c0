import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { algorithmOf } from '../../src/algorithms/index.ts';
import type { AlgorithmName, CompiledPolicy, Decision } from '../../src/index.ts';
import { compilePenalty } from '../../src/penalty.ts';
import { buckets, micros, names, policies, steps } from './arbitraries.ts';
import { Key } from './key.ts';

const trace = steps(['consume'], 20);
const later = fc.array(
  fc.integer({ min: 0, max: 2_000 }).map((n) => n / 1_000),
  { minLength: 1, maxLength: 10 },
);

/** What somebody knows of a key who is told of some of the decisions on it. */
function recalled(key: Key, told: Decision, before?: unknown): Key {
  const state = algorithmOf(key.policy.algorithm).recall(key.policy, told, before);
  return new Key(key.policy, key.now, told.resetAfter > 0 ? state : undefined);
}

/** Units that the two have at instants between now and two windows from now. */
function* remainings(keys: readonly Key[], parts: readonly number[]): Iterable<readonly number[]> {
  for (const part of parts) {
    yield keys.map((key) => key.at(key.now + Math.round(part * key.policy.window)).peek(0).remaining);
  }
}

/** How many units less may be known: of a bucket what refills in a tick, of a counter what an instant cannot tell apart. */
function slack({ algorithm, rate, unit, limit, window, tick }: CompiledPolicy): number {
  if (buckets.includes(algorithm as AlgorithmName)) return Math.ceil(rate / unit) + 1;
  if (algorithm !== 'sliding-window-counter' || limit * (limit + 1) < window / tick) return 0;
  return Math.min(limit, Math.ceil((limit * (limit + 1) * tick) / window) + 1);
}

describe.each(names)('the state of a %s that a decision tells of', (name) => {
  it('has as much left as the decision says, and never more than the key itself', () => {
    fc.assert(
      fc.property(policies(name), trace, later, (policy, played, parts) => {
        const key = new Key(policy);
        key.play(played);
        const told = key.peek(0);
        const known = recalled(key, told);
        expect(known.peek(0).remaining).toBeGreaterThanOrEqual(told.remaining - slack(policy));
        for (const [own, theirs] of remainings([key, known], [0, ...parts])) expect(theirs!).toBeLessThanOrEqual(own!);
      }),
    );
  });

  it('is as exact for who was told of some decisions before', () => {
    fc.assert(
      fc.property(policies(name), fc.array(trace, { minLength: 1, maxLength: 6 }), later, (policy, traces, parts) => {
        const key = new Key(policy);
        let state: unknown;
        for (const played of traces) {
          key.play(played);
          const told = key.peek(0);
          const known = recalled(key, told, state);
          state = known.state;
          expect(known.peek(0).remaining).toBeGreaterThanOrEqual(told.remaining - slack(policy));
          for (const [own, theirs] of remainings([key, known], [0, ...parts]))
            expect(theirs!).toBeLessThanOrEqual(own!);
        }
      }),
    );
  });

  it('is fresh when the key is, to the tick', () => {
    fc.assert(
      fc.property(policies(name), trace, (policy, played) => {
        const key = new Key(policy);
        key.play(played);
        const told = key.peek(0);
        const known = recalled(key, told);
        expect(micros(known.peek(0).resetAfter)).toBeGreaterThanOrEqual(micros(told.resetAfter));
        expect(micros(known.peek(0).resetAfter)).toBeLessThanOrEqual(micros(told.resetAfter) + 2 * policy.tick);
      }),
    );
  });

  it('is worse of two if it never grants more than either', () => {
    fc.assert(
      fc.property(policies(name), trace, trace, later, (policy, one, two, parts) => {
        const a = new Key(policy);
        const b = new Key(policy);
        a.play(one);
        b.play(two);
        const now = Math.max(a.now, b.now);
        if (a.state === undefined || b.state === undefined) return;
        const worse = algorithmOf(name).worse(policy, a.state, b.state, now);
        const keys = [a.at(now), b.at(now), new Key(policy, now, worse)];
        for (const [ofA, ofB, both] of remainings(keys, [0, ...parts])) {
          expect(both!).toBeLessThanOrEqual(Math.min(ofA!, ofB!));
          if (name === 'sliding-window-log') expect(both).toBe(Math.min(ofA!, ofB!));
        }
      }),
    );
  });
});

describe('the state of a penalty that a decision tells of', () => {
  const { block, ban } = compilePenalty({ blockFor: '1m', escalate: true, banAfter: 3 }, 'penalty', 'test');

  it('is blocked for as long as the key, also where blocks escalate', () => {
    const key = new Key(block!);
    for (let breaches = 0; breaches < 4; breaches++) {
      const told = key.consume();
      const known = recalled(key, told);
      expect(known.peek(0)).toMatchObject({ allowed: false, retryAfter: told.retryAfter });
      key.now += micros(told.retryAfter) - 1;
      expect(known.at(key.now).peek(0).allowed).toBe(false);
      key.now += 1;
      expect(known.at(key.now).peek(0).allowed).toBe(true);
    }
  });

  it('remembers the breaches of a key that is not blocked yet', () => {
    const key = new Key(ban!);
    for (let breaches = 0; breaches < 2; breaches++) {
      const known = recalled(key, key.consume());
      expect(known.peek(0)).toStrictEqual(key.peek(0));
    }
    const known = recalled(key, key.peek(0));
    expect(known.consume()).toStrictEqual(key.consume());
  });
});
