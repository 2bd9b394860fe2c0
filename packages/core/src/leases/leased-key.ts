import type { Clock } from '../clock.js';
import type { Decision } from '../decision.js';
import { show } from '../errors.js';
import { isPromise, type MaybePromise } from '../maybe-promise.js';
import type { Store } from '../store.js';
import type { Leased } from './lease.js';
import type { LeasedPolicy } from './leased-policy.js';
import { endOf, LeasedUnits } from './leased-units.js';
import { Pace } from './pace.js';
import { askFor, Call, type Waiter } from './waiter.js';

/** Microseconds for which a key goes without leases when a call for one has failed, or has come when it was over. */
const pause = 1_000_000;

/** What all leased keys share. */
export interface Lessor {
  readonly store: Pick<Required<Store>, 'lease'>;
  readonly instances: number;
  readonly clock: Clock;
  /** Microseconds; infinite where there is none. */
  readonly deadline: number;
}

/**
 * A LeasedKey hands out the units that a store has leased to this process, and asks for more: one call at a time, in
 * which all go together who wait for a unit. Instants are microseconds of this process's clock.
 */
export class LeasedKey {
  readonly policy: LeasedPolicy;
  readonly key: string;
  readonly #lessor: Lessor;
  readonly #units: LeasedUnits;
  readonly #pace: Pace;
  #isDropped = false;
  #isAsking = false;
  #waiting: readonly Waiter[] = [];
  /** Not before then is a lease asked for of which the last one had none. */
  #renewFrom = 0;
  /** Until then, only what is waited for is asked for. */
  #exactUntil = 0;
  /** Until then, nothing is. */
  #offUntil = 0;

  constructor(policy: LeasedPolicy, key: string, lessor: Lessor, now: number) {
    this.policy = policy;
    this.key = key;
    this.#lessor = lessor;
    this.#units = new LeasedUnits(policy);
    this.#pace = new Pace(policy.largest, policy.time, now);
  }

  /** Whether it is asked for so seldom that it is better off without leases. */
  get isIdle(): boolean {
    return this.#pace.isSlow;
  }

  /** Takes units of a lease, if it has so many. */
  take(cost: number, now: number): boolean {
    this.#pace.count(cost, now);
    if (!this.#units.take(cost, now)) return false;
    if (!this.#isAsking && this.#units.isLow && this.isOpen(now)) this.#send([], now);
    return true;
  }

  /** Units are asked for of the store, without `take`: also where there would be enough. */
  miss(cost: number, now: number): void {
    this.#pace.count(cost, now);
    if (!this.#units.has(cost, now)) this.prepare(cost, now);
  }

  /** Whether `take` would. */
  has(cost: number, now: number): boolean {
    return this.#units.has(cost, now);
  }

  /** What is said of a unit that is handed out, or could be, now. */
  decision(now: number): Decision {
    return this.#units.decision(now);
  }

  /** Whether a lease can be asked for: not right after one could not be had. */
  isOpen(now: number): boolean {
    return now >= this.#offUntil && !this.#isDropped;
  }

  /** Whether it can be forgotten, and nobody would miss it. */
  isUnused(now: number): boolean {
    return !this.#isAsking && this.#units.unspent(now) === 0;
  }

  /** Answers with the next call, or the one after that. */
  wait(waiter: Waiter): void {
    if (this.#isAsking) (this.#waiting as Waiter[]).push(waiter);
    else this.#send([waiter], waiter.since);
  }

  /** Asks for a lease that nobody waits for, where it would be enough for charges of that cost. */
  prepare(cost: number, now: number): void {
    if (this.#isAsking || cost > this.#pace.size || now < this.#renewFrom) return;
    if (this.#units.isFull || !this.isOpen(now)) return;
    this.#send([], now);
  }

  /** Hands nothing out any more. */
  drop(): void {
    this.#isDropped = true;
    this.#units.drop();
  }

  #send(waiters: readonly Waiter[], now: number): void {
    const demand = waiters.length;
    const leases = now >= this.#exactUntil && !this.#isDropped;
    const extra = leases ? Math.max(0, this.#pace.size - this.#units.unspent(now)) : 0;
    if (demand + extra === 0) return;
    this.#isAsking = true;
    this.#waiting = [];
    const call = new Call(now, waiters);
    const { store, instances: share, deadline, clock } = this.#lessor;
    let answer: MaybePromise<Leased>;
    try {
      answer = store.lease({ policy: this.policy.policy, key: this.key, demand, extra, share });
    } catch (error) {
      this.#fail(call, error);
      return;
    }
    if (!isPromise(answer)) {
      this.#answered(call, answer, extra);
      return;
    }
    call.limit(deadline, clock);
    answer.then(
      (leased) => this.#answered(call, leased, extra),
      (error: unknown) => this.#fail(call, error),
    );
  }

  #answered(call: Call, leased: Leased, extra: number): void {
    if (!isComplete(leased)) {
      this.#fail(
        call,
        new Error(`The store must answer 'lease' with units, time and a decision; got ${show(leased)}.`),
      );
      return;
    }
    const waiting = this.#settle(call);
    const now = this.#lessor.clock.now();
    const { units, lasts, decision } = leased;
    const granted = Math.min(units, call.demand);
    const rest = units - granted;
    this.#units.hear(decision, now);
    const until = endOf(call.sent, lasts);
    if (rest === 0) {
      if (extra > 0) this.#renewFrom = now + this.policy.time / 4;
    } else if (now >= until) this.#exactUntil = now + pause;
    else if (!this.#isDropped) this.#units.add(rest, until, now);
    for (const [i, waiter] of call.waiters.entries()) {
      if (i < granted) waiter.resolve([granting(decision, rest + granted - 1 - i)]);
      else if (!decision.allowed) waiter.resolve([decision]);
      else askFor(waiter);
    }
    this.#serve(waiting, now);
  }

  /** Those who came after a call was sent take what it has brought, and the rest of them go with the next. */
  #serve(waiting: readonly Waiter[], now: number): void {
    let served = 0;
    while (served < waiting.length && this.#units.take(1, now)) {
      waiting[served++]!.resolve([this.#units.decision(now)]);
    }
    if (served < waiting.length) this.#send(waiting.slice(served), now);
  }

  #fail(call: Call, error: unknown): void {
    const waiting = this.#settle(call);
    this.#offUntil = this.#lessor.clock.now() + pause;
    for (const waiter of call.waiters) askFor(waiter, error);
    for (const waiter of waiting) askFor(waiter, error);
  }

  /** Those who came after it was sent. */
  #settle(call: Call): readonly Waiter[] {
    const waiting = this.#waiting;
    call.settle();
    this.#waiting = [];
    this.#isAsking = false;
    return waiting;
  }
}

/** The decision on one of those who waited, of whom more were granted units after it. */
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
