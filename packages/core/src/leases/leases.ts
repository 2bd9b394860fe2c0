import type { Charge, Refund } from '../charge.js';
import type { Decision } from '../decision.js';
import type { MaybePromise } from '../maybe-promise.js';
import type { CompiledPolicy } from '../policy.js';
import type { Known, Store } from '../store.js';
import { LeaseBook } from './lease-book.js';
import type { Instead, LeasesOptions } from './lease-options.js';
import type { Waiter } from './waiter.js';

/**
 * Leases take units of hot keys from a store in advance and hand them out here, without asking it: never more in all
 * than the policy allows. Keys that are asked for seldom, limits too small to be leased, and whatever leases cannot
 * answer, go to the store as ever.
 */
export class Leases implements Store {
  readonly check?: (policy: CompiledPolicy) => void;
  readonly takeBack?: (refunds: readonly Refund[]) => MaybePromise<void>;
  readonly lower?: (known: readonly Known[]) => MaybePromise<void>;
  readonly isReachable?: (charges: readonly Pick<Charge, 'key'>[]) => boolean;
  readonly #store: Store;
  readonly #options: LeasesOptions;
  readonly #book: LeaseBook;
  readonly #ask: Waiter['ask'];

  /**
   * `book` is that of others over the same lessor, which answer otherwise when it fails.
   * @throws SluiceError for options that cannot work, with the remedy.
   */
  constructor(store: Store, options: LeasesOptions, book: LeaseBook = new LeaseBook(options)) {
    this.#store = store;
    this.#options = options;
    this.#book = book;
    const { instead } = options;
    this.#ask = (charges, error) =>
      error === undefined || instead === undefined ? store.consume(charges) : instead(charges, error);
    if (store.check !== undefined) this.check = (policy) => store.check!(policy);
    if (store.takeBack !== undefined) this.takeBack = (refunds) => store.takeBack!(refunds);
    if (store.lower !== undefined) this.lower = (known) => store.lower!(known);
    if (store.isReachable !== undefined) this.isReachable = (charges) => store.isReachable!(charges);
  }

  /** The same leases, over a store that answers otherwise when it fails. */
  over(store: Store, instead?: Instead): Leases {
    return new Leases(store, { ...this.#options, instead }, this.#book);
  }

  consume(charges: readonly Charge[]): MaybePromise<readonly Decision[]> {
    if (charges.length !== 1) return this.#consumeAll(charges);
    const { policy, key, cost } = charges[0]!;
    const leased = this.#book.of(policy);
    if (leased === null || !(cost >= 0)) return this.#store.consume(charges);
    const now = this.#book.now();
    const hot = this.#book.find(leased, key, now);
    if (hot === undefined) return this.#store.consume(charges);
    if (hot.take(cost, now)) return [hot.decision(now)];
    if (cost !== 1 || hot.isIdle || !hot.isOpen(now)) {
      const answer = this.#store.consume(charges);
      if (cost > 1 && !hot.isIdle) hot.prepare(cost, now);
      return answer;
    }
    return new Promise((resolve, reject) => {
      hot.wait({ charges, since: now, ask: this.#ask, resolve, reject });
    });
  }

  peek(charges: readonly Charge[]): MaybePromise<readonly Decision[]> {
    const now = this.#book.now();
    const decisions: Decision[] = [];
    for (const { policy, key, cost } of charges) {
      const hot = this.#book.of(policy)?.keys.get(key);
      if (hot === undefined || !(cost >= 0) || !hot.has(cost, now)) return this.#store.peek(charges);
      decisions.push(hot.decision(now));
    }
    return decisions;
  }

  release(refunds: readonly Refund[]): MaybePromise<void> {
    return this.#store.release(refunds);
  }

  /** What this process has leased of the key is not handed out any more. */
  reset(key: string, policies: readonly CompiledPolicy[]): MaybePromise<void> {
    this.#book.drop(key, policies);
    return this.#store.reset(key, policies);
  }

  close(): MaybePromise<void> {
    this.#book.close();
    return this.#store.close?.();
  }

  /** All charges are of leases that have enough, or the store decides on all. */
  #consumeAll(charges: readonly Charge[]): MaybePromise<readonly Decision[]> {
    // Where one of the policies is not leased, the store is asked in any case.
    for (const { policy, cost } of charges) {
      if (this.#book.of(policy) === null || !(cost >= 0)) return this.#store.consume(charges);
    }
    const now = this.#book.now();
    const keys = charges.map(({ policy, key }) => this.#book.find(this.#book.of(policy)!, key, now));
    if (charges.length > 0 && keys.every((hot, i) => hot?.has(charges[i]!.cost, now))) {
      return keys.map((hot, i) => {
        hot!.take(charges[i]!.cost, now);
        return hot!.decision(now);
      });
    }
    const answer = this.#store.consume(charges);
    for (const [i, hot] of keys.entries()) if (hot?.isIdle === false) hot.miss(charges[i]!.cost, now);
    return answer;
  }
}
