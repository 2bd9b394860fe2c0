import { type Charge, type Refund, refundOfHeld } from '../charge.js';
import { combine, type Decision, type DecisionSource } from '../decision.js';
import { isPromise } from '../maybe-promise.js';
import type { Store } from '../store.js';

/** Why units are given back: the request was refused, its client left while it was held, or its response is through. */
export type Occasion = 'refused' | 'left' | 'finished';

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
  giveBack(occasion: Occasion): void {
    if (this.#given) return;
    this.#given = true;
    const refunds: Refund[] = [];
    for (const charge of this.#charges) {
      if (occasion === 'refused' && charge.policy.countRefused) continue;
      refunds.push(occasion === 'left' ? refundOfHeld(charge, this.#at) : { ...charge, at: this.#at });
    }
    // Should a store fail to take them back, the units are lost, which grants nobody too much.
    try {
      const done = this.#store.release(refunds);
      if (isPromise(done)) done.then(undefined, () => {});
    } catch {}
  }
}

/**
 * A Ledger is the decision on a request as the adapter puts it there, of all its limiters so far: the tightest of them.
 * Out of sight it keeps what they have taken, so that it can be given back if a later one refuses.
 */
export class Ledger implements Decision {
  readonly allowed: boolean;
  readonly policy: string;
  readonly limit: number;
  readonly remaining: number;
  readonly resetAfter: number;
  readonly retryAfter: number;
  readonly delay: number;
  readonly at: number;
  readonly source: DecisionSource;
  declare readonly policies?: readonly Decision[];
  readonly #earlier: Ledger | undefined;
  readonly #entry: Entry | undefined;

  /** Adds the decision of one more limiter, and what it took, to what is on the request already. */
  constructor(earlier: Ledger | undefined, own: Decision, entry: Entry | undefined) {
    const decision = earlier === undefined ? own : combine([...each(earlier), ...each(own)]);
    this.allowed = decision.allowed;
    this.policy = decision.policy;
    this.limit = decision.limit;
    this.remaining = decision.remaining;
    this.resetAfter = decision.resetAfter;
    this.retryAfter = decision.retryAfter;
    this.delay = decision.delay;
    this.at = decision.at;
    this.source = decision.source;
    if (decision.policies !== undefined) this.policies = decision.policies;
    this.#earlier = earlier;
    this.#entry = entry;
  }

  /** What is on a request, if it is from here: others use the same property. */
  static from(found: unknown): Ledger | undefined {
    return typeof found === 'object' && found !== null && #entry in found ? found : undefined;
  }

  /** Gives back what all limiters up to this one have taken. */
  static giveBack(ledger: Ledger | undefined, occasion: Occasion): void {
    for (let one = ledger; one !== undefined; one = one.#earlier) one.#entry?.giveBack(occasion);
  }
}

function each(decision: Decision): readonly Decision[] {
  return decision.policies ?? [decision];
}
