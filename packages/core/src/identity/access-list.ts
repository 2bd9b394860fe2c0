import type { Clock } from '../clock.js';
import type { Duration } from '../duration.js';
import { SluiceError, show } from '../errors.js';
import { type Entry, nameOf, readEntry } from './entry.js';
import { clockOf, ExpiringMap, expiryOf } from './expiring-map.js';
import { NetworkMap } from './network.js';

/** An entry of a list, as it was added. */
export interface ListEntry {
  readonly entry: string;
  /** Milliseconds since the epoch; `undefined` for an entry that does not expire. */
  readonly until: number | undefined;
}

export interface Lists {
  /** Who is never limited: addresses, CIDR ranges, `user:42`, `api-key:secret`, or what `key` returns. */
  allow?: readonly string[] | AccessList;
  /** Who is always refused, with 403. */
  block?: readonly string[] | AccessList;
}

interface Listed {
  readonly listed: ListEntry;
  readonly is: Entry;
  readonly due: number | undefined;
}

const where = 'AccessList';

/**
 * An AccessList names clients that are never limited, or always refused: addresses, CIDR ranges, and exact keys like
 * `user:42`, `api-key:secret` or what a `key` function returns. It can be changed at any time and belong to several
 * limiters. An IPv6 address stands for itself, not for the network it is counted with.
 */
export class AccessList implements Iterable<ListEntry> {
  readonly #clock: Clock;
  /** By the store key, or the network as text: no key of a store has a space in it. */
  readonly #entries: ExpiringMap<string, Listed>;
  readonly #networks = new NetworkMap<Listed>();
  /** How many of the entries are keys. */
  #keys = 0;
  #canonicalise: ((entry: string) => string) | undefined;

  /** @throws SluiceError `INVALID_OPTION` for what is neither an address, a range nor a key. */
  constructor(entries: Iterable<string> = [], options: { clock?: Clock } = {}) {
    if (typeof entries !== 'object' || entries === null || !(Symbol.iterator in entries)) {
      throw new SluiceError(
        'INVALID_OPTION',
        `${where} takes a list, like ['203.0.113.0/24', 'user:42']; got ${show(entries)}.`,
      );
    }
    this.#clock = clockOf(options, where);
    this.#entries = new ExpiringMap(this.#clock, (_, { is }) => {
      if ('network' in is) this.#networks.delete(is.network);
      else this.#keys--;
    });
    for (const entry of entries) this.add(entry);
  }

  /**
   * Adds an entry, or replaces the one that says the same, with its expiry.
   * @throws SluiceError as the constructor, and `INVALID_WINDOW` for no duration.
   */
  add(entry: string, options: { expiresIn?: Duration } = {}): this {
    return this.addFrom(entry, options, where);
  }

  /**
   * Adds an entry that is written at `place`.
   * @internal
   */
  addFrom(entry: string, options: { expiresIn?: Duration }, place: string): this {
    const is = readEntry(entry, place);
    const { due, until } = expiryOf(options, this.#clock, `${place}.add(${nameOf(entry)})`);
    this.#put({ listed: { entry, until }, is, due });
    return this;
  }

  /** Whether the entry was there. What it lies in stays. */
  delete(entry: string): boolean {
    return this.#entries.delete(this.#nameOf(readEntry(entry, where)));
  }

  /** Whether this very entry is listed: an address that only lies in a range is not. */
  has(entry: string): boolean {
    return this.#entries.get(this.#nameOf(readEntry(entry, where))) !== undefined;
  }

  clear(): void {
    this.#entries.clear();
  }

  get size(): number {
    return this.#entries.size;
  }

  *[Symbol.iterator](): IterableIterator<ListEntry> {
    for (const { listed } of this.#entries.values()) yield listed;
  }

  /**
   * Teaches the list how a store knows whom it names. Only the first limiter does: the keys of all are made alike.
   * @internal
   */
  attach(canonicalise: (entry: string) => string): void {
    if (this.#canonicalise !== undefined) return;
    const entries = [...this.#entries.values()];
    this.#entries.clear();
    this.#canonicalise = canonicalise;
    for (const listed of entries) this.#put(listed);
  }

  /**
   * Whether any entry is a key: without, it need not be worked out how a list may know a client.
   * @internal
   */
  get hasKeys(): boolean {
    return this.#keys > 0;
  }

  /**
   * The entry that names one of these store keys, or else the most specific one that names the address.
   * @internal
   */
  find(keys: readonly string[], address: string | undefined): ListEntry | undefined {
    if (this.#keys > 0) {
      for (const key of keys) {
        const found = this.#entries.get(key);
        if (found !== undefined) return found.listed;
      }
    }
    if (address === undefined || this.#networks.size === 0) return undefined;
    return this.#networks.find(address, this.#counts)?.listed;
  }

  readonly #counts = ({ due }: Listed): boolean => due === undefined || this.#clock.now() < due;

  #put(listed: Listed): void {
    const { is } = listed;
    this.#entries.set(this.#nameOf(is), listed);
    if ('network' in is) this.#networks.set(is.network, listed);
    else this.#keys++;
  }

  #nameOf(is: Entry): string {
    if ('network' in is) return `network ${is.network.text}`;
    return this.#canonicalise === undefined ? is.key : this.#canonicalise(is.key);
  }
}
