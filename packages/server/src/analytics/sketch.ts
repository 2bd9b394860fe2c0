import type { Hitter } from './analytics.js';

/** What a sketch says of a stretch of time: texts, each at least `count - error` and at most `count` times. */
export interface Summary {
  /** How often a text that is not among the counters may have occurred at the most. */
  readonly floor: number;
  readonly counters: readonly (readonly [key: string, count: number, error: number])[];
}

/**
 * A Sketch finds the most frequent of any number of texts with a bounded number of counters: Space-Saving, of Metwally,
 * Agrawal and El Abbadi (2005). A text that has no counter takes over the one with the least count, and that count is
 * its error. So what a counter says is never too low, and too high by its error at the most; of N texts in k counters,
 * every one that occurred more than N / k times has one.
 */
export class Sketch {
  readonly #counts: Float64Array;
  readonly #errors: Float64Array;
  readonly #keys: string[] = [];
  readonly #places = new Map<string, number>();
  #total = 0;
  /** The least count when it was last looked for. Counts only grow, so that none is below it. */
  #least = 0;
  /** No counter before this one has the least count. */
  #hand = 0;
  #isFull = false;

  constructor(counters = 512) {
    this.#counts = new Float64Array(counters);
    this.#errors = new Float64Array(counters);
  }

  /** How many texts were added. */
  get total(): number {
    return this.#total;
  }

  add(key: string): void {
    this.#total++;
    let place = this.#places.get(key);
    if (place === undefined) place = this.#assign(key);
    this.#counts[place]!++;
  }

  summary(): Summary {
    const counters = this.#keys.map((key, i) => [key, this.#counts[i]!, this.#errors[i]!] as const);
    // Until a counter has changed hands, every text has its own.
    return { floor: this.#isFull ? this.#minimum() : 0, counters };
  }

  #assign(key: string): number {
    let place = this.#keys.length;
    if (place === this.#counts.length) {
      this.#isFull = true;
      place = this.#nextLeast();
      this.#places.delete(this.#keys[place]!);
      this.#errors[place] = this.#counts[place]!;
    }
    this.#keys[place] = key;
    this.#places.set(key, place);
    return place;
  }

  /** Goes round the counters once for each value of the least count, however many have it. */
  #nextLeast(): number {
    let place = this.#counts.indexOf(this.#least, this.#hand);
    if (place < 0) {
      this.#least = this.#minimum();
      place = this.#counts.indexOf(this.#least);
    }
    this.#hand = place + 1;
    return place;
  }

  #minimum(): number {
    let least = this.#counts[0]!;
    for (let i = 1; i < this.#counts.length; i++) if (this.#counts[i]! < least) least = this.#counts[i]!;
    return least;
  }
}

/**
 * Adds up summaries of several stretches of time, or of several processes. The bounds hold for the sums: where a
 * summary does not have a key, up to its floor of occurrences may be missing, and count as such. Every text that
 * occurred more than N / k times in all is in it.
 */
export function merge(summaries: readonly Summary[]): Summary {
  let floor = 0;
  const sums = new Map<string, { count: number; error: number }>();
  for (const summary of summaries) {
    floor += summary.floor;
    for (const [key, count, error] of summary.counters) {
      const sum = sums.get(key);
      // The floor is what those may have missed that do not have the key: all of them, less those that have it.
      if (sum === undefined) sums.set(key, { count: count - summary.floor, error: error - summary.floor });
      else {
        sum.count += count - summary.floor;
        sum.error += error - summary.floor;
      }
    }
  }
  const counters = [...sums].map(([key, { count, error }]) => [key, floor + count, floor + error] as const);
  return { floor, counters };
}

/** The `n` with the highest counts, the surest first among equals. */
export function mostFrequent({ counters }: Summary, n: number): readonly Hitter[] {
  return [...counters]
    .sort(([a, countOfA, errorOfA], [b, countOfB, errorOfB]) => {
      return countOfB - countOfA || errorOfA - errorOfB || (a < b ? -1 : 1);
    })
    .slice(0, n)
    .map(([key, count, error]) => ({ key, count, error }));
}

/** Reads a summary that was written as JSON; `undefined` for anything else. */
export function parseSummary(value: unknown): Summary | undefined {
  const { floor, counters } = (value ?? {}) as { floor?: unknown; counters?: unknown };
  if (!isCount(floor) || !Array.isArray(counters)) return undefined;
  return counters.every(isCounter) ? { floor, counters } : undefined;
}

function isCounter(value: unknown): value is Summary['counters'][number] {
  if (!Array.isArray(value) || value.length !== 3) return false;
  const [key, count, error] = value as readonly unknown[];
  return typeof key === 'string' && isCount(count) && isCount(error) && error <= count;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
