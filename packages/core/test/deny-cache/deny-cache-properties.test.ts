import { ManualClock } from '@sluice/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { combine } from '../../src/decision.ts';
import {
  type Charge,
  type CompiledPolicy,
  compilePenalty,
  type Decision,
  DenyCache,
  MemoryStore,
  type Refund,
} from '../../src/index.ts';
import { compile, micros, names, newYear } from '../algorithms/arbitraries.ts';

/** One key under one policy; its limit is raised to the next variant now and then, and never lowered. */
interface Line {
  readonly key: string;
  readonly variants: readonly CompiledPolicy[];
}

/** A move on some of the lines, given as bits. */
interface Move {
  readonly ask: 'consume' | 'peek' | 'release' | 'return' | 'reset' | 'raise';
  readonly lines: number;
  readonly cost: number;
  /** What passes before, by the last decision on the first of the lines: microseconds. */
  readonly gap: (last: Decision) => number;
  readonly which: number;
}

const { block } = compilePenalty({ blockFor: '1m', restart: true }, 'penalties', 'test');
const { ban } = compilePenalty({ blockFor: '10s', banAfter: 2, banFor: '1h' }, 'penalties', 'test');

/** Small limits, so that most requests meet one. */
const limits = fc
  .record({
    algorithm: fc.constantFrom(...names),
    limit: fc.integer({ min: 1, max: 4 }),
    window: fc.constantFrom(7, 1_000, 60_000),
    countRefused: fc.integer({ min: 0, max: 7 }).map((n) => n === 0),
  })
  .map((policy): readonly CompiledPolicy[] => [compile(policy), compile({ ...policy, limit: policy.limit + 2 })]);

const lines: fc.Arbitrary<readonly Line[]> = fc
  .array(
    fc.record({
      key: fc.constantFrom('alice', 'alice', 'bob'),
      variants: fc.oneof(
        { weight: 6, arbitrary: limits },
        { weight: 1, arbitrary: fc.constantFrom<(readonly CompiledPolicy[])[]>([block!], [ban!]) },
      ),
    }),
    { minLength: 1, maxLength: 3 },
  )
  .map((lines) =>
    lines.map(({ key, variants }, i) => ({
      key,
      variants: variants.map((policy) => ({ ...policy, name: `p${i}`, id: `${policy.id}:p${i}` })),
    })),
  );

const gaps: fc.Arbitrary<Move['gap']> = fc.oneof(
  fc.constantFrom<Move['gap'][]>(
    () => 0,
    () => 0,
    () => 0,
    () => 0,
    () => 1,
    ({ retryAfter }) => micros(retryAfter) - 1,
    ({ retryAfter }) => micros(retryAfter),
    ({ retryAfter }) => Math.floor(micros(retryAfter) / 3),
    ({ resetAfter }) => micros(resetAfter),
  ),
  fc.integer({ min: 1, max: 2_000 }).map((n) => () => n),
);

function movesOf(asks: readonly Move['ask'][]): fc.Arbitrary<readonly Move[]> {
  const move = fc.record({
    ask: fc.constantFrom(...asks),
    lines: fc.constantFrom(1, 2, 6, 7, 7, 7, 7),
    cost: fc.constantFrom(1, 1, 1, 1, 1, 2, 3, 0, 5),
    gap: gaps,
    which: fc.nat(),
  });
  return fc.array(move, { minLength: 1, maxLength: 60, size: 'max' });
}

/** Plays a trace through a bare store and one with a deny cache, and hands over the answers to each request. */
function play(
  lines: readonly Line[],
  moves: readonly Move[],
  see: (bare: readonly Decision[], cached: readonly Decision[], charges: readonly Charge[]) => void,
): void {
  const clock = new ManualClock(newYear / 1_000);
  const [bare, store] = [new MemoryStore({ clock }), new MemoryStore({ clock })];
  const cached = new DenyCache(store, { clock, recheck: '1h' });
  const variant = lines.map(() => 0);
  const policyOf = (i: number) => lines[i]!.variants[variant[i]!]!;
  const last = lines.map(({ key }, i) => bare.peek([{ policy: policyOf(i), key, cost: 0 }])[0]!);
  const grants: (readonly Refund[])[] = [];
  for (const { ask, gap, lines: bits, cost, which } of moves) {
    const named = [...lines.keys()].filter((i) => (bits >> i) & 1);
    const asked = named.length > 0 ? named : [0];
    const wait = gap(last[asked[0]!]!);
    if (Number.isFinite(wait)) clock.jump(Math.max(0, wait) / 1_000);
    const charges = asked.map((i) => {
      const policy = policyOf(i);
      // Two of three times, a penalty is only looked at.
      return { policy, key: lines[i]!.key, cost: policy.penalty && which % 3 > 0 ? 0 : cost };
    });
    if (ask === 'raise') {
      for (const i of asked) variant[i] = lines[i]!.variants.length - 1;
    } else if (ask === 'reset') {
      for (const one of [bare, cached]) one.reset(charges[0]!.key, [charges[0]!.policy]);
    } else if (ask === 'release') {
      for (const one of [bare, cached]) one.release(charges);
    } else if (ask === 'return') {
      const [refunds] = grants.splice(which % Math.max(1, grants.length), 1);
      if (refunds !== undefined) for (const one of [bare, cached]) one.release(refunds);
    } else {
      const decisions = bare[ask](charges);
      for (const [d, i] of asked.entries()) last[i] = decisions[d]!;
      see(decisions, cached[ask](charges) as readonly Decision[], charges);
      if (ask === 'consume' && decisions.every(({ allowed }) => allowed)) {
        grants.push(charges.map((charge, i) => ({ ...charge, at: decisions[i]!.at })));
      }
    }
  }
  for (const one of [bare, store]) one.close();
}

const isRepeated = (decisions: readonly Decision[]) => decisions.some(({ source }) => source === 'deny-cache');

describe('any requests, refunds and resets of one process', () => {
  it('are granted and refused as without a deny cache, and told to wait no longer', () => {
    const others = ['peek', 'release', 'return', 'reset', 'raise'] as const;
    const moves = movesOf([...Array<'consume'>(25).fill('consume'), ...others]);
    let repeats = 0;
    let exact = 0;
    fc.assert(
      fc.property(lines, moves, (lines, moves) =>
        play(lines, moves, (bare, cached) => {
          if (!isRepeated(cached)) {
            expect(cached).toEqual(bare);
            return;
          }
          const [theirs, ours] = [combine(bare), combine(cached)];
          expect(ours).toMatchObject({ allowed: false, source: 'deny-cache', at: theirs.at });
          expect(theirs.allowed).toBe(false);
          // What was granted since, or a dearer request, may make the wait longer.
          expect(ours.retryAfter).toBeLessThanOrEqual(theirs.retryAfter);
          repeats++;
          if (ours.retryAfter === theirs.retryAfter) exact++;
        }),
      ),
      { numRuns: 2_000 },
    );
    expect(repeats).toBeGreaterThan(1_000);
    expect(exact).toBeGreaterThan(repeats / 2);
  });
});

describe('a refused request that is made again, with none in between', () => {
  it('is told what the store would tell it, at any time', () => {
    let repeats = 0;
    fc.assert(
      fc.property(lines, movesOf(['consume']), (lines, moves) => {
        let isRefused = false;
        // All of the same cost on all of the lines.
        const same = moves.map((move) => ({ ...move, lines: 7, cost: moves[0]!.cost, which: 1 }));
        play(lines, same, (bare, cached) => {
          if (isRepeated(cached)) {
            expect(isRefused).toBe(true);
            expect(cached.map(told)).toEqual(bare.map(told));
            repeats++;
          }
          isRefused = bare.some(({ allowed }) => !allowed);
        });
      }),
      { numRuns: 2_000 },
    );
    expect(repeats).toBeGreaterThan(5_000);
  });
});

/** All but what changes with what has come back meanwhile, of which only the store tells. */
function told({ allowed, policy, limit, resetAfter, retryAfter, at }: Decision): object {
  return { allowed, policy, limit, resetAfter, retryAfter, at };
}
