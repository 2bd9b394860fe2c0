import { BOXED, EMPTY, type Mark, markAt, OPEN, ROW, STATE, setMark, shapeAt } from './row.js';

/** The share of the rows that may be taken: beyond, the way to a key becomes long. */
const fullest = 0.8;
/** The share that is taken after a growth or a split. */
const roomy = 0.7;

/** Rows in which so many keys have room to grow. */
export function capacityFor(keys: number): number {
  return Math.max(8, Math.ceil((keys + 1) / roomy));
}

/** A Box keeps a state that does not fit into a row. */
export interface Box {
  readonly owner: number;
  readonly state: unknown;
  /** The instant from which on the state says nothing. */
  readonly freshAt: number;
}

/**
 * A Shard is one part of the table: open addressing with linear probing over rows of 32-bit words, so that a key is no
 * object for the garbage collector. Its capacity is any number: what a fingerprint's lower half is of 2^32, its first
 * row is of the capacity. A row is named by the index of its first word.
 */
export class Shard {
  /** How many leading bits of the fingerprint all keys of this shard share. */
  readonly depth: number;
  readonly capacity: number;
  readonly words: Int32Array;
  readonly #scale: number;
  readonly #most: number;
  /** By the number in the row, from 1 on; allocated when the first one comes. */
  #boxes: (Box | undefined)[] | undefined;
  readonly #freeBoxes: number[] = [];
  /** Where the shard stands in its table's list. */
  position = 0;
  count = 0;
  /** How many rows are marked OPEN. */
  open = 0;
  /** The row from which on the next key to be forgotten is looked for: all rows in turn, or the newest keys would go. */
  hand = 0;
  /** No key is fresh before this instant. */
  freshFrom = Number.POSITIVE_INFINITY;
  /** No key marked REFUSED has units again before this instant. */
  openFrom = Number.POSITIVE_INFINITY;

  constructor(depth: number, capacity: number) {
    this.depth = depth;
    this.capacity = capacity;
    this.words = new Int32Array(capacity * ROW);
    this.#scale = capacity / 2 ** 32;
    this.#most = Math.floor(capacity * fullest);
  }

  /** An empty shard for keys of this one. */
  successor(depth: number, capacity: number): Shard {
    const shard = new Shard(depth, capacity);
    shard.freshFrom = this.freshFrom;
    shard.openFrom = this.openFrom;
    return shard;
  }

  get isFull(): boolean {
    return this.count >= this.#most;
  }

  /** The row of a key with that fingerprint, or -1; behind `after`, if that is one. */
  find(low: number, high: number, after = -1): number {
    const words = this.words;
    for (let row = after < 0 ? this.#home(low) : this.#next(after); words[row + 3]! >>> 30 !== EMPTY; ) {
      if (words[row] === low && words[row + 1] === high) return row;
      row += ROW;
      if (row === words.length) row = 0;
    }
    return -1;
  }

  /** Takes an empty row for a key that is not there yet. The shard must not be full. */
  add(low: number, high: number, mark: Mark = OPEN): number {
    const words = this.words;
    let row = this.#home(low);
    while (markAt(words, row) !== EMPTY) row = this.#next(row);
    words[row] = low;
    words[row + 1] = high;
    setMark(words, row, mark);
    if (mark === OPEN) this.open++;
    this.count++;
    return row;
  }

  mark(row: number, mark: Mark): void {
    if (markAt(this.words, row) === mark) return;
    setMark(this.words, row, mark);
    this.open += mark === OPEN ? 1 : -1;
  }

  /** The box of a row whose shape is BOXED; a row that is new has none. */
  box(row: number): Box | undefined {
    return this.#boxes?.[this.words[row + STATE]!];
  }

  /** To be called with a row that is new, or has a box. */
  setBox(row: number, box: Box): void {
    this.#boxes ??= [undefined];
    if (this.words[row + STATE] === 0) this.words[row + STATE] = this.#freeBoxes.pop() ?? this.#boxes.length;
    this.#boxes[this.words[row + STATE]!] = box;
  }

  dropBox(number: number): void {
    if (number === 0) return;
    this.#boxes![number] = undefined;
    this.#freeBoxes.push(number);
  }

  /** The first row from that one on, around the end, that has the mark; -1 where none has. */
  nextMarked(mark: Mark, from: number): number {
    let row = from;
    for (let i = 0; i < this.capacity; i++) {
      if (markAt(this.words, row) === mark) return row;
      row = this.#next(row);
    }
    return -1;
  }

  /** Empties a row, and moves up the keys that a probe would no longer reach behind the hole. */
  remove(row: number): void {
    const words = this.words;
    if (shapeAt(words, row) === BOXED) this.dropBox(words[row + STATE]!);
    if (markAt(words, row) === OPEN) this.open--;
    this.count--;
    let hole = row;
    for (let i = this.#next(row); markAt(words, i) !== EMPTY; i = this.#next(i)) {
      const home = this.#home(words[i]!);
      if (this.#distance(home, i) < this.#distance(hole, i)) continue;
      words.copyWithin(hole, i, i + ROW);
      hole = i;
    }
    words.fill(0, hole, hole + ROW);
  }

  /** Copies a key of another shard, which is not to be used any more. */
  take(from: Shard, row: number): void {
    const to = this.add(from.words[row]!, from.words[row + 1]!, markAt(from.words, row) as Mark);
    for (let i = STATE; i < ROW; i++) this.words[to + i] = from.words[row + i]!;
    if (shapeAt(this.words, to) !== BOXED) return;
    this.words[to + STATE] = 0;
    this.setBox(to, from.box(row)!);
  }

  #home(low: number): number {
    return Math.floor((low >>> 0) * this.#scale) * ROW;
  }

  #next(row: number): number {
    return row + ROW === this.words.length ? 0 : row + ROW;
  }

  /** Words from one row on to another, around the end. */
  #distance(from: number, to: number): number {
    return to >= from ? to - from : to - from + this.words.length;
  }
}
