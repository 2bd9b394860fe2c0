import type { Clock } from '../clock.js';
import type { Contents } from './contents.js';

/** How often keys that are as fresh as new again are looked for, in milliseconds. */
const interval = 1_000;
/** Pause after a slice of a sweep that is not through, in milliseconds. */
const pause = 2;
/** Rows looked at in one slice at most, but for the last shard. */
const slice = 8_192;
/** Microseconds after which a slice ends with the shard at hand: until the code is compiled, rows take far longer. */
const budget = 500;
/** A process that never yields to timers sweeps a slice per so many new keys. */
const newKeysPerSlice = 1_024;

/**
 * A Sweeper forgets keys that are fresh again: one timer for all, which does not keep the process alive, runs only
 * while there are keys, and never does more than a slice of work at a time.
 */
export class Sweeper {
  #contents: Contents;
  readonly #clock: Clock;
  #cancel: (() => void) | undefined;
  #hand = 0;
  #added = 0;

  constructor(contents: Contents, clock: Clock) {
    this.#contents = contents;
    this.#clock = clock;
  }

  /** To be called for every key that is added. */
  keyAdded(now: number): void {
    this.start();
    if (++this.#added % newKeysPerSlice === 0) this.#sweepSlice(now);
  }

  /** To be called when the contents are others. */
  reset(contents: Contents): void {
    this.#contents = contents;
    this.#hand = 0;
    if (contents.table.size > 0) this.start();
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
    if (this.#contents.table.size > 0) this.#arm(done ? interval : pause);
  }

  /** Sweeps shards in which a key is due, until the slice is used up; says whether none is left. */
  #sweepSlice(now: number): boolean {
    const { table } = this.#contents;
    if (table.freshFrom > now) return true;
    const end = this.#clock.now() + budget;
    let left = slice;
    for (let i = 0; i < table.shards.length; i++) {
      this.#hand = (this.#hand + 1) % table.shards.length;
      const shard = table.shards[this.#hand]!;
      if (shard.freshFrom > now) continue;
      if (left <= 0 || (left < slice && this.#clock.now() > end)) return false;
      left -= shard.capacity;
      table.sweep(shard, now);
    }
    table.updateFreshFrom();
    return true;
  }
}
