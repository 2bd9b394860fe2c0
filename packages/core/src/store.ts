import type { Charge, Refund } from './charge.js';
import type { Decision } from './decision.js';
import { SluiceError, show } from './errors.js';
import type { MaybePromise } from './maybe-promise.js';
import type { CompiledPolicy } from './policy.js';

/**
 * A Store owns state and takes units from keys atomically.
 *
 * A charge list names each pair of policy and key at most once. Whoever implements this should pass `storeSuite` of
 * `@sluice/testing`.
 */
export interface Store {
  /**
   * Takes every charge, or none, in one atomic step. Answers with one decision per charge, each policy's own: when
   * one refuses, the others still say whether they would have granted, and what they have left.
   */
  consume(charges: readonly Charge[]): MaybePromise<readonly Decision[]>;
  /** Answers as `consume` would, and takes nothing; `remaining` is what is left as things stand. */
  peek(charges: readonly Charge[]): MaybePromise<readonly Decision[]>;
  /** Gives units back, never above the capacity. */
  release(refunds: readonly Refund[]): MaybePromise<void>;
  /** Forgets what `key` has taken from the policies. */
  reset(key: string, policies: readonly CompiledPolicy[]): MaybePromise<void>;
  /** Throws for a policy that this store cannot keep. A limiter asks when it is created. */
  check?(policy: CompiledPolicy): void;
  close?(): MaybePromise<void>;
}

/** A SyncStore answers at once: `consumeSync` works, and no request waits for a microtask it does not need. */
export interface SyncStore extends Store {
  readonly sync: true;
  consume(charges: readonly Charge[]): readonly Decision[];
  peek(charges: readonly Charge[]): readonly Decision[];
  release(refunds: readonly Refund[]): void;
  reset(key: string, policies: readonly CompiledPolicy[]): void;
}

export function isSyncStore(store: Store): store is SyncStore {
  return (store as Partial<SyncStore>).sync === true;
}

/** @throws SluiceError `INVALID_OPTION` for what lacks a method of a store. */
export function checkStore(store: Store, where: string): void {
  const methods = ['consume', 'peek', 'release', 'reset'] as const;
  const missing = methods.filter((method) => typeof (store as Store | null)?.[method] !== 'function');
  if (missing.length === 0) return;
  const foreign = store as { increment?: unknown; incr?: unknown } | null;
  if (typeof foreign?.increment === 'function' || typeof foreign?.incr === 'function') {
    throw new SluiceError(
      'INVALID_OPTION',
      `${where}: 'store' looks like one of express-rate-limit. Wrap it: store: fromExpressRateLimitStore(store).`,
    );
  }
  throw new SluiceError(
    'INVALID_OPTION',
    `${where}: 'store' must be a store, such as new MemoryStore(); ${show(store)} lacks ${missing.join(', ')}.`,
  );
}
