import type { DecisionSource } from '@sluice/core';

/** What became of a request, as it is counted. */
export type Outcome = 'allowed' | 'refused' | 'shadow-refused';

/** One decision, as it is counted. None of its texts is a secret; `key` is as the store knows it. */
export interface CountedDecision {
  readonly outcome: Outcome;
  readonly source: DecisionSource;
  /** The id of the rule; `undefined` for the default limits. */
  readonly rule: string | undefined;
  /** The pattern of the rule that matched, else the path that was asked for. */
  readonly endpoint: string | undefined;
  readonly tier: string | undefined;
  readonly key: string;
}

export type Dimension = 'rule' | 'endpoint' | 'tier' | 'decision';

/** Counts of one interval of one series. */
export interface Point {
  /** Its start, in RFC 3339. */
  readonly at: string;
  readonly allowed: number;
  readonly refused: number;
  readonly shadow_refused: number;
  /** How many decisions came from each source; sources without any are left out. */
  readonly sources: { readonly [source in DecisionSource]?: number };
}

export interface Series {
  /** The rule's id, the endpoint, the tier or the decision; `(none)` where there was none, `(other)` beyond the bound. */
  readonly name: string;
  readonly points: readonly Point[];
}

export interface SeriesQuery {
  /** Milliseconds since the epoch; from is inclusive, to exclusive. */
  readonly from: number;
  readonly to: number;
  readonly by: Dimension;
  /** Milliseconds: whole minutes. */
  readonly step: number;
}

export interface TopQuery {
  readonly by: 'refused' | 'requests';
  readonly n: number;
  /** Milliseconds: the latest so many. */
  readonly window: number;
}

/** A heavy hitter: at least `count - error` and at most `count` decisions. */
export interface Hitter {
  readonly key: string;
  readonly count: number;
  readonly error: number;
}

/**
 * Analytics count decisions per minute, kept for a day, and per hour, kept for 30 days, over all instances of the
 * service. Counting never waits, never fails and takes bounded memory.
 */
export interface Analytics {
  count(decision: CountedDecision): void;
  /** Of all instances; those others have counted within the last second may be missing. */
  series(query: SeriesQuery): Promise<readonly Series[]>;
  top(query: TopQuery): Promise<readonly Hitter[]>;
  /** Hands over what has been counted. */
  flush(): Promise<void>;
  close(): Promise<void>;
}
