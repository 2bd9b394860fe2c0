import type { Change, Configuration, Expected, Kind, Kinds, StoredEntry, StoredRule } from './configuration.js';

/** Every kind, in the order in which they are told of. */
export const kinds: readonly Kind[] = ['rules', 'allow', 'block'];

export type Stored = StoredRule | StoredEntry;

/** Contents are what a store keeps of one version, while it is being put together. */
export class Contents {
  version = 0;
  readonly #kept: { readonly [kind in Kind]: Map<string, Kinds[kind]> } = {
    rules: new Map(),
    allow: new Map(),
    block: new Map(),
  };

  get(kind: Kind, id: string): Stored | null {
    return this.#kept[kind].get(id) ?? null;
  }

  /** Keeps `value` as what `id` is; nothing for `null`. */
  set(kind: Kind, id: string, value: Stored | null): void {
    const kept = this.#kept[kind] as Map<string, Stored>;
    if (value === null) kept.delete(id);
    else kept.set(id, value);
  }

  entries(kind: Kind): Iterable<[string, Stored]> {
    return this.#kept[kind];
  }

  size(kind: Kind): number {
    return this.#kept[kind].size;
  }

  /** A Configuration that stays as it is, in the order of the ids: the same one in every process. */
  snapshot(): Configuration {
    const { rules, allow, block } = this.#kept;
    return { version: this.version, rules: sorted(rules), allow: sorted(allow), block: sorted(block) };
  }
}

function sorted<T>(map: ReadonlyMap<string, T>): ReadonlyMap<string, T> {
  return new Map([...map].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** When something that is kept ends, in milliseconds since the epoch: infinite for never, NaN for what is no instant. */
export function endOf(value: object): number {
  const { expiresAt } = value as Partial<StoredEntry>;
  return expiresAt === undefined ? Number.POSITIVE_INFINITY : Date.parse(expiresAt);
}

/** Whether what is kept has ended `now`, in milliseconds since the epoch. */
export function hasEnded(value: object, now: number): boolean {
  return endOf(value) <= now;
}

/** Whether what is there is what a writer expected. */
export function meets(expected: Expected, found: Stored | null): boolean {
  if (expected === 'anything') return true;
  if (expected === 'absent') return found === null;
  if (expected === 'present') return found !== null;
  return found !== null && expected.includes(found.version);
}

/** When something was written, in RFC 3339. */
export interface Moments {
  readonly version: number;
  readonly createdAt: string;
  readonly updatedAt: string;
}

/** What a change makes of an id. */
export function storedAs(kind: Kind, value: NonNullable<Change['value']>, moments: Moments): Stored {
  if (kind === 'rules') return { rule: value as StoredRule['rule'], ...moments };
  const { version, createdAt } = moments;
  return { ...(value as StoredEntry), version, createdAt };
}
