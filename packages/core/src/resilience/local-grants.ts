import type { Charge, Refund } from '../charge.js';

/** Grants remembered, the oldest forgotten first. */
const most = 10_000;

/** Names the state of a charge's key. No id of a policy contains a space. */
export function stateOf({ policy, key }: Pick<Charge, 'policy' | 'key'>): string {
  return `${policy.id} ${key}`;
}

/**
 * LocalGrants knows which units were granted without the store, since a refund does not say so. Given to the store,
 * which never granted them, they would be units too many.
 */
export class LocalGrants {
  /** Units that can still go back, by key and by the instant of the grant in milliseconds. */
  readonly #grants = new Map<string, Map<number, number>>();
  #size = 0;
  /** Between the first and the last instant of grants that are forgotten. */
  #forgotten: { from: number; to: number } | undefined;
  /** When the last unit is fresh, in milliseconds. */
  #freshBy = 0;

  get isEmpty(): boolean {
    return this.#size === 0 && this.#forgotten === undefined;
  }

  /** `cost` is what a refund may give back, also where that is nothing; `freshAt`, when there is nothing to give back. */
  note(charge: Charge, cost: number, at: number, freshAt: number): void {
    const state = stateOf(charge);
    let grants = this.#grants.get(state);
    if (grants === undefined) {
      grants = new Map();
      this.#grants.set(state, grants);
    }
    const before = grants.get(at);
    if (before === undefined) this.#size++;
    grants.set(at, (before ?? 0) + cost);
    if (freshAt > this.#freshBy) this.#freshBy = freshAt;
    if (this.#size > most) this.#forgetOldest();
  }

  /**
   * Units of a refund that were granted without the store: 0 where they are spent, or where nobody can tell any more
   * where they are from, so that they are lost. `undefined` for a refund that is the store's.
   */
  redeem({ policy, key, cost, at }: Refund): number | undefined {
    const grants = this.#grants.get(stateOf({ policy, key }));
    if (at === undefined) return grants === undefined && this.#forgotten === undefined ? undefined : 0;
    const granted = grants?.get(at);
    if (granted === undefined) {
      const { from, to } = this.#forgotten ?? { from: 1, to: 0 };
      return at >= from && at <= to ? 0 : undefined;
    }
    const units = Math.min(cost, granted);
    grants!.set(at, granted - units);
    return units;
  }

  /** Forgets everything when all of it is fresh: no store then has any of it to give back. */
  expire(now: number): void {
    if (this.isEmpty || now < this.#freshBy) return;
    this.#grants.clear();
    this.#size = 0;
    this.#forgotten = undefined;
  }

  #forgetOldest(): void {
    const [[state, grants]] = this.#grants as unknown as [[string, Map<number, number>]];
    const [at] = grants.keys() as unknown as [number];
    grants.delete(at);
    this.#size--;
    if (grants.size === 0) this.#grants.delete(state);
    const { from, to } = this.#forgotten ?? { from: at, to: at };
    this.#forgotten = { from: Math.min(from, at), to: Math.max(to, at) };
  }
}
