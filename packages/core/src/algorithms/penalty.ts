import { micros } from '../duration.js';
import type { CompiledPolicy } from '../policy.js';
import { type Algorithm, decision } from './algorithm.js';
import { firstAt, instantAt, secondAt, writeCells } from './cells.js';

/** What a penalty policy says besides its limit and window; durations are microseconds. */
export interface PenaltyTerms {
  /** Each breach beyond the limit blocks for twice as long as the one before. */
  readonly doubles: boolean;
  /** No block is longer. */
  readonly longest: number;
  /** How long breaches are remembered after the last one, or after the end of its block. */
  readonly memory: number;
  /** A breach while the key is blocked starts the block anew. */
  readonly restarts: boolean;
}

/** Breaches that are remembered until `forgetAt`; the key is blocked before `until`. */
export interface PenaltyState {
  readonly breaches: number;
  readonly until: number;
  readonly forgetAt: number;
}

/**
 * Counts breaches, and blocks a key for the policy's window from the breach on that reaches the limit.
 *
 * A cost of 0 looks: it passes unless the key is blocked. Any other cost records one breach, and the answer says whether
 * the key is blocked now. That answer is a refusal which changes the state, unlike those of every other algorithm: to
 * record is what it was asked for. Nothing is recorded while the key is blocked, so that fifty refusals at once are one
 * breach; without `take`, every cost looks. `remaining` is how many breaches it takes to be blocked.
 */
export const penalty: Algorithm<PenaltyState> = {
  decide(policy, state, cost, now, take) {
    const { restarts } = termsOf(policy);
    const before = present(policy, state, now);
    const blocked = before !== undefined && now < before.until;

    let after = before;
    if (take && cost > 0) {
      // One more, whatever the cost: a large request that was refused is no worse than a small one.
      if (!blocked) after = breach(policy, (before?.breaches ?? 0) + 1, now);
      else if (restarts) after = block(policy, before.breaches, now);
    }
    const until = after?.until ?? 0;
    const allowed = now >= until;
    const remaining = allowed ? Math.max(1, policy.limit - (after?.breaches ?? 0)) : 0;
    return {
      state: take ? after : state,
      decision: decision(policy, allowed, remaining, now, after?.forgetAt ?? now, until, now),
    };
  },

  /** A breach is not undone by giving units back. */
  giveBack: (_policy, state, _units, _at, now) => (now < state.forgetAt ? state : undefined),

  recall(policy, { remaining, resetAfter, retryAfter = 0, at }, before) {
    const { limit } = policy;
    const now = micros(at);
    const forgetAt = now + micros(resetAfter);
    if (remaining > 0) {
      const known = before === undefined ? 0 : before.breaches;
      return { breaches: remaining > 1 ? limit - remaining : Math.max(known, limit - 1), until: 0, forgetAt };
    }
    const { doubles, longest } = termsOf(policy);
    let breaches = Math.max(before === undefined ? 0 : before.breaches, limit);
    // So many that a block may last so long.
    const left = Math.min(micros(retryAfter), longest);
    while (doubles && duration(policy, breaches) < left) breaches++;
    return { breaches, until: now + micros(retryAfter), forgetAt };
  },

  worse: (_policy, a, b) => ({
    breaches: Math.max(a.breaches, b.breaches),
    until: Math.max(a.until, b.until),
    forgetAt: Math.max(a.forgetAt, b.forgetAt),
  }),

  cells: {
    read(words, at, policy) {
      const forgetAt = instantAt(words, at);
      const isBlocked = secondAt(words, at) === 1;
      return { breaches: firstAt(words, at), until: isBlocked ? forgetAt - termsOf(policy).memory : 0, forgetAt };
    },
    // The end of a block follows from when it is forgotten, but after a step back of the clock.
    write: (words, at, { breaches, until, forgetAt }, policy) =>
      (until === 0 || until === forgetAt - termsOf(policy).memory) &&
      writeCells(words, at, forgetAt, breaches, until === 0 ? 0 : 1),
    freshAt: instantAt,
  },
};

/**
 * What is remembered at `now`. After a step back of the clock, or under a shorter block than when it began, a block ends
 * a block's duration from now at the latest.
 */
function present(policy: CompiledPolicy, state: PenaltyState | undefined, now: number): PenaltyState | undefined {
  if (state === undefined || now >= state.forgetAt) return undefined;
  const until = Math.min(state.until, now + duration(policy, state.breaches));
  const forgetAt = Math.min(state.forgetAt, Math.max(until, now) + termsOf(policy).memory);
  return until === state.until && forgetAt === state.forgetAt ? state : { breaches: state.breaches, until, forgetAt };
}

function breach(policy: CompiledPolicy, breaches: number, now: number): PenaltyState {
  if (breaches >= policy.limit) return block(policy, breaches, now);
  return { breaches, until: 0, forgetAt: now + termsOf(policy).memory };
}

function block(policy: CompiledPolicy, breaches: number, now: number): PenaltyState {
  const until = now + duration(policy, breaches);
  return { breaches, until, forgetAt: until + termsOf(policy).memory };
}

/** How long the breach of that number blocks. */
function duration(policy: CompiledPolicy, breaches: number): number {
  const { doubles, longest } = termsOf(policy);
  const times = doubles ? 2 ** Math.max(0, breaches - policy.limit) : 1;
  return Math.min(policy.window * times, longest);
}

/** Every policy of this algorithm has terms: only `compilePenalty` makes one. */
function termsOf(policy: CompiledPolicy): PenaltyTerms {
  return policy.penalty!;
}
