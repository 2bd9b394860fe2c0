import type { CountedDecision, Dimension } from './analytics.js';
import {
  columnOfSource,
  columns,
  dimensions,
  emptyTally,
  isShort,
  keptName,
  noName,
  otherNames,
  places,
  type Tallies,
  type Tally,
  tallyText,
} from './tally.js';

interface Cell {
  readonly tally: Tally;
  /** Decisions, those included that were taken out already. */
  weight: number;
}

/** What was counted in one dimension, as it is kept: names, each followed by its tally as a text. */
export type Delta = { readonly [by in Dimension]: readonly string[] };

/**
 * Counts add up the decisions of one interval by rule, endpoint, tier and decision. In each of these there is room for
 * a bounded number of names, cut to 200 characters: further ones are counted together as `(other)`, so that sums are
 * always whole. Where room was scarce in the interval before, half of it is held for the names most frequent then:
 * clients that invent names do not crowd them out.
 */
export class Counts implements Tallies {
  readonly #cells: { readonly [by in Dimension]: Map<string, Cell> } = {
    rule: new Map(),
    endpoint: new Map(),
    tier: new Map(),
    decision: new Map(),
  };
  #isEmpty = true;

  constructor(before?: Counts) {
    if (before === undefined) return;
    for (const by of dimensions) {
      for (const name of before.#mostFrequent(by)) this.#cells[by].set(name, { tally: emptyTally(), weight: 0 });
    }
  }

  /** Whether nothing was counted, or all was taken out. */
  get isEmpty(): boolean {
    return this.#isEmpty;
  }

  count(decision: CountedDecision): void {
    const { outcome, rule = noName, endpoint = noName, tier = noName } = decision;
    const cells = this.#cells;
    const first = outcome === 'allowed' ? 0 : outcome === 'refused' ? 1 : 2;
    const second = columnOfSource[decision.source];
    this.#isEmpty = false;
    increment(cells.rule.get(rule) ?? this.#cell('rule', rule), first, second);
    increment(cells.endpoint.get(endpoint) ?? this.#cell('endpoint', endpoint), first, second);
    increment(cells.tier.get(tier) ?? this.#cell('tier', tier), first, second);
    increment(cells.decision.get(outcome) ?? this.#cell('decision', outcome), first, second);
  }

  add(tallies: Tallies): this {
    for (const by of dimensions) {
      tallies.each(by, (name, numbers, start) => this.addTally(by, name, numbers, start));
    }
    return this;
  }

  addTally(by: Dimension, name: string, numbers: ArrayLike<number>, start = 0): void {
    const cell = this.#cells[by].get(name) ?? this.#cell(by, name);
    for (let i = 0; i < columns; i++) cell.tally[i]! += numbers[start + i]!;
    cell.weight += weightOf(numbers, start);
    this.#isEmpty = false;
  }

  each(by: Dimension, visit: (name: string, numbers: ArrayLike<number>, start: number) => void): void {
    for (const [name, { tally }] of this.#cells[by]) if (weightOf(tally, 0) > 0) visit(name, tally, 0);
  }

  /** Takes out what was counted. The names keep their places. */
  take(): Delta {
    const delta = deltaOf(this);
    for (const by of dimensions) for (const { tally } of this.#cells[by].values()) tally.fill(0);
    this.#isEmpty = true;
    return delta;
  }

  /** The cell of a name that has none under this spelling, or that finds no room. */
  #cell(by: Dimension, name: string): Cell {
    const cells = this.#cells[by];
    if (cells.size >= places[by]) {
      const known = isShort(name) ? undefined : cells.get(keptName(name));
      return known ?? cells.get(otherNames) ?? newCell(cells, otherNames);
    }
    const kept = keptName(name);
    return cells.get(kept) ?? newCell(cells, kept);
  }

  #mostFrequent(by: Dimension): readonly string[] {
    const cells = this.#cells[by];
    if (cells.size < places[by]) return [];
    return [...cells]
      .filter(([name, { weight }]) => weight > 0 && name !== otherNames)
      .sort(([, a], [, b]) => b.weight - a.weight)
      .slice(0, places[by] / 2)
      .map(([name]) => name);
  }
}

export function deltaOf(tallies: Tallies): Delta {
  const textsOf = (by: Dimension) => {
    const texts: string[] = [];
    tallies.each(by, (name, numbers, start) => texts.push(name, tallyText(numbers, start)));
    return texts;
  };
  return { rule: textsOf('rule'), endpoint: textsOf('endpoint'), tier: textsOf('tier'), decision: textsOf('decision') };
}

function newCell(cells: Map<string, Cell>, name: string): Cell {
  const cell = { tally: emptyTally(), weight: 0 };
  cells.set(name, cell);
  return cell;
}

function increment(cell: Cell, first: number, second: number): void {
  cell.tally[first]!++;
  cell.tally[second]!++;
  cell.weight++;
}

/** Decisions: every one has an outcome. */
function weightOf(numbers: ArrayLike<number>, start: number): number {
  return numbers[start]! + numbers[start + 1]! + numbers[start + 2]!;
}
