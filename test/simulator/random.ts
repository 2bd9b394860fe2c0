/** A Random is a stream of numbers that a seed determines: the same on every machine. */
export class Random {
  #state: number;

  constructor(seed: number) {
    // Seeds that follow one another are to give streams that have nothing in common.
    this.#state = Math.imul(seed + 1, 0x9e3779b1) ^ 0x5bf03635;
    for (let i = 0; i < 4; i++) this.next();
  }

  /** A number in [0, 1). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  /** From `least` to just below `most`. */
  between(least: number, most: number): number {
    return least + this.next() * (most - least);
  }

  /** From `least` to `most`, both included. */
  integer(least: number, most: number): number {
    return least + Math.floor(this.next() * (most - least + 1));
  }

  /** From `least` to `most`, each order of magnitude as likely as another. */
  magnitude(least: number, most: number): number {
    return least * (most / least) ** this.next();
  }

  /** The time to the next of events that come by chance, one in `mean` on the average. */
  wait(mean: number): number {
    return -Math.log(1 - this.next()) * mean;
  }

  pick<T>(choices: readonly T[]): T {
    return choices[Math.floor(this.next() * choices.length)]!;
  }
}
