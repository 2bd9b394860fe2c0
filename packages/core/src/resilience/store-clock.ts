import type { Clock } from '../clock.js';
import { micros } from '../duration.js';

/** Microseconds that a store's clock may seem to lag behind before it is believed that it does. */
const lag = 50_000;

/**
 * A StoreClock tells what time it is for a store whose clock is another: its windows begin when the store's do, also
 * while it cannot be asked.
 */
export class StoreClock implements Clock {
  readonly #clock: Clock;
  /** Microseconds that the store's clock is ahead. */
  #ahead = 0;
  #seen = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  now(): number {
    return this.#clock.now() + this.#ahead;
  }

  after(ms: number, run: () => void, options?: { background?: boolean }): () => void {
    return this.#clock.after(ms, run, options);
  }

  /** Learns from a decision that has just come; `at` is its instant in milliseconds. */
  observe(at: number): void {
    // An answer takes its time, so that the store's clock is ahead by no less than what the quickest one shows.
    const ahead = micros(at) - this.#clock.now();
    if (this.#seen && ahead <= this.#ahead && ahead >= this.#ahead - lag) return;
    this.#seen = true;
    this.#ahead = ahead;
  }
}
