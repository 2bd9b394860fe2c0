import { stateWords } from '../algorithms/cells.js';

/** What a row holds: nothing, a key that has units left, or a key that is being refused. */
export const EMPTY = 0;
export const OPEN = 1;
export const REFUSED = 2;
export type Mark = typeof OPEN | typeof REFUSED;

/**
 * Words per row: the two halves of the fingerprint, then those of the state. The bits that a state leaves over hold the
 * mark, 2 bits, and the number of the state's shape, 10 bits beside it and 2 in each of the last two words.
 */
export const ROW = 2 + stateWords;
export const STATE = 2;

/** The shape of a row whose state is not in it: the row tells the number of a box. */
export const BOXED = 0;

/** Shapes have numbers below this one. */
export const shapeNumbers = 2 ** 14;

const upper = STATE + 1;

export function markAt(words: Int32Array, row: number): number {
  return words[row + upper]! >>> 30;
}

export function setMark(words: Int32Array, row: number, mark: Mark): void {
  words[row + upper] = (words[row + upper]! & 0x3fffffff) | (mark << 30);
}

export function shapeAt(words: Int32Array, row: number): number {
  return (
    ((words[row + upper]! >>> 20) & 0x3ff) |
    ((words[row + STATE + 2]! >>> 30) << 10) |
    ((words[row + STATE + 3]! >>> 30) << 12)
  );
}

export function setShape(words: Int32Array, row: number, shape: number): void {
  words[row + upper] = (words[row + upper]! & ~(0x3ff << 20)) | ((shape & 0x3ff) << 20);
  words[row + STATE + 2] = (words[row + STATE + 2]! & 0x3fffffff) | ((shape >>> 10) << 30);
  words[row + STATE + 3] = (words[row + STATE + 3]! & 0x3fffffff) | ((shape >>> 12) << 30);
}
