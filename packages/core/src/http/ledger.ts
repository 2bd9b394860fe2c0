import type { Charge, Refund } from '../charge.js';
import { combine, type Decision } from '../decision.js';
import { isPromise } from '../maybe-promise.js';
import type { Store } from '../store.js';
import type { ResponseLike } from './reader.js';

/** Where a response keeps its ledger. Registered, so that two copies of this package find the same one. */
const ledgerOf = Symbol.for('sluice.ledger');

/** An Entry is what one limiter has taken for one request. */
export class Entry {
  readonly #store: Store;
  readonly #charges: readonly Charge[];
  readonly #at: number;
  #given = false;

  /** `at` is the instant of the decision that granted the charges. */
  constructor(store: Store, charges: readonly Charge[], at: number) {
    this.#store = store;
    this.#charges = charges;
    this.#at = at;
  }

  /** Gives everything back, once; except what counts refused requests too, where the request was refused. */
  giveBack(refused: boolean): void {
    if (this.#given) return;
    this.#given = true;
    const refunds: Refund[] = [];
    for (const charge of this.#charges) {
      if (!refused || !charge.policy.countRefused) refunds.push({ ...charge, at: this.#at });
    }
    // Should a store fail to take them back, the units are lost, which grants nobody too much.
    try {
      const done = this.#store.release(refunds);
      if (isPromise(done)) done.then(undefined, () => {});
    } catch {}
  }
}

/**
 * A Ledger is what the limiters on one request have done so far: the headers tell of the tightest of them all, and if
 * one refuses, what the earlier ones took is given back.
 */
export class Ledger {
  readonly #entries: Entry[] = [];
  decision: Decision | undefined;

  static of(response: ResponseLike): Ledger {
    const holder = response as { [ledgerOf]?: Ledger };
    holder[ledgerOf] ??= new Ledger();
    return holder[ledgerOf];
  }

  /** Notes one more decision; says what is true of the request by now. */
  note(decision: Decision): Decision {
    const earlier = this.decision;
    this.decision =
      earlier === undefined
        ? decision
        : combine([...(earlier.policies ?? [earlier]), ...(decision.policies ?? [decision])]);
    return this.decision;
  }

  add(entry: Entry): void {
    this.#entries.push(entry);
  }

  giveBack(refused: boolean): void {
    for (const entry of this.#entries) entry.giveBack(refused);
  }
}
