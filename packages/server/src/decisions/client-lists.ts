import { AccessList, type Clock } from '@sluice/core';
import type { Configuration, ListName, StoredEntry } from '../configuration/configuration.js';

type Entries = ReadonlyMap<string, StoredEntry>;

/** Milliseconds. */
const longest = 30 * 86_400_000;

/** The lists of clients, as the pipelines use them: they stay the same while their entries change. */
export class ClientLists {
  readonly allow: AccessList;
  readonly block: AccessList;
  readonly #clock: Clock;
  /** What stands in the configuration file. */
  readonly #fixed: { readonly [list in ListName]: ReadonlySet<string> };
  #entries: { readonly [list in ListName]: Entries } = { allow: new Map(), block: new Map() };

  constructor(fixed: { readonly [list in ListName]: readonly string[] }, clock: Clock) {
    this.allow = new AccessList(fixed.allow, { clock });
    this.block = new AccessList(fixed.block, { clock });
    this.#clock = clock;
    this.#fixed = { allow: new Set(fixed.allow), block: new Set(fixed.block) };
  }

  apply({ allow, block }: Configuration): void {
    this.#apply('allow', allow);
    this.#apply('block', block);
    this.#entries = { allow, block };
  }

  #apply(list: ListName, entries: Entries): void {
    const before = this.#entries[list];
    const fixed = this.#fixed[list];
    const own = this[list];
    for (const id of before.keys()) if (!entries.has(id) && !fixed.has(id)) own.delete(id);
    const now = this.#clock.now() / 1_000;
    for (const [id, { version, expiresAt }] of entries) {
      if (before.get(id)?.version === version || fixed.has(id)) continue;
      const left = expiresAt === undefined ? Number.POSITIVE_INFINITY : Math.ceil(Date.parse(expiresAt) - now);
      // What ends later than durations can say ends when the configuration is applied without it.
      if (left > longest) own.add(id);
      else if (left > 0) own.add(id, { expiresIn: left });
    }
  }
}
