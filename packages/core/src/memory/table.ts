import type { Owner } from './owners.js';
import { BOXED, EMPTY, markAt, ROW, STATE, setShape, shapeAt } from './row.js';
import { type Shape, Shapes } from './shapes.js';
import { capacityFor, Shard } from './shard.js';

/** A full shard of at least so many rows splits in two, so that no growth moves more keys than this at a time. */
const largest = 2_048;
/** By how much a full shard grows that does not split. */
const growth = 1.2;
/** The share of rows taken below which a shard that was swept gives memory back. */
const emptiest = 0.4;
/** Of so many keys of a shard that is swept, one goes by itself; more make it a new shard. */
const fewOf = 16;

/**
 * A Table finds the shard of a key: extendible hashing. The leading bits of the fingerprint's upper half index a
 * directory whose entries point at shards; a full shard grows, or splits by one more bit, and only then may the
 * directory double. So the table is never less than half full, nor has it to move more than a shard at a time.
 *
 * Source: R. Fagin et al., "Extendible hashing: a fast access method for dynamic files" (1979).
 */
export class Table {
  #depth = 0;
  #directory: Shard[] = [];
  #shards: Shard[] = [];
  readonly shapes = new Shapes();
  size = 0;
  /** No key is fresh before this instant. */
  freshFrom = Number.POSITIVE_INFINITY;

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
      const index = this.#index(high);
      if (shard.capacity < largest) this.#replace(shard, index, Math.ceil(shard.capacity * growth));
      else this.#split(shard, index);
    }
  }

  /** The row of an owner's key, or -1. */
  find(shard: Shard, low: number, high: number, owner: number): number {
    let row = shard.find(low, high);
    while (row >= 0 && this.ownerAt(shard, row) !== owner) row = shard.find(low, high, row);
    return row;
  }

  ownerAt(shard: Shard, row: number): number {
    const number = shapeAt(shard.words, row);
    return number === BOXED ? shard.box(row)!.owner : this.shapes.at(number).owner;
  }

  /** The instant from which on a row's state says nothing. */
  freshAt(shard: Shard, row: number): number {
    const number = shapeAt(shard.words, row);
    if (number === BOXED) return shard.box(row)!.freshAt;
    const { cells, policy } = this.shapes.at(number);
    return cells!.freshAt(shard.words, row + STATE, policy);
  }

  /** The state of a row, as it was written; from `freshAt` on it says nothing. */
  read(shard: Shard, row: number): unknown {
    const number = shapeAt(shard.words, row);
    if (number === BOXED) return shard.box(row)!.state;
    const { cells, policy } = this.shapes.at(number);
    return cells!.read(shard.words, row + STATE, policy);
  }

  /**
   * Writes a state that says nothing from `freshAt` on. One that does not fit into a row goes to a box, and so does one
   * that tells another instant itself, as may be after a change of the window.
   */
  write(
    shard: Shard,
    row: number,
    { number: owner, shape }: Pick<Owner, 'number' | 'shape'>,
    state: unknown,
    freshAt: number,
  ): void {
    if (!this.#pack(shard, row, shape, state) || this.freshAt(shard, row) !== freshAt) {
      const number = shapeAt(shard.words, row);
      if (number !== BOXED) {
        this.shapes.release(this.shapes.at(number));
        setShape(shard.words, row, BOXED);
        shard.words[row + STATE] = 0;
      }
      shard.setBox(row, { owner, state, freshAt });
    }
    const until = this.freshAt(shard, row);
    if (until >= shard.freshFrom) return;
    shard.freshFrom = until;
    if (until < this.freshFrom) this.freshFrom = until;
  }

  /** Writes a state into its row; whether it fits. */
  #pack(shard: Shard, row: number, shape: Shape, state: unknown): boolean {
    const { words } = shard;
    const { cells, policy } = shape;
    if (cells === undefined) return false;
    const before = shapeAt(words, row);
    if (before !== BOXED && before === shape.number) return cells.write(words, row + STATE, state, policy);

    const box = words[row + STATE]!;
    if (!this.shapes.retain(shape)) return false;
    if (!cells.write(words, row + STATE, state, policy)) {
      this.shapes.release(shape);
      return false;
    }
    if (before === BOXED) shard.dropBox(box);
    else this.shapes.release(this.shapes.at(before));
    setShape(words, row, shape.number);
    return true;
  }

  remove(shard: Shard, row: number): void {
    this.#forgetShape(shard, row);
    shard.remove(row);
    this.size--;
  }

  /** Removes the keys of one shard that are as fresh as new at `now`, and gives back the memory they took. */
  sweep(shard: Shard, now: number): number {
    const { words } = shard;
    let due = 0;
    let last = 0;
    let freshFrom = Number.POSITIVE_INFINITY;
    for (let row = 0; row < words.length; row += ROW) {
      if (markAt(words, row) === EMPTY) continue;
      last = row;
      const freshAt = this.freshAt(shard, row);
      if (freshAt <= now) due++;
      else if (freshAt < freshFrom) freshFrom = freshAt;
    }
    shard.freshFrom = freshFrom;
    if (due === 0) return 0;
    const kept = shard.count - due;
    if (due * fewOf > shard.count || kept < shard.capacity * emptiest) {
      const other = this.#without(shard, kept, now);
      this.#put(other, shard.position, this.#index(words[last + 1]!));
    } else {
      for (let row = 0; row < words.length; row += ROW) {
        // A removal may move another key into the row, so the row is looked at again.
        while (markAt(words, row) !== EMPTY && this.freshAt(shard, row) <= now) this.remove(shard, row);
      }
    }
    if (this.size === 0) this.clear();
    return due;
  }

  clear(): void {
    const shard = new Shard(0, capacityFor(0));
    this.#depth = 0;
    this.#directory = [shard];
    this.#shards = [shard];
    this.shapes.clear();
    this.size = 0;
    this.freshFrom = Number.POSITIVE_INFINITY;
  }

  /** Works out anew from when on a key may be fresh. */
  updateFreshFrom(): void {
    this.freshFrom = Number.POSITIVE_INFINITY;
    for (const { freshFrom } of this.#shards) if (freshFrom < this.freshFrom) this.freshFrom = freshFrom;
  }

  #forgetShape(shard: Shard, row: number): void {
    const number = shapeAt(shard.words, row);
    if (number !== BOXED) this.shapes.release(this.shapes.at(number));
  }

  #index(high: number): number {
    // A shift by 32 is a shift by 0.
    return this.#depth === 0 ? 0 : high >>> (32 - this.#depth);
  }

  /** The shard without the keys that are as fresh as new at `now`, which leaves so many. */
  #without(shard: Shard, kept: number, now: number): Shard {
    const other = shard.successor(shard.depth, Math.min(shard.capacity, capacityFor(kept)));
    for (let row = 0; row < shard.words.length; row += ROW) {
      if (markAt(shard.words, row) === EMPTY) continue;
      if (this.freshAt(shard, row) > now) other.take(shard, row);
      else {
        this.#forgetShape(shard, row);
        this.size--;
      }
    }
    return other;
  }

  #replace(shard: Shard, index: number, capacity: number): void {
    const other = shard.successor(shard.depth, capacity);
    for (let row = 0; row < shard.words.length; row += ROW) {
      if (markAt(shard.words, row) !== EMPTY) other.take(shard, row);
    }
    this.#put(other, shard.position, index);
  }

  #split(shard: Shard, index: number): void {
    if (shard.depth === this.#depth) {
      this.#double();
      index *= 2;
    }
    const { words } = shard;
    const depth = shard.depth + 1;
    const bit = 1 << (32 - depth);
    let inUpper = 0;
    for (let row = 0; row < words.length; row += ROW) {
      if (markAt(words, row) !== EMPTY && (words[row + 1]! & bit) !== 0) inUpper++;
    }
    const lower = shard.successor(depth, capacityFor(shard.count - inUpper));
    const upper = shard.successor(depth, capacityFor(inUpper));
    for (let row = 0; row < words.length; row += ROW) {
      if (markAt(words, row) !== EMPTY) ((words[row + 1]! & bit) === 0 ? lower : upper).take(shard, row);
    }
    const width = this.#directory.length >>> depth;
    const first = index - (index % (2 * width));
    this.#put(lower, shard.position, first);
    this.#put(upper, this.#shards.length, first + width);
  }

  #double(): void {
    const directory = new Array<Shard>(2 * this.#directory.length);
    for (let i = 0; i < directory.length; i++) directory[i] = this.#directory[i >>> 1]!;
    this.#directory = directory;
    this.#depth++;
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
