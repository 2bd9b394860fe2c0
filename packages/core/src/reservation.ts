import { type Charge, checkCost, type Refund, refundOfHeld } from './charge.js';
import { charging } from './charging.js';
import type { Clock } from './clock.js';
import type { Deadlines } from './deadlines.js';
import { combine, type Decision } from './decision.js';
import type { Duration } from './duration.js';
import { micros } from './duration.js';
import { SluiceError } from './errors.js';
import { isPromise, type MaybePromise } from './maybe-promise.js';
import type { Store } from './store.js';

/** Why units are given back: the request was refused, its client left while it was held, or its response is through. */
export type Occasion = 'refused' | 'left' | 'finished';

/** A Hold is what one limiter has taken for one piece of work: it is given back, or settled at what the work has cost. */
export class Hold {
  readonly #store: Store;
  readonly #charges: readonly Charge[];
  readonly #at: number;
  #state: 'held' | 'returned' | 'settled' = 'held';
  #returned: MaybePromise<void> = undefined;

  /** `at` is the instant of the decision that granted the charges. */
  constructor(store: Store, charges: readonly Charge[], at: number) {
    this.#store = store;
    this.#charges = charges;
    this.#at = at;
  }

  /**
   * Gives everything back, once; except what counts refused requests too, where the request was refused. Should a
   * store fail to take units back, they are lost, which grants nobody too much: this neither throws nor rejects.
   */
  giveBack(occasion: Occasion): MaybePromise<void> {
    if (this.#state !== 'held') return this.#returned;
    this.#state = 'returned';
    const refunds: Refund[] = [];
    for (const charge of this.#charges) {
      if (occasion === 'refused' && charge.policy.countRefused) continue;
      refunds.push(occasion === 'left' ? refundOfHeld(charge, this.#at) : { ...charge, at: this.#at });
    }
    this.#returned = this.#release(refunds);
    return this.#returned;
  }

  /**
   * Makes the cost of every charge `actualCost`, once: gives back what was not needed, and charges what was needed
   * beyond, as far as the capacity goes. Of what was given back already, nothing is held, so that all is charged.
   * Answers with the decision on what was charged beyond, or `undefined` where nothing was.
   * Errors of the store are passed on where units were to be charged; whether they were is then not known.
   */
  settle(actualCost: number): MaybePromise<Decision | undefined> {
    if (this.#state === 'settled') return undefined;
    const held = this.#state === 'held';
    this.#state = 'settled';
    const beyond: Charge[] = [];
    const refunds: Refund[] = [];
    for (const charge of this.#charges) {
      const due = actualCost - (held ? charge.cost : 0);
      if (due > 0) beyond.push({ policy: charging(charge.policy), key: charge.key, cost: due });
      else if (due < 0) refunds.push({ ...charge, cost: -due, at: this.#at });
    }
    const returned = refunds.length > 0 ? this.#release(refunds) : this.#returned;
    if (isPromise(returned)) return returned.then(() => this.#charge(beyond));
    return this.#charge(beyond);
  }

  #charge(charges: readonly Charge[]): MaybePromise<Decision | undefined> {
    if (charges.length === 0) return undefined;
    const decisions = this.#store.consume(charges);
    return isPromise(decisions) ? decisions.then(combine) : combine(decisions);
  }

  #release(refunds: readonly Refund[]): MaybePromise<void> {
    if (refunds.length === 0) return;
    try {
      const done = this.#store.release(refunds);
      if (isPromise(done)) return done.then(undefined, () => {});
    } catch {}
  }
}

export interface ReserveOptions {
  /**
   * Cancels a reservation that is neither committed nor cancelled so long after it was made, the delay of a leaky
   * bucket included. From 1 ms to a year. @default '1m'
   */
  expiresIn?: Duration;
}

/**
 * A Reservation holds units for work whose outcome or cost is not known yet. They count from the start, so that no
 * parallel request can take them too. Of a leaky bucket, the caller waits `decision.delay` before the work begins.
 *
 * One that is neither committed nor cancelled in time expires, as if it had been cancelled. If the process dies before
 * that, or the limiter is closed, its units stay taken until the policies grant them anew.
 */
export interface Reservation {
  /** What the limit had to say; a refused reservation holds nothing. */
  readonly decision: Decision;
  readonly allowed: boolean;
  /**
   * Settles at what the work has cost, by default what was reserved: gives back what was not needed, and charges what
   * was needed beyond, or all of it after expiry. That is charged even where the limit does not have it, as far as the
   * capacity goes. Resolves to the decision as it is then; it is not `allowed` if the limit did not have it all, and
   * `retryAfter` says when it would.
   * @throws SluiceError `NOT_RESERVED` for a reservation that was refused; `ALREADY_SETTLED` after another `commit` or
   * a `cancel`; `INVALID_COST`, and the reservation stays as it is; `CLOSED`. Errors of a store that fails to charge:
   * the reservation is settled then, and what was reserved stays taken.
   */
  commit(actualCost?: number): Promise<Decision>;
  /** Gives everything back, unless it is committed or has expired. Never rejects: what a store does not take back is lost. */
  cancel(): Promise<void>;
  /** Cancels, so that `await using` gives back what a block has not committed, whichever way it is left. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** What reservations need of their limiter. */
export interface Lender {
  readonly store: Store;
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  /** @throws SluiceError `CLOSED` */
  checkOpen(): void;
  peek(key: string, cost: number): MaybePromise<Decision>;
  /** Tells the observer. */
  tell(decision: Decision, key: string, cost: number): MaybePromise<Decision>;
  /** Units of the key have gone back. */
  unitsReturned(key: string): void;
}

/** A LimiterReservation is the Reservation of a limiter. */
export class LimiterReservation implements Reservation {
  readonly decision: Decision;
  readonly allowed: boolean;
  readonly #lender: Lender;
  readonly #key: string;
  readonly #cost: number;
  readonly #hold: Hold;
  /** Until then, in microseconds, none of a leaky bucket's units has drained. */
  readonly #delayedUntil: number;
  readonly #callOffExpiry: () => void;
  #state: 'refused' | 'held' | 'expired' | 'committed' | 'cancelled';

  /** `charges` are what `decision` was made on; `expiresIn` is milliseconds. */
  constructor(lender: Lender, decision: Decision, charges: readonly Charge[], expiresIn: number) {
    const { key, cost } = charges[0]!;
    this.decision = decision;
    this.allowed = decision.allowed;
    this.#lender = lender;
    this.#key = key;
    this.#cost = cost;
    this.#hold = new Hold(lender.store, charges, decision.at);
    this.#state = decision.allowed ? 'held' : 'refused';
    this.#delayedUntil = decision.delay > 0 ? lender.clock.now() + micros(decision.delay) : 0;
    this.#callOffExpiry = decision.allowed
      ? lender.deadlines.after(expiresIn, () => void this.#giveBack('expired'))
      : () => {};
  }

  async commit(actualCost = this.#cost): Promise<Decision> {
    checkCost(actualCost);
    this.#checkCommittable();
    const held = this.#state === 'held' ? this.#cost : 0;
    this.#state = 'committed';
    this.#callOffExpiry();
    const beyond = await this.#hold.settle(actualCost);
    if (beyond !== undefined) return this.#lender.tell(beyond, this.#key, actualCost - held);
    if (actualCost === held) return this.decision;
    this.#lender.unitsReturned(this.#key);
    return this.#look();
  }

  async cancel(): Promise<void> {
    if (this.#state === 'held') await this.#giveBack('cancelled');
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.cancel();
  }

  async #giveBack(state: 'expired' | 'cancelled'): Promise<void> {
    this.#state = state;
    this.#callOffExpiry();
    const isDelayed = this.#delayedUntil > this.#lender.clock.now();
    await this.#hold.giveBack(isDelayed ? 'left' : 'finished');
    this.#lender.unitsReturned(this.#key);
  }

  #checkCommittable(): void {
    if (this.#state === 'refused') {
      throw new SluiceError(
        'NOT_RESERVED',
        `Policy '${this.decision.policy}' refused this reservation, so there is nothing to commit. ` +
          "Look at its 'allowed' before the work begins.",
      );
    }
    if (this.#state === 'committed' || this.#state === 'cancelled') {
      throw new SluiceError(
        'ALREADY_SETTLED',
        `This reservation has been ${this.#state} already. Commit once; what it costs beyond, let the limiter consume.`,
      );
    }
    this.#lender.checkOpen();
  }

  /** The decision after units went back. Nothing was asked for that the limit did not have. */
  async #look(): Promise<Decision> {
    try {
      const now = await this.#lender.peek(this.#key, 0);
      return { ...now, allowed: true, retryAfter: 0 };
    } catch {
      // The work is done and settled: a store that cannot say more now is no reason to fail it.
      return this.decision;
    }
  }
}
