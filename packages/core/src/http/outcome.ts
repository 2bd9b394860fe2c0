import type { RefusalKind } from '../engine/judgement.js';
import type { RequestDecision } from './ledger.js';

/**
 * What a request comes to where nobody answers it here: it passes because it is not limited (`skipped`, `allow-listed`,
 * `unlimited`), because its limits grant it (`granted`), or does not, for the reason given.
 */
export interface Outcome {
  readonly kind: 'skipped' | 'allow-listed' | 'unlimited' | 'granted' | RefusalKind;
  /** Of a request that is limited, or on the block list. */
  readonly decision: RequestDecision | undefined;
  /** Who sends it, as the store knows him; `undefined` for whom `skip` or `key` exempts. */
  readonly key: string | undefined;
  /** The rule that applied, as it is written. */
  readonly rule: string | undefined;
  readonly tier: string | undefined;
}
