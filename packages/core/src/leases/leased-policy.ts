import type { CompiledPolicy } from '../policy.js';
import type { LeasedKey } from './leased-key.js';

/** A key is hot when it is asked for so often within so many microseconds. */
export const often = 16;
export const period = 100_000;

/** Keys counted in a period at the most. */
const mostCounted = 10_000;

/** A LeasedPolicy knows which keys of a policy are leased, and counts how often the others are asked for. */
export class LeasedPolicy {
  readonly policy: CompiledPolicy;
  /** Units of one process's lease at the most. */
  readonly largest: number;
  /** Microseconds that a lease lasts at the most. */
  readonly time: number;
  readonly keys = new Map<string, LeasedKey>();
  readonly #counts = new Map<string, number>();
  #since = 0;

  constructor(policy: CompiledPolicy, largest: number, time: number) {
    this.policy = policy;
    this.largest = largest;
    this.time = time;
  }

  /** The store is asked for the key: whether that is often enough for a lease. */
  warms(key: string, now: number): boolean {
    const counts = this.#counts;
    if (now - this.#since >= period || now < this.#since) {
      counts.clear();
      this.#since = now;
    }
    const count = (counts.get(key) ?? 0) + 1;
    if (count >= often) {
      counts.delete(key);
      return true;
    }
    if (count > 1 || counts.size < mostCounted) counts.set(key, count);
    return false;
  }
}
