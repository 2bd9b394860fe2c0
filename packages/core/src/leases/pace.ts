import { often, period } from './leased-policy.js';

/** A lease is for so small a part of its time, at the pace at which a key is asked for: few units are left when it ends. */
const part = 16;

/** A smaller lease saves no call worth the name. */
const smallest = 8;

/** A Pace knows how fast the units of a key are asked for, and how large a lease is that will be used up. */
export class Pace {
  /** Units of a lease at the most. */
  readonly #largest: number;
  /** Microseconds over which it is measured: the time of a lease. */
  readonly #time: number;
  /** Units asked for since then, and in the time before that. */
  #asked = 0;
  #since: number;
  #before = 0;
  #isSlow = false;

  constructor(largest: number, time: number, now: number) {
    this.#largest = largest;
    this.#time = time;
    this.#since = now;
  }

  /** So many units are asked for, by one who wants all or none. */
  count(units: number, now: number): void {
    // No lease would ever do for more than that, and so none is to be larger for it.
    if (units <= this.#largest) this.#asked += units;
    const elapsed = now - this.#since;
    if (elapsed < this.#time) return;
    // Also where nobody has asked for much longer than that.
    this.#before = (this.#asked * this.#time) / elapsed;
    this.#isSlow = 2 * this.#asked * period < often * elapsed;
    this.#asked = 0;
    this.#since = now;
  }

  /** Whether the key is asked for half as often as a hot one, or less. */
  get isSlow(): boolean {
    return this.#isSlow;
  }

  /** Units that a lease should have: none where hardly any of them would be asked for in time. */
  get size(): number {
    const size = Math.min(this.#largest, Math.floor(Math.max(this.#before, this.#asked) / part));
    return size < smallest ? 0 : size;
  }
}
