import type { Charge } from '../charge.js';
import type { Clock } from '../clock.js';
import type { Decision } from '../decision.js';
import { micros } from '../duration.js';
import { SluiceError, show } from '../errors.js';
import { isPromise, type MaybePromise } from '../maybe-promise.js';
import { afterPollPhase } from '../resilience/poll-phase.js';
import type { Store } from '../store.js';
import type { Leased } from './lease.js';
import type { LeasedPolicy } from './leased-policy.js';

/** Units of the first lease of a key. */
const smallest = 16;

/** Microseconds for which a key goes without leases when a call for one has failed, or has come when it was over. */
const pause = 1_000_000;

/** Parts of a thousand of its time for which a lease is used: clocks differ in how fast they run. */
const margin = 990;

/** What all leased keys share. */
export interface Lessor {
  readonly store: Pick<Required<Store>, 'lease'>;
  readonly instances: number;
  readonly clock: Clock;
  /** Microseconds; infinite where there is none. */
  readonly deadline: number;
}

/** Whoever waits for one unit. */
export interface Waiter {
  readonly charges: readonly Charge[];
  /** Microseconds. */
  readonly since: number;
  /** Asks the store for it by itself, or answers for the failure of the call that it waited for. */
  readonly ask: (charges: readonly Charge[], error?: unknown) => MaybePromise<readonly Decision[]>;
  readonly resolve: (answer: MaybePromise<readonly Decision[]>) => void;
  readonly reject: (error: unknown) => void;
}

/** One call for a lease, and who waits for it. */
interface Call {
  readonly sent: number;
  readonly demand: number;
  waiters: Waiter[];
  isSettled: boolean;
  cancelTimer: (() => void) | undefined;
}

/**
 * A LeasedKey hands out the units that a store has leased to this process, and asks for more: one call at a time, in
 * which all go together who wait for a unit. Instants are microseconds of this process's clock.
 */
export class LeasedKey {
  readonly policy: LeasedPolicy;
  readonly key: string;
  /** Whether its leases end unspent: it is then better off without. */
  isIdle = false;
  readonly #lessor: Lessor;
  #size: number;
  /** What is handed out now, and until when. */
  #units = 0;
  #until = 0;
  /** How many units it had, and when the first was handed out. */
  #leased = 0;
  #begun = 0;
  /** What is handed out after that. */
  #nextUnits = 0;
  #nextUntil = 0;
  /** The next lease is asked for when so few units are left. */
  #renewBelow = -1;
  /** Not before then is one asked for that nobody waits for. */
  #renewFrom = 0;
  /** Until then, only what is waited for is asked for; and until then, nothing. */
  #exactUntil = 0;
  #offUntil = 0;
  #isDropped = false;
  #isAsking = false;
  #waiting: Waiter[] = [];
  /** What the store had left, when it is fresh, the instant at which it said so by its own clock, and when that was heard. */
  #left = 0;
  #freshAt = 0;
  #at = 0;
  #heard = 0;

  constructor(policy: LeasedPolicy, key: string, lessor: Lessor) {
    this.policy = policy;
    this.key = key;
    this.#lessor = lessor;
    this.#size = Math.min(smallest, policy.largest);
  }

  /** Takes units of a lease, if it has so many. */
  take(cost: number, now: number): boolean {
    if ((now >= this.#until || cost > this.#units) && !this.#opens(cost, now)) return false;
    this.#units -= cost;
    if (this.#units <= this.#renewBelow) this.#renew(now);
    return true;
  }

  /** Whether `take` would. */
  has(cost: number, now: number): boolean {
    return (now < this.#until && cost <= this.#units) || this.#opens(cost, now);
  }

  /** What is said of a unit that is handed out, or could be, now. */
  decision(now: number): Decision {
    const { name, limit } = this.policy.policy;
    return {
      allowed: true,
      policy: name,
      limit,
      remaining: this.#left + this.#units + this.#nextUnits,
      resetAfter: this.#freshAt > now ? (this.#freshAt - now) / 1_000 : 0,
      retryAfter: 0,
      delay: 0,
      // Never later than it is there, however fast this clock runs: what is given back must not seem taken later.
      at: (this.#at + Math.floor(((now - this.#heard) * margin) / 1_000)) / 1_000,
      source: 'lease',
    };
  }

  /** Whether a lease can be asked for: not right after one could not be had. */
  isOpen(now: number): boolean {
    return now >= this.#offUntil && !this.#isDropped;
  }

  /** Whether it can be forgotten, and nobody would miss it. */
  isIdleNow(now: number): boolean {
    return !this.#isAsking && this.#unspent(now) === 0;
  }

  /** Answers with the next call, or the one after that. */
  wait(waiter: Waiter): void {
    this.#waiting.push(waiter);
    if (!this.#isAsking) this.#send(waiter.since);
  }

  /** Asks for a lease that nobody waits for, and that is enough for some charges of that cost, where there may be one. */
  prepare(cost: number, now: number): void {
    const { largest } = this.policy;
    if (this.#isAsking || cost > largest || now < this.#renewFrom || this.#nextUnits > 0 || !this.isOpen(now)) return;
    if (cost * 2 > this.#size) this.#size = Math.min(largest, cost * 4);
    this.#send(now);
  }

  /** Hands nothing out any more. */
  drop(): void {
    this.#isDropped = true;
    this.#units = 0;
    this.#until = 0;
    this.#nextUnits = 0;
    this.#renewBelow = -1;
  }

  #unspent(now: number): number {
    return (now < this.#until ? this.#units : 0) + (now < this.#nextUntil ? this.#nextUnits : 0);
  }

  /** Goes on with the next lease where the present one has ended, or is not enough. */
  #opens(cost: number, now: number): boolean {
    if (now >= this.#until) this.#end();
    if (this.#nextUnits > 0) {
      if (now >= this.#nextUntil) {
        this.#nextUnits = 0;
        return false;
      }
      if (this.#units === 0) this.#begin(this.#nextUnits, this.#nextUntil, now);
      else if (cost <= this.#units + this.#nextUnits) {
        // The earlier end goes for both.
        this.#units += this.#nextUnits;
        this.#renewBelow = this.#leased >> 1;
      } else return false;
      this.#nextUnits = 0;
    }
    return now < this.#until && cost <= this.#units;
  }

  #begin(units: number, until: number, now: number): void {
    this.#units = units;
    this.#until = until;
    this.#leased = units;
    this.#begun = now;
    this.#renewBelow = units >> 1;
  }

  /** The present lease is over. One of which most is left was too large. */
  #end(): void {
    if (this.#units * 2 > this.#leased) {
      if (this.#size <= smallest && this.#nextUnits === 0) this.isIdle = true;
      this.#size = Math.max(Math.min(smallest, this.policy.largest), this.#size >> 1);
    }
    this.#units = 0;
    this.#renewBelow = -1;
  }

  #renew(now: number): void {
    // Half of it is gone: at this pace, all of it will be before half of its time.
    if ((now - this.#begun) * 4 < this.#until - this.#begun) {
      this.#size = Math.min(this.policy.largest, this.#size * 2);
    }
    this.#renewBelow = -1;
    if (this.isOpen(now)) this.#send(now);
  }

  #send(now: number): void {
    const waiters = this.#waiting;
    const demand = waiters.length;
    this.#waiting = [];
    this.#isAsking = true;
    this.#renewBelow = -1;
    if (demand > this.#size) this.#size = Math.min(this.policy.largest, demand);
    const leases = now >= this.#exactUntil && !this.#isDropped;
    const extra = leases ? Math.max(0, this.#size - this.#unspent(now)) : 0;
    const call: Call = { sent: now, demand, waiters, isSettled: false, cancelTimer: undefined };
    const { store, instances: share } = this.#lessor;
    let answer: MaybePromise<Leased>;
    try {
      answer = store.lease({ policy: this.policy.policy, key: this.key, demand, extra, share });
    } catch (error) {
      this.#fail(call, error);
      return;
    }
    if (!isPromise(answer)) {
      this.#answered(call, answer);
      return;
    }
    this.#limit(call);
    answer.then(
      (leased) => this.#answered(call, leased),
      (error: unknown) => this.#fail(call, error),
    );
  }

  #answered(call: Call, leased: Leased): void {
    if (!isComplete(leased)) {
      this.#fail(
        call,
        new Error(`The store must answer 'lease' with units, time and a decision; got ${show(leased)}.`),
      );
      return;
    }
    this.#settle(call);
    const now = this.#lessor.clock.now();
    const { units, lasts, decision } = leased;
    const granted = Math.min(units, call.demand);
    const rest = units - granted;
    this.#left = decision.remaining;
    this.#freshAt = now + micros(decision.resetAfter);
    this.#at = micros(decision.at);
    this.#heard = now;
    const until = call.sent + Math.floor(lasts * margin);
    if (rest === 0) this.#renewFrom = now + this.policy.time / 4;
    else if (now >= until) this.#exactUntil = now + pause;
    else if (!this.#isDropped) this.#add(rest, until, now);
    for (const [i, waiter] of call.waiters.entries()) {
      if (i < granted) waiter.resolve([granting(decision, rest + granted - 1 - i)]);
      else if (!decision.allowed) waiter.resolve([decision]);
      else ask(waiter);
    }
    this.#serve(now);
  }

  #add(units: number, until: number, now: number): void {
    if (now < this.#until && this.#units > 0) {
      this.#nextUnits = units;
      this.#nextUntil = until;
    } else this.#begin(units, until, now);
  }

  /** Those who came after a call was sent take what it has brought, and the rest of them go with the next. */
  #serve(now: number): void {
    const waiting = this.#waiting;
    if (waiting.length === 0) return;
    this.#waiting = [];
    const renewBelow = this.#renewBelow;
    this.#renewBelow = -1;
    let served = 0;
    while (served < waiting.length && this.take(1, now)) waiting[served++]!.resolve([this.decision(now)]);
    if (served === waiting.length) {
      this.#renewBelow = renewBelow;
      return;
    }
    this.#waiting = waiting.slice(served);
    this.#send(now);
  }

  #fail(call: Call, error: unknown): void {
    this.#settle(call);
    this.#offUntil = this.#lessor.clock.now() + pause;
    const waiters = [...call.waiters, ...this.#waiting];
    this.#waiting = [];
    for (const waiter of waiters) ask(waiter, error);
  }

  #settle(call: Call): void {
    call.isSettled = true;
    call.cancelTimer?.();
    this.#isAsking = false;
  }

  /** Who waited for another call before must not wait as long again. */
  #limit(call: Call): void {
    const { clock, deadline } = this.#lessor;
    const [first] = call.waiters;
    if (deadline === Number.POSITIVE_INFINITY || first === undefined || first.since === call.sent) return;
    const left = Math.max(0, first.since + deadline - clock.now()) / 1_000;
    const giveUp = () => {
      if (call.isSettled) return;
      const now = clock.now();
      const overdue = call.waiters.filter(({ since }) => since + deadline <= now);
      call.waiters = call.waiters.slice(overdue.length);
      const error = timeout(deadline / 1_000);
      for (const waiter of overdue) ask(waiter, error);
      this.#limit(call);
    };
    call.cancelTimer = clock.after(left, () => afterPollPhase(giveUp), { background: true });
  }
}

function ask({ ask, charges, resolve, reject }: Waiter, error?: unknown): void {
  try {
    resolve(ask(charges, error));
  } catch (failure) {
    reject(failure);
  }
}

function granting({ policy, limit, resetAfter, at, source, remaining }: Decision, more: number): Decision {
  return {
    allowed: true,
    policy,
    limit,
    remaining: remaining + more,
    resetAfter,
    retryAfter: 0,
    delay: 0,
    at,
    source,
  };
}

function isComplete(leased: Leased | undefined): leased is Leased {
  const { units, lasts, decision } = leased ?? {};
  return Number.isSafeInteger(units) && units! >= 0 && lasts! >= 0 && typeof decision?.allowed === 'boolean';
}

function timeout(ms: number): SluiceError {
  return new SluiceError(
    'STORE_TIMEOUT',
    `The store has not answered within the deadline of ${ms} ms, in two calls one after the other. If it is well but far ` +
      "away, raise 'deadline'; if not, look at its load and the network in between.",
  );
}
