import type { Charge, Subject } from '../charge.js';
import { type CompiledPolicy, compilePolicies, largestLimit, type Policy } from '../policy.js';

/** What a quota counts, in the words of the drafts. */
export type QuotaUnit = 'requests' | 'content-bytes' | 'concurrent-requests';

/**
 * What a line is for: a limit of the client's own, the ceiling of its neighbourhood, a place among the requests at work,
 * or a look at whether the key is blocked or banned.
 */
export type LineKind = 'limit' | 'ceiling' | 'slot' | 'block' | 'ban';

/** A Line is one policy and its part in a quota. */
export interface Line {
  readonly policy: CompiledPolicy;
  readonly kind: LineKind;
  readonly unit: QuotaUnit;
  /** Percentage of keys for which it refuses; the others it only observes: 100 enforces, 0 is a shadow. */
  readonly percent: number;
  /** The rule it is of, as written; `undefined` for the limiter's own limits. */
  readonly rule: string | undefined;
  readonly tier: string | undefined;
  /** Where a breach of a limit is recorded. */
  readonly block: Line | undefined;
}

/** A Demand is the charge that one request makes to one line. */
export interface Demand extends Charge {
  readonly line: Line;
}

/** Whether two charges are for one and the same state: of a policy, for a key. */
export function isSameState(a: Subject, b: Subject): boolean {
  return a.key === b.key && a.policy.id === b.policy.id;
}

/** A line; what is not said of it is as for one that is always enforced and stands alone. */
export function lineOf(policy: CompiledPolicy, kind: LineKind, more: Partial<Line> = {}): Line {
  const { unit = 'requests', percent = 100, rule, tier, block } = more;
  return { policy, kind, unit, percent, rule, tier, block };
}

/**
 * The line of the neighbourhood that cheap identities must not escape: the numbers of a limit times `factor`. A queue of
 * the neighbourhood delays nobody, so that a leaky bucket's ceiling is a token bucket.
 */
export function ceilingOf({ policy, unit, percent, rule, tier, block }: Line, factor: number, varies = false): Line {
  const { id, name, algorithm, limit, capacity, anchor, countRefused, windowMs } = policy;
  const most = (units: number) => Math.min(units * factor, largestLimit);
  const bucket = algorithm === 'token-bucket' || algorithm === 'leaky-bucket';
  const ceiling: Policy = {
    algorithm: bucket ? 'token-bucket' : (algorithm as Exclude<typeof algorithm, 'penalty'>),
    limit: most(limit),
    window: windowMs,
    countRefused,
  };
  if (bucket && limit > 0) ceiling.burst = most(capacity);
  if (algorithm === 'fixed-window') ceiling.anchor = anchor;
  const compiled = compilePolicies([ceiling], 'identity.ceiling')[0]!;
  // An id that no policy of a user's can have. Keys of other numbers behind the same address have ceilings of their own.
  const numbers = varies ? `-${limit}-${windowMs}-${capacity}` : '';
  const own = { ...compiled, id: `${id}~ceiling${numbers}`, name: `${name}-ceiling` };
  return lineOf(own, 'ceiling', { unit, percent, rule, tier, block });
}
