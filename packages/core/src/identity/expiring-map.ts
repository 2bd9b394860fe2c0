import { type Clock, checkClock, systemClock } from '../clock.js';
import { type Duration, parseDuration } from '../duration.js';
import { checkNames } from '../options.js';

/** What an entry of an expiring map has at least. */
export interface Expiring {
  /** Microseconds since the epoch, from which on the entry is absent. */
  readonly due: number | undefined;
}

/** An addition looks at so many of the entries there are, so that expired ones go sooner than new ones come. */
const swept = 8;

/** An ExpiringMap forgets its entries when they are due, without a timer. */
export class ExpiringMap<K, V extends Expiring> {
  readonly #clock: Clock;
  readonly #entries = new Map<K, V>();
  readonly #forget: (key: K, value: V) => void;
  #sweep: Iterator<[K, V]> | undefined;

  /** `forget` hears of each entry that is no longer there: expired, deleted or replaced. */
  constructor(clock: Clock, forget: (key: K, value: V) => void = () => {}) {
    this.#clock = clock;
    this.#forget = forget;
  }

  /** The entries that are left, after a look at all of them. */
  get size(): number {
    for (const [key, value] of this.#entries) if (this.#isDue(value)) this.delete(key);
    return this.#entries.size;
  }

  /** How many entries are kept, with those that have expired unnoticed. */
  get kept(): number {
    return this.#entries.size;
  }

  get(key: K): V | undefined {
    const value = this.#entries.get(key);
    return value === undefined || this.#isDue(value) ? undefined : value;
  }

  set(key: K, value: V): void {
    this.#sweepSome();
    const former = this.#entries.get(key);
    if (former !== undefined) this.#forget(key, former);
    this.#entries.set(key, value);
  }

  /** Takes an entry away; says whether it was there and had not expired. */
  delete(key: K): boolean {
    const value = this.#entries.get(key);
    if (value === undefined) return false;
    this.#entries.delete(key);
    this.#forget(key, value);
    return !this.#isDue(value);
  }

  clear(): void {
    for (const key of this.#entries.keys()) this.delete(key);
  }

  *values(): IterableIterator<V> {
    for (const value of this.#entries.values()) if (!this.#isDue(value)) yield value;
  }

  #isDue({ due }: V): boolean {
    return due !== undefined && this.#clock.now() >= due;
  }

  /** The iterator of a Map goes on through what is added and deleted meanwhile. */
  #sweepSome(): void {
    this.#sweep ??= this.#entries.entries();
    for (let i = 0; i < swept; i++) {
      const next = this.#sweep.next();
      if (next.done) {
        this.#sweep = undefined;
        return;
      }
      const [key, value] = next.value;
      if (this.#isDue(value)) this.delete(key);
    }
  }
}

/** The clock of the options of a list that expires. */
export function clockOf(options: { clock?: Clock }, where: string): Clock {
  checkNames(options, ['clock'], where, '{ clock }');
  return checkClock(options.clock ?? systemClock, where);
}

/** When an entry added now falls due, in microseconds; and in milliseconds, for people. */
export function expiryOf(
  options: { expiresIn?: Duration },
  clock: Clock,
  where: string,
): { due: number | undefined; until: number | undefined } {
  checkNames(options, ['expiresIn'], where, "{ expiresIn: '15m' }");
  if (options.expiresIn === undefined) return { due: undefined, until: undefined };
  const due = clock.now() + parseDuration(options.expiresIn, `${where}: 'expiresIn'`) * 1_000;
  return { due, until: Math.ceil(due / 1_000) };
}
