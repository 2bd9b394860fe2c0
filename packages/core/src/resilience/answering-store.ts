import type { Charge, Refund } from '../charge.js';
import type { Decision } from '../decision.js';
import type { MaybePromise } from '../maybe-promise.js';
import type { CompiledPolicy } from '../policy.js';
import { isSyncStore, type Store } from '../store.js';
import type { Outage } from './outage.js';
import type { StoreErrorMode } from './outage-options.js';

/** An AnsweringStore is a store that answers in one mode where it fails. */
export class AnsweringStore implements Store {
  readonly sync: boolean;
  readonly check?: (policy: CompiledPolicy) => void;
  readonly #outage: Outage;
  readonly #mode: StoreErrorMode;

  constructor(outage: Outage, mode: StoreErrorMode, store: Store) {
    this.sync = isSyncStore(store);
    if (store.check !== undefined) this.check = (policy) => store.check!(policy);
    this.#outage = outage;
    this.#mode = mode;
  }

  consume(charges: readonly Charge[]): MaybePromise<readonly Decision[]> {
    return this.#outage.ask('consume', charges, this.#mode);
  }

  peek(charges: readonly Charge[]): MaybePromise<readonly Decision[]> {
    return this.#outage.ask('peek', charges, this.#mode);
  }

  release(refunds: readonly Refund[]): MaybePromise<void> {
    return this.#mode === 'throw' ? this.takeBack(refunds) : this.#outage.release(refunds);
  }

  /** As `release`, but fails as the store does. */
  takeBack(refunds: readonly Refund[]): MaybePromise<void> {
    return this.#outage.takeBack(refunds);
  }

  reset(key: string, policies: readonly CompiledPolicy[]): MaybePromise<void> {
    return this.#outage.reset(key, policies);
  }

  close(): MaybePromise<void> {
    return this.#outage.close();
  }
}
