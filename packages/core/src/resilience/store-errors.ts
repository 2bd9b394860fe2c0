import type { Refund } from '../charge.js';
import type { MaybePromise } from '../maybe-promise.js';
import type { Store } from '../store.js';
import { Outage } from './outage.js';
import type { OutageOptions, StoreErrorMode } from './outage-options.js';

export interface StoreErrorOptions extends OutageOptions {
  mode: StoreErrorMode;
}

/**
 * A store that also answers when `store` fails: throws, rejects, or answers with anything but one decision per charge.
 * It acts on errors, not on silence. Errors that tell of wrong use, such as a bad cost, always pass through.
 * @throws SluiceError `INVALID_OPTION` for options that cannot work.
 */
export function withStoreErrors(store: Store, { mode, ...options }: StoreErrorOptions): Store {
  const outage = new Outage(store, options);
  const answering = outage.answering(mode);
  return mode === 'throw' ? store : answering;
}

/** Gives units back, and fails where the store does: for who tries again. */
export function takeBack(store: Store, refunds: readonly Refund[]): MaybePromise<void> {
  return store.takeBack === undefined ? store.release(refunds) : store.takeBack(refunds);
}
