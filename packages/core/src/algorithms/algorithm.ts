import type { Decision } from '../decision.js';
import type { CompiledPolicy } from '../policy.js';
import type { Cells } from './cells.js';

/** An Outcome is a decision, and the state to keep until the decision's `resetAfter` has passed; it says nothing then. */
export interface Outcome<S> {
  /** The very object passed in, where nothing changed; `undefined` where nothing was ever taken. */
  readonly state: S | undefined;
  readonly decision: Decision;
}

/** What a decision tells of the state of its key. */
export type Told = Pick<Decision, 'remaining' | 'resetAfter' | 'at'> & Partial<Pick<Decision, 'retryAfter'>>;

/**
 * An Algorithm is a pure function of the state before, the policy, the cost and the time now. Times are integer
 * microseconds. Should the time go backwards, nothing is refilled, and the state is brought back to now, so that
 * nobody is refused for longer than a window.
 */
export interface Algorithm<S> {
  /** Decides on `cost` units, and takes them if `take` is set and they are granted. */
  decide(policy: CompiledPolicy, state: S | undefined, cost: number, now: number, take: boolean): Outcome<S>;
  /** Gives `units` back, those granted at `at` where that matters; never above the capacity. */
  giveBack(policy: CompiledPolicy, state: S, units: number, at: number | undefined, now: number): S | undefined;
  /**
   * The state that a decision tells of, or one that grants no more from then on. `before` is what was known of the key
   * until then.
   */
  recall(policy: CompiledPolicy, told: Told, before: S | undefined): S;
  /** A state that from now on grants no more than either of two. */
  worse(policy: CompiledPolicy, a: S, b: S, now: number): S;
  /** How a state is kept in a few words; absent where its size varies. */
  readonly cells?: Cells<S>;
}

/** Builds a decision from instants in microseconds. One place, so that all decisions have one shape. */
export function decision(
  policy: CompiledPolicy,
  allowed: boolean,
  remaining: number,
  now: number,
  freshAt: number,
  retryAt: number,
  grantedFrom: number,
): Decision {
  return {
    allowed,
    policy: policy.name,
    limit: policy.limit,
    remaining: Math.max(0, remaining),
    resetAfter: freshAt > now ? (freshAt - now) / 1_000 : 0,
    retryAfter: allowed ? 0 : (retryAt - now) / 1_000,
    delay: allowed && grantedFrom > now ? (grantedFrom - now) / 1_000 : 0,
    at: now / 1_000,
    source: 'store',
  };
}
