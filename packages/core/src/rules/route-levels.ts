import { type RouteEntry, RouteTable } from './route-table.js';

/** An entry with the priority of its rule. */
export interface RankedEntry<T> extends RouteEntry<T> {
  readonly priority: number;
}

/** RouteLevels finds rules by their priority first, then by how specific they are: one table for each priority. */
export class RouteLevels<T> {
  /** Of the highest priority first. */
  readonly #tables: readonly RouteTable<T>[];

  /** @throws SluiceError as a RouteTable; patterns of different priorities may be the same. */
  constructor(entries: readonly RankedEntry<T>[]) {
    const levels = new Map<number, RankedEntry<T>[]>();
    for (const entry of entries) {
      const level = levels.get(entry.priority);
      if (level === undefined) levels.set(entry.priority, [entry]);
      else level.push(entry);
    }
    const ranked = [...levels].sort(([a], [b]) => b - a);
    this.#tables = ranked.map(([, level]) => new RouteTable(level));
  }

  /** As in a RouteTable; what a reading of the target finds at no level is `undefined`. */
  find(method: string, target: string, route?: string): readonly (T | undefined)[] {
    const tables = this.#tables;
    let found = tables[0]!.find(method, target, route);
    for (let i = 1; i < tables.length && found.includes(undefined); i++) {
      const lower = tables[i]!.find(method, target, route);
      // Which reading it was that found nothing here is not told apart: each is charged for all.
      if (found.length === 1) found = lower;
      else found = [...new Set([...found.filter((value) => value !== undefined), ...lower])];
    }
    return found;
  }
}
