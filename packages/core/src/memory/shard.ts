/** What a slot holds: nothing, a key that has units left, or a key that is being refused. */
export const EMPTY = 0;
export const OPEN = 1;
export const REFUSED = 2;
export type Mark = typeof OPEN | typeof REFUSED;

/** Numbers per slot in `cells`: the instant at which the key is fresh, then its state. */
export const ROW = 4;

/**
 * A Shard is one part of the table: open addressing with linear probing over typed arrays, so that a key is no object
 * for the garbage collector. A key is known by its 64-bit fingerprint and the number of its policy, its owner.
 */
export class Shard {
  /** How many leading bits of the fingerprint all keys of this shard share. */
  readonly depth: number;
  readonly capacity: number;
  readonly marks: Uint8Array;
  readonly owners: Uint32Array;
  readonly cells: Float64Array;
  readonly #prints: Int32Array;
  /** States that are not a fixed number of numbers; allocated when the first one comes. */
  #objects: unknown[] | undefined;
  /** Where the shard stands in its table's list. */
  position = 0;
  count = 0;
  /** How many slots are marked OPEN. */
  open = 0;
  /** No key is fresh before this instant. */
  freshFrom = Number.POSITIVE_INFINITY;
  /** No key marked REFUSED has units again before this instant. */
  openFrom = Number.POSITIVE_INFINITY;

  constructor(depth: number, capacity: number) {
    this.depth = depth;
    this.capacity = capacity;
    this.marks = new Uint8Array(capacity);
    this.owners = new Uint32Array(capacity);
    this.cells = new Float64Array(capacity * ROW);
    this.#prints = new Int32Array(capacity * 2);
  }

  get isFull(): boolean {
    return this.count >= this.capacity * 0.75;
  }

  /** The slot of that key, or -1. */
  find(low: number, high: number, owner: number): number {
    const mask = this.capacity - 1;
    const prints = this.#prints;
    for (let slot = low & mask; this.marks[slot] !== EMPTY; slot = (slot + 1) & mask) {
      if (prints[2 * slot] === low && prints[2 * slot + 1] === high && this.owners[slot] === owner) return slot;
    }
    return -1;
  }

  /** The halves of the fingerprint in that slot, signed 32-bit integers. */
  print(slot: number): { readonly low: number; readonly high: number } {
    return { low: this.#prints[2 * slot]!, high: this.#prints[2 * slot + 1]! };
  }

  /** Takes an empty slot for a key that is not there yet. The shard must not be full. */
  add(low: number, high: number, owner: number): number {
    const mask = this.capacity - 1;
    let slot = low & mask;
    while (this.marks[slot] !== EMPTY) slot = (slot + 1) & mask;
    this.#prints[2 * slot] = low;
    this.#prints[2 * slot + 1] = high;
    this.owners[slot] = owner;
    this.marks[slot] = OPEN;
    this.open++;
    this.count++;
    return slot;
  }

  mark(slot: number, mark: Mark): void {
    if (this.marks[slot] === mark) return;
    this.marks[slot] = mark;
    this.open += mark === OPEN ? 1 : -1;
  }

  object(slot: number): unknown {
    return this.#objects?.[slot];
  }

  setObject(slot: number, value: unknown): void {
    this.#objects ??= new Array(this.capacity).fill(undefined);
    this.#objects[slot] = value;
  }

  /** Empties a slot, and moves up the keys that a probe would no longer reach behind the hole. */
  remove(slot: number): void {
    const mask = this.capacity - 1;
    if (this.marks[slot] === OPEN) this.open--;
    this.count--;
    let hole = slot;
    for (let i = (slot + 1) & mask; this.marks[i] !== EMPTY; i = (i + 1) & mask) {
      const home = this.#prints[2 * i]! & mask;
      if (((i - home) & mask) < ((i - hole) & mask)) continue;
      this.#write(hole, this, i);
      hole = i;
    }
    this.marks[hole] = EMPTY;
    if (this.#objects) this.#objects[hole] = undefined;
  }

  /** Spreads all keys over other shards, by the function that names each one's shard from the upper half of its print. */
  moveTo(shardOf: (high: number) => Shard): void {
    for (let slot = 0; slot < this.capacity; slot++) {
      if (this.marks[slot] === EMPTY) continue;
      const low = this.#prints[2 * slot]!;
      const high = this.#prints[2 * slot + 1]!;
      const shard = shardOf(high);
      const to = shard.add(low, high, this.owners[slot]!);
      shard.mark(to, this.marks[slot] as Mark);
      shard.#write(to, this, slot);
      shard.freshFrom = Math.min(shard.freshFrom, this.cells[ROW * slot]!);
      shard.openFrom = this.openFrom;
    }
  }

  /** Removes the keys that are as fresh as new at `now`; says how many. */
  sweep(now: number): number {
    const before = this.count;
    this.freshFrom = Number.POSITIVE_INFINITY;
    for (let slot = 0; slot < this.capacity; slot++) {
      // A removal may move another key into the slot, so the slot is looked at again.
      while (this.marks[slot] !== EMPTY && this.cells[ROW * slot]! <= now) this.remove(slot);
      if (this.marks[slot] !== EMPTY && this.cells[ROW * slot]! < this.freshFrom) {
        this.freshFrom = this.cells[ROW * slot]!;
      }
    }
    return before - this.count;
  }

  #write(slot: number, from: Shard, at: number): void {
    this.#prints[2 * slot] = from.#prints[2 * at]!;
    this.#prints[2 * slot + 1] = from.#prints[2 * at + 1]!;
    this.owners[slot] = from.owners[at]!;
    this.marks[slot] = from.marks[at]!;
    for (let i = 0; i < ROW; i++) this.cells[ROW * slot + i] = from.cells[ROW * at + i]!;
    if (from.#objects) this.setObject(slot, from.#objects[at]);
  }
}
