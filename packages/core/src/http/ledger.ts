import type { Charge, Refund } from '../charge.js';
import { combine, type Decision } from '../decision.js';
import { isPromise } from '../maybe-promise.js';
import type { Store } from '../store.js';
import type { ResponseLike } from './reader.js';

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
    let ledger = ledgers.get(response);
    if (ledger === undefined) {
      ledger = new Ledger();
      ledgers.set(response, ledger);
    }
    return ledger;
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

/** Known to all copies of this package in the process, so that their limiters find the same ledger of a response. */
const shared = globalThis as { [key: symbol]: WeakMap<ResponseLike, Ledger> | undefined };
const place = Symbol.for('sluice.ledgers');
// Not a property of the response: adding one to what Express has made of it takes several times as long.
shared[place] ??= new WeakMap();
const ledgers = shared[place];
