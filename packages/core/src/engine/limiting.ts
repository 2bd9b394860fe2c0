import type { AlgorithmName } from '../algorithms/index.js';
import type { Duration } from '../duration.js';
import type { Lists } from '../identity/access-list.js';
import type { MaybePromise } from '../maybe-promise.js';
import type { PenaltyOptions } from '../penalty.js';
import type { Policy, PolicyText } from '../policy.js';

/**
 * Whether limits refuse: `enforce`; or only count, and report what they would have refused: `shadow`; or are as if they
 * were not written: `off`.
 */
export type Mode = 'enforce' | 'shadow' | 'off';

export interface Enforcement {
  /** @default 'enforce' */
  mode?: Mode;
  /** Refuses so many percent of the keys, always the same ones, and is a shadow for the others. @default 100 */
  enforcePercent?: number;
}

/** A policy of the middleware: as in core, and whether and in which unit it is enforced. */
export interface LimitPolicy extends Policy, Enforcement {
  /** What the costs count, as the `RateLimit` fields tell it. @default 'requests' */
  unit?: 'requests' | 'content-bytes';
}

export type LimitInput = PolicyText | LimitPolicy;

/** The limits of each tier, by its name; `false` for a tier that is not limited. */
export type Tiers = Readonly<Record<string, LimitInput | readonly LimitInput[] | false>>;

/**
 * Who is limited: the address, the user (without one, the address), the API key (without one, the address), or whom a
 * function names. Of a list of parts, no two lists are taken for one another; `false` is not limited.
 */
export type KeySource<R> =
  | 'ip'
  | 'user'
  | 'api-key'
  | ((request: R) => MaybePromise<string | readonly string[] | false>);

export interface Concurrency {
  /** Requests at work at a time. */
  limit: number;
  /** After so long a request's place is free again even if no response has ended it: the longest you expect. @default '10m' */
  timeout?: Duration;
}

/** What a limiter, and each of its rules, says about limits. */
export interface Limiting<R> extends Enforcement {
  /** Names the policies, in decisions, header fields and store keys: 1 to 64 characters of `[A-Za-z0-9_-]`. */
  name?: string;
  /** Units per window; `false` for no limit. */
  limit?: number | false | ((request: R) => MaybePromise<number>);
  window?: Duration | ((request: R) => MaybePromise<Duration>);
  /** @default 'sliding-window-counter', or 'token-bucket' where a burst is given */
  algorithm?: AlgorithmName;
  /** Units that may be taken at once, for the two buckets. @default limit */
  burst?: number;
  /** Where fixed windows begin. @default 'epoch' */
  anchor?: Policy['anchor'];
  /** Charges refused requests too. @default false */
  countRefused?: boolean;
  /** Several policies instead of one: all grant, or none is charged. */
  limits?: readonly LimitInput[];
  /** Limits by tier, instead. */
  tiers?: Tiers;
  /** Units that a request takes. @default 1 */
  cost?: number | ((request: R) => MaybePromise<number>);
  /** Requests of one key at work at a time. */
  concurrency?: number | Concurrency;
  /** Blocks a key for a while after a refusal; a duration alone is `blockFor`. */
  penalty?: PenaltyOptions | Duration;
}

/**
 * A Rule limits the requests of a route. Of several that match, the one of the highest priority counts, and of several
 * such the most specific, whatever their order.
 */
export interface Rule<R> extends Limiting<R> {
  /**
   * Methods and path: `'POST /login'`, `'GET,PUT /files/:id'`, `'/uploads/*'`. A parameter is one segment, a wildcard at
   * the end everything below and the path itself. HEAD counts as GET. No spelling of a path escapes its rule.
   */
  match: string;
  /**
   * Of several rules that match, one of a higher priority counts before any of a lower: an integer from -1000 to 1000.
   * @default 0
   */
  priority?: number;
  /** The one tier that the rule is for; without, it is for all. For the same path, it goes before a rule for all. */
  tier?: string;
  /** Rules of one group count together. One of them gives the limits. */
  group?: string;
  /** Counts beside the limiter's own limits instead of replacing them. @default false */
  stack?: boolean;
  /** @default as the limiter: its `key`, or the identity */
  by?: KeySource<R>;
  /**
   * Whom this rule never limits, and whom it always refuses, with 403: clients as in the limiter's `lists`, and what `by`
   * returns.
   */
  lists?: Lists;
}

const single = ['limit', 'window', 'algorithm', 'burst', 'anchor', 'countRefused'] as const;
export const limitingNames = [
  'name',
  ...single,
  'limits',
  'tiers',
  'mode',
  'enforcePercent',
  'cost',
  'concurrency',
  'penalty',
] as const;

/** What is granted where nothing is said. */
export const usual = { limit: 1_000, window: '1h' } as const;

/** The options that describe the one policy which is not listed. */
export const singlePolicy: readonly (typeof single)[number][] = single;
