import type { Clock } from '../clock.js';
import type { Table } from './table.js';

/** How often keys that are as fresh as new again are looked for, in milliseconds. */
const interval = 1_000;
/** Pause after a slice of a sweep that is not through, in milliseconds. */
const pause = 2;
/** Slots looked at in one slice at most. */
const slice = 8_192;
/** Microseconds after which a slice ends with the shard at hand: until the code is compiled, slots take far longer. */
const budget = 500;
/** A process that never yields to timers sweeps a slice per so many new keys. */
const newKeysPerSlice = 1_024;

/**
 * A Sweeper forgets keys that are fresh again: one timer for all, which does not keep the process alive, runs only
 * while there are keys, and never does more than a slice of work at a time.
 */
export class Sweeper {
  readonly #table: Table;
  readonly #clock: Clock;
  #cancel: (() => void) | undefined;
  #hand = 0;
  #added = 0;

  constructor(table: Table, clock: Clock) {
    this.#table = table;
    this.#clock = clock;
  }

  /** To be called for every key that is added. */
  keyAdded(now: number): void {
    this.start();
    if (++this.#added % newKeysPerSlice === 0) this.#sweepSlice(now);
  }

  start(): void {
    if (this.#cancel === undefined) this.#arm(interval);
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #arm(ms: number): void {
    this.#cancel = this.#clock.after(ms, () => this.#run(), { background: true });
  }

  #run(): void {
    this.#cancel = undefined;
    const done = this.#sweepSlice(this.#clock.now());
    if (this.#table.size > 0) this.#arm(done ? interval : pause);
  }

  /** Sweeps shards in which a key is due, until the slice is used up; says whether none is left. */
  #sweepSlice(now: number): boolean {
    const end = this.#clock.now() + budget;
    let left = slice;
    for (let i = 0; i < this.#table.shards.length; i++) {
      this.#hand = (this.#hand + 1) % this.#table.shards.length;
      const shard = this.#table.shards[this.#hand]!;
      if (shard.freshFrom > now) continue;
      if (left <= 0 || (left < slice && this.#clock.now() > end)) return false;
      left -= shard.capacity;
      this.#table.sweep(shard, now);
    }
    return true;
  }
}
