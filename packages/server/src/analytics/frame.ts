import type { Dimension } from './analytics.js';
import { columns, type Tallies } from './tally.js';

interface Rows {
  readonly names: readonly string[];
  /** The tallies of the names, one after the other. */
  readonly numbers: Float64Array;
}

/** A Frame keeps what was counted in an interval that is over, unchangeable and in little memory. */
export class Frame implements Tallies {
  readonly #rows: { readonly [by in Dimension]: Rows };

  constructor(tallies: Tallies) {
    this.#rows = {
      rule: rowsOf(tallies, 'rule'),
      endpoint: rowsOf(tallies, 'endpoint'),
      tier: rowsOf(tallies, 'tier'),
      decision: rowsOf(tallies, 'decision'),
    };
  }

  each(by: Dimension, visit: (name: string, numbers: ArrayLike<number>, start: number) => void): void {
    const { names, numbers } = this.#rows[by];
    for (let i = 0; i < names.length; i++) visit(names[i]!, numbers, i * columns);
  }
}

function rowsOf(tallies: Tallies, by: Dimension): Rows {
  const names: string[] = [];
  const all: number[] = [];
  tallies.each(by, (name, numbers, start) => {
    names.push(name);
    for (let i = 0; i < columns; i++) all.push(numbers[start + i]!);
  });
  return { names, numbers: Float64Array.from(all) };
}
