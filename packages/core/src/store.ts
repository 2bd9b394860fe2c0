import type { Charge, Refund } from './charge.js';
import type { Decision } from './decision.js';
import { SluiceError, show } from './errors.js';
import type { Leased, LeaseRequest } from './leases/lease.js';
import type { MaybePromise } from './maybe-promise.js';
import type { CompiledPolicy } from './policy.js';
import type { StoreErrorMode } from './resilience/outage-options.js';

/** What somebody knows of a key, as a decision would tell it. Durations and instants are milliseconds. */
export interface Known {
  readonly policy: CompiledPolicy;
  readonly key: string;
  /** Whole units left at `at`. */
  readonly remaining: number;
  /** Time from `at` until the key is as fresh as new. */
  readonly resetAfter: number;
  /** The store's clock. */
  readonly at: number;
}

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
  /**
   * Makes sure that no more of a key is left than is known, where a store may have lost its counts; what has less left
   * stays as it is, and so does what is fresh again by now. A call made right afterwards finds it done, even if it is
   * made before this has settled: a store that is asked over a connection sends the two in this order.
   */
  lower?(known: readonly Known[]): MaybePromise<void>;
  /** Hands units out in advance, where `leaseTime` says that they can be: of a store that keeps to their contract. */
  lease?(request: LeaseRequest): MaybePromise<Leased>;
  /** The same store, answering so where it fails: of a store that has an answer of its own where it is not told. */
  answering?(mode: StoreErrorMode): Store;
  /** Whether a call about these keys would be sent now: of a store that at times does not even ask. */
  isReachable?(charges: readonly Pick<Charge, 'key'>[]): boolean;
  /** As `release`, and fails where the store does: of one whose `release` does not, for who tries again. */
  takeBack?(refunds: readonly Refund[]): MaybePromise<void>;
  /** Throws for a policy that this store cannot keep. A limiter asks when it is created. */
  check?(policy: CompiledPolicy): void;
  close?(): MaybePromise<void>;
}

/** A SyncStore answers at once: `consumeSync` works, and no request waits for a microtask it does not need. */
export interface SyncStore extends Store {
  readonly sync: true;
  consume(charges: readonly Charge[]): readonly Decision[];
  /** As `consume` of a single charge, without a list for it and one for its answer. */
  consumeOne?(policy: CompiledPolicy, key: string, cost: number): Decision;
  peek(charges: readonly Charge[]): readonly Decision[];
  release(refunds: readonly Refund[]): void;
  reset(key: string, policies: readonly CompiledPolicy[]): void;
}

export function isSyncStore(store: Store): store is SyncStore {
  return (store as Partial<SyncStore>).sync === true;
}

/** Whether a call about these keys would be sent now: of most stores, any is. */
export function isReachable(store: Store, keys: readonly Pick<Charge, 'key'>[]): boolean {
  return store.isReachable?.(keys) ?? true;
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
