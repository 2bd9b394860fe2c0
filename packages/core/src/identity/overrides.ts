import type { Clock } from '../clock.js';
import type { Duration } from '../duration.js';
import { SluiceError, show } from '../errors.js';
import { type CompiledPolicy, compilePolicies, type PolicyInput } from '../policy.js';
import { nameOf, readEntry } from './entry.js';
import { clockOf, ExpiringMap, expiryOf } from './expiring-map.js';

/** The limits of one key, as they were set. */
export interface Override {
  readonly limits: PolicyInput | readonly PolicyInput[];
  /** Milliseconds since the epoch; `undefined` for limits that do not expire. */
  readonly until: number | undefined;
}

interface Entry {
  readonly key: string;
  readonly override: Override;
  readonly policies: readonly CompiledPolicy[];
  readonly due: number | undefined;
}

const where = 'Overrides';

/**
 * Overrides are limits of single keys, instead of those that everybody has: of `user:42`, `api-key:secret`, an address,
 * or what a `key` function returns. They can be changed at any time and belong to several limiters; what a key has used
 * under its other limits is not carried over. An IPv6 address stands for the network it is counted with.
 */
export class Overrides implements Iterable<readonly [string, Override]> {
  readonly #clock: Clock;
  /** By the store key. */
  readonly #entries: ExpiringMap<string, Entry>;
  #canonicalise: ((key: string) => string) | undefined;

  /** @throws SluiceError for a key that names nobody, and for limits that cannot work. */
  constructor(
    entries: Readonly<Record<string, PolicyInput | readonly PolicyInput[]>> = {},
    options: { clock?: Clock } = {},
  ) {
    if (typeof entries !== 'object' || entries === null || Symbol.iterator in entries) {
      throw new SluiceError(
        'INVALID_OPTION',
        `${where} takes limits by key, like { 'user:42': '5000/1h' }; got ${show(entries)}.`,
      );
    }
    this.#clock = clockOf(options, where);
    this.#entries = new ExpiringMap(this.#clock);
    for (const [key, limits] of Object.entries(entries)) this.set(key, limits);
  }

  /**
   * Sets the limits of a key, with their expiry, instead of any it had.
   * @throws SluiceError as the constructor, and `INVALID_WINDOW` for no duration.
   */
  set(key: string, limits: PolicyInput | readonly PolicyInput[], options: { expiresIn?: Duration } = {}): this {
    const name = this.#storeKey(key);
    const at = `${where}: ${nameOf(key)}`;
    const list = Array.isArray(limits) ? (limits as readonly PolicyInput[]) : [limits as PolicyInput];
    const policies = compilePolicies(list, at, { name: 'override' });
    const { due, until } = expiryOf(options, this.#clock, at);
    this.#entries.set(name, { key, override: { limits, until }, policies, due });
    return this;
  }

  delete(key: string): boolean {
    return this.#entries.delete(this.#storeKey(key));
  }

  has(key: string): boolean {
    return this.get(key) !== undefined;
  }

  get(key: string): Override | undefined {
    return this.#entries.get(this.#storeKey(key))?.override;
  }

  get size(): number {
    return this.#entries.size;
  }

  *[Symbol.iterator](): IterableIterator<readonly [string, Override]> {
    for (const { key, override } of this.#entries.values()) yield [key, override];
  }

  /**
   * Teaches the overrides how a store knows whom they name. Only the first limiter does: the keys of all are made alike,
   * but for the `ipv6Prefix`.
   * @internal
   * @throws SluiceError `INVALID_OPTION` for a network of IPv6 that no client is counted by.
   */
  attach(canonicalise: (key: string) => string): void {
    if (this.#canonicalise !== undefined) return;
    const entries = [...this.#entries.values()];
    this.#canonicalise = canonicalise;
    try {
      const names = entries.map(({ key }) => this.#storeKey(key));
      this.#entries.clear();
      for (const [i, entry] of entries.entries()) this.#entries.set(names[i]!, entry);
    } catch (error) {
      this.#canonicalise = undefined;
      throw error;
    }
  }

  /**
   * The policies of a store key, the same list until they are set anew.
   * @internal
   */
  find(key: string): readonly CompiledPolicy[] | undefined {
    return this.#entries.get(key)?.policies;
  }

  #storeKey(key: string): string {
    const is = readEntry(key, where);
    if ('key' in is) return this.#canonicalise === undefined ? is.key : this.#canonicalise(is.key);
    const { family, length, text } = is.network;
    const own = `ip:${text}`;
    if (length === (family === 4 ? 32 : 128)) return this.#canonicalise?.(text) ?? own;
    const counted = family === 4 ? undefined : this.#canonicalise?.(text.slice(0, text.indexOf('/')));
    if (family === 6 && (counted === undefined || counted === own)) return own;
    throw new SluiceError(
      'INVALID_OPTION',
      `${where}: ${nameOf(key)} is a range, and limits are of single keys. Name the addresses one by one` +
        `${counted === undefined ? '' : `, or the network that they are counted by, ${show(counted)}`}; or give those ` +
        'who send from there a tier of their own.',
    );
  }
}
