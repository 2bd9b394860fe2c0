import { Shard } from './shard.js';

const smallest = 8;
/** A shard that is full at this size splits in two, so that no growth moves more keys than this at a time. */
const largest = 2_048;

/**
 * A Table finds the shard of a key: extendible hashing. The leading bits of the fingerprint's upper half index a
 * directory whose entries point at shards; a full shard splits by one more bit, and only then may the directory double.
 *
 * Source: R. Fagin et al., "Extendible hashing: a fast access method for dynamic files" (1979).
 */
export class Table {
  #depth = 0;
  #directory: Shard[] = [];
  #shards: Shard[] = [];
  size = 0;

  constructor() {
    this.clear();
  }

  /** Every shard once, in no particular order. */
  get shards(): readonly Shard[] {
    return this.#shards;
  }

  /** The shard in which a key with that print is, if it is anywhere. */
  shardOf(high: number): Shard {
    return this.#directory[this.#index(high)]!;
  }

  /** The shard in which a key with that print belongs, with room for one more. */
  shardWithRoom(high: number): Shard {
    for (;;) {
      const shard = this.shardOf(high);
      if (!shard.isFull) return shard;
      if (shard.capacity < largest) this.#replace(shard, this.#index(high), shard.capacity * 2);
      else this.#split(shard, this.#index(high));
    }
  }

  /** Removes the keys of one shard that are as fresh as new at `now`, and gives back the memory they took. */
  sweep(shard: Shard, now: number): number {
    const removed = shard.sweep(now);
    this.size -= removed;
    if (removed === 0) return 0;
    if (this.size === 0) this.clear();
    else if (shard.count < shard.capacity / 8 && shard.capacity > smallest) {
      const capacity = 2 ** Math.ceil(Math.log2(Math.max(smallest, shard.count * 2)));
      this.#replace(shard, this.#directory.indexOf(shard), capacity);
    }
    return removed;
  }

  remove(shard: Shard, slot: number): void {
    shard.remove(slot);
    this.size--;
  }

  clear(): void {
    const shard = new Shard(0, smallest);
    this.#depth = 0;
    this.#directory = [shard];
    this.#shards = [shard];
    this.size = 0;
  }

  /** Takes over the keys of another table, which must not be used any more, instead of its own. */
  adopt(other: Table): void {
    this.#depth = other.#depth;
    this.#directory = other.#directory;
    this.#shards = other.#shards;
    this.size = other.size;
  }

  #index(high: number): number {
    // A shift by 32 is a shift by 0.
    return this.#depth === 0 ? 0 : high >>> (32 - this.#depth);
  }

  #replace(shard: Shard, index: number, capacity: number): void {
    const other = new Shard(shard.depth, capacity);
    shard.moveTo(() => other);
    this.#put(other, shard.position, index);
  }

  #split(shard: Shard, index: number): void {
    if (shard.depth === this.#depth) {
      this.#directory = this.#directory.flatMap((entry) => [entry, entry]);
      this.#depth++;
      index *= 2;
    }
    const depth = shard.depth + 1;
    const bit = 1 << (32 - depth);
    const lower = new Shard(depth, largest);
    const upper = new Shard(depth, largest);
    shard.moveTo((high) => ((high & bit) === 0 ? lower : upper));
    const width = this.#directory.length >>> depth;
    const first = index - (index % (2 * width));
    this.#put(lower, shard.position, first);
    this.#put(upper, this.#shards.length, first + width);
  }

  /** Puts a shard into the list, and into every entry of the directory that begins with its bits. */
  #put(shard: Shard, position: number, index: number): void {
    shard.position = position;
    this.#shards[position] = shard;
    const width = this.#directory.length >>> shard.depth;
    const first = index - (index % width);
    this.#directory.fill(shard, first, first + width);
  }
}
