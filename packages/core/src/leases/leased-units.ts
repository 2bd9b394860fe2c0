import type { Decision } from '../decision.js';
import { micros } from '../duration.js';
import type { LeasedPolicy } from './leased-policy.js';

/** Parts of a thousand of a time that have passed for certain when a clock says so: clocks differ in how fast they run. */
const margin = 990;

/** When a lease of so many milliseconds is over that was asked for at that instant, in microseconds. */
export function endOf(asked: number, lasts: number): number {
  return asked + Math.floor(lasts * margin);
}

/**
 * LeasedUnits are the units of a key that this process may hand out, until their lease is over: those of one lease, and
 * behind them those of the next. Instants are microseconds.
 */
export class LeasedUnits {
  readonly #policy: LeasedPolicy;
  /** What is handed out now, and until when. */
  #units = 0;
  #until = 0;
  /** How many there were. */
  #leased = 0;
  /** What is handed out after that. */
  #nextUnits = 0;
  #nextUntil = 0;
  /** There are few left when there are so many. */
  #few = -1;
  /** What the store had left, when it is fresh, the instant at which it said so by its own clock, and when that was heard. */
  #left = 0;
  #freshAt = 0;
  #at = 0;
  #heard = 0;

  constructor(policy: LeasedPolicy) {
    this.#policy = policy;
  }

  take(cost: number, now: number): boolean {
    if (!this.has(cost, now)) return false;
    this.#units -= cost;
    return true;
  }

  has(cost: number, now: number): boolean {
    return (now < this.#until && cost <= this.#units) || this.#opens(cost, now);
  }

  /** Whether half of a lease is gone, and no other lies behind it: told once. */
  get isLow(): boolean {
    if (this.#units > this.#few || this.#nextUnits > 0) return false;
    this.#few = -1;
    return true;
  }

  /** Units that can still be handed out. */
  unspent(now: number): number {
    return (now < this.#until ? this.#units : 0) + (now < this.#nextUntil ? this.#nextUnits : 0);
  }

  /** Whether one more lease would have to wait for another. */
  get isFull(): boolean {
    return this.#nextUnits > 0;
  }

  /** What is said of a unit that is handed out, or could be, now. */
  decision(now: number): Decision {
    const { name, limit } = this.#policy.policy;
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

  /** What the store says of the key. */
  hear({ remaining, resetAfter, at }: Decision, now: number): void {
    this.#left = remaining;
    this.#freshAt = now + micros(resetAfter);
    this.#at = micros(at);
    this.#heard = now;
  }

  add(units: number, until: number, now: number): void {
    if (now < this.#until && this.#units > 0) {
      this.#nextUnits = units;
      this.#nextUntil = until;
    } else this.#begin(units, until);
  }

  /** Hands nothing out any more. */
  drop(): void {
    this.#units = 0;
    this.#until = 0;
    this.#nextUnits = 0;
    this.#few = -1;
  }

  /** Goes on with the next lease where the present one has ended, or is not enough. */
  #opens(cost: number, now: number): boolean {
    if (now >= this.#until) this.#end();
    if (this.#nextUnits > 0) {
      if (now >= this.#nextUntil) {
        this.#nextUnits = 0;
        return false;
      }
      if (this.#units === 0) this.#begin(this.#nextUnits, this.#nextUntil);
      else if (cost <= this.#units + this.#nextUnits) {
        // The earlier end goes for both.
        this.#units += this.#nextUnits;
        this.#until = Math.min(this.#until, this.#nextUntil);
        this.#few = this.#leased >> 1;
      } else return false;
      this.#nextUnits = 0;
    }
    return now < this.#until && cost <= this.#units;
  }

  #begin(units: number, until: number): void {
    this.#units = units;
    this.#until = until;
    this.#leased = units;
    this.#few = units >> 1;
  }

  #end(): void {
    this.#units = 0;
    this.#few = -1;
  }
}
