import type { CountedDecision } from '../../src/analytics/analytics.ts';

/** A decision as it is counted, of alice's and by no rule unless it says otherwise. */
export function decision(fields: Partial<CountedDecision> = {}): CountedDecision {
  return {
    outcome: 'allowed',
    source: 'store',
    rule: undefined,
    endpoint: undefined,
    tier: undefined,
    key: 'user:alice',
    ...fields,
  };
}
