import type { Decision } from '../decision.js';
import type { CompiledPolicy } from '../policy.js';

/**
 * Cells keeps a state in four 32-bit words: an instant below 2^52, which is the year 2112, and two numbers below 2^30.
 * The bits left over, 12 of the second word and 2 of the last two each, are not its own, and stay as they are. What a
 * state does not say is taken from the policy that wrote it.
 */
export interface Cells<S> {
  read(words: Int32Array, at: number, policy: CompiledPolicy): S;
  /** Whether the state fits; what does not is not written, and not rounded either. */
  write(words: Int32Array, at: number, state: S, policy: CompiledPolicy): boolean;
  /** The instant from which on the state says nothing. */
  freshAt(words: Int32Array, at: number, policy: CompiledPolicy): number;
  /**
   * Decides and takes as `decide` does, in place and without another object, in the usual case: the state says
   * something, and after it the key is as fresh later as before and has units left, or is refused and unchanged.
   * Elsewhere nothing is decided nor taken.
   */
  consume?(words: Int32Array, at: number, policy: CompiledPolicy, cost: number, now: number): Decision | undefined;
}

/** Words of a state. */
export const stateWords = 4;

const largestInstant = 2 ** 52 - 1;
const upperMask = 0xfffff;
const numberMask = 0x3fffffff;

export function instantAt(words: Int32Array, at: number): number {
  return (words[at + 1]! & upperMask) * 2 ** 32 + (words[at]! >>> 0);
}

export function firstAt(words: Int32Array, at: number): number {
  return words[at + 2]! & numberMask;
}

export function secondAt(words: Int32Array, at: number): number {
  return words[at + 3]! & numberMask;
}

/** Whether it fits: what does not is not written. */
export function writeFirst(words: Int32Array, at: number, first: number): boolean {
  if (first !== (first & numberMask)) return false;
  words[at + 2] = (words[at + 2]! & ~numberMask) | first;
  return true;
}

export function writeCells(words: Int32Array, at: number, instant: number, first: number, second: number): boolean {
  // A fraction, a sign or a bit too many does not come through the mask.
  if (first !== (first & numberMask) || second !== (second & numberMask)) return false;
  if (!(instant >= 0 && instant <= largestInstant && Math.floor(instant) === instant)) return false;
  words[at] = instant;
  words[at + 1] = (words[at + 1]! & ~upperMask) | (instant / 2 ** 32);
  words[at + 2] = (words[at + 2]! & ~numberMask) | first;
  words[at + 3] = (words[at + 3]! & ~numberMask) | second;
  return true;
}
