/** Where a decision came from: the store itself, or one of the ways to answer without it. */
export type DecisionSource = 'store' | 'lease' | 'deny-cache' | 'fallback' | 'open' | 'closed';

/** A Decision says whether a request may pass, and what its key has left. Durations are milliseconds to the microsecond. */
export interface Decision {
  readonly allowed: boolean;
  /** Name of the policy that decided: the one that refused, else the one with the least left. */
  readonly policy: string;
  /** Units the policy grants per window. */
  readonly limit: number;
  /** Whole units that could be taken right now. */
  readonly remaining: number;
  /** Time until the key is as fresh as new if nobody takes anything; 0 when it is. */
  readonly resetAfter: number;
  /**
   * For a refusal, the time after which the same cost is granted if nobody else takes anything: refused one tick
   * before, granted exactly then. `Infinity` when the cost can never pass; 0 when it passed.
   */
  readonly retryAfter: number;
  /** Time to hold a granted request so that a leaky bucket's output is even; 0 for every other algorithm. */
  readonly delay: number;
  /** The store's clock at the decision, in milliseconds since the epoch. */
  readonly at: number;
  readonly source: DecisionSource;
  /** Each policy's own answer, in the order of configuration, where several were asked. */
  readonly policies?: readonly Decision[];
}

/**
 * Combines the answers of several policies into one: a refusal before a grant, among refusals the longest
 * `retryAfter`, among grants the least `remaining`; `delay` is the longest of all.
 */
export function combine(decisions: readonly Decision[]): Decision {
  let chosen = decisions[0]!;
  if (decisions.length === 1) return chosen;
  let delay = chosen.delay;
  for (let i = 1; i < decisions.length; i++) {
    const other = decisions[i]!;
    if (governs(other, chosen)) chosen = other;
    if (other.delay > delay) delay = other.delay;
  }
  const { allowed, policy, limit, remaining, resetAfter, retryAfter, at, source } = chosen;
  if (!allowed) delay = 0;
  // Field by field: a spread would take longer than all the rest of a request of two policies.
  return { allowed, policy, limit, remaining, resetAfter, retryAfter, delay, at, source, policies: decisions };
}

/** Whether `a` says more about what comes next than `b`. */
export function governs(a: Decision, b: Decision): boolean {
  if (a.allowed !== b.allowed) return b.allowed;
  if (!a.allowed) return a.retryAfter > b.retryAfter;
  return a.remaining < b.remaining || (a.remaining === b.remaining && a.resetAfter > b.resetAfter);
}

/** A DecisionEvent tells an observer of one decision. */
export interface DecisionEvent<R = unknown> {
  readonly decision: Decision;
  /** Who was limited, as the store knows it: identifiers that may be secret are hashed. */
  readonly key: string;
  readonly cost: number;
  /** The framework's request, where there is one. */
  readonly request?: R;
}
