import type { DecisionSource } from '@sluice/core';
import type { Dimension, Outcome } from './analytics.js';

export const dimensions = ['rule', 'endpoint', 'tier', 'decision'] as const satisfies readonly Dimension[];

export const outcomes = ['allowed', 'refused', 'shadow-refused'] as const satisfies readonly Outcome[];

/** The order is that of what is kept: another source comes last. */
export const sources = [
  'store',
  'lease',
  'deny-cache',
  'fallback',
  'open',
  'closed',
] as const satisfies readonly DecisionSource[];

/** A Tally is what was counted of one name: a number for each outcome, and then one for each source. */
export type Tally = number[];

/** How many numbers a tally has. */
export const columns = outcomes.length + sources.length;

/** Where a tally has the number of a source. */
export const columnOfSource = Object.fromEntries(sources.map((source, i) => [source, outcomes.length + i])) as {
  readonly [source in DecisionSource]: number;
};

export function emptyTally(): Tally {
  // Grown from a literal, unlike one of `new Array`, it is an array of small integers without holes.
  const tally: Tally = [];
  for (let i = 0; i < columns; i++) tally.push(0);
  return tally;
}

/** The name of what has none: decisions by the default limits have no rule, and many requests no tier. */
export const noName = '(none)';

/** Stands for all names beyond the bound. */
export const otherNames = '(other)';

/** How many names are told apart in an interval. Operators write the ids of rules; what clients write gets less room. */
export const places: { readonly [by in Dimension]: number } = { rule: 500, endpoint: 100, tier: 100, decision: 3 };

/** Names are cut to so many characters. */
const longestName = 200;

/** Whether a name may be kept as it is. */
export function isShort(name: string): boolean {
  return name.length <= longestName;
}

/** A copy of the name, cut to what is kept. A part of a text would keep the whole text, a request's URL say, in memory. */
export function keptName(name: string): string {
  return Buffer.from(isShort(name) ? name : name.slice(0, longestName)).toString();
}

/** Tallies by name: those of one interval. */
export interface Tallies {
  /** Calls `visit` for each name of which anything was counted; its tally begins at `start` of the `numbers`. */
  each(by: Dimension, visit: (name: string, numbers: ArrayLike<number>, start: number) => void): void;
}

/** Writes a tally as text: its numbers, each followed by a blank but for the last. */
export function tallyText(numbers: ArrayLike<number>, start: number): string {
  let text = String(numbers[start]);
  for (let i = 1; i < columns; i++) text += ` ${numbers[start + i]}`;
  return text;
}

/** Reads what `tallyText` has written into `tally`. Whether it was that. */
export function readTally(text: string, tally: Tally): boolean {
  let column = 0;
  let count = 0;
  let digits = 0;
  // A day of minutes has hundreds of thousands of these: to split the text and convert its parts takes ten times as long.
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (digit >= 0 && digit <= 9) {
      count = count * 10 + digit;
      digits++;
    } else if (digit === -16 && digits > 0 && column < columns - 1) {
      tally[column++] = count;
      count = 0;
      digits = 0;
    } else return false;
  }
  tally[column] = count;
  return digits > 0 && column === columns - 1 && tally.every(Number.isSafeInteger);
}
