import { type Charge, type Refund, stateOf } from '../charge.js';

/** Grants remembered, the oldest forgotten first. */
const most = 10_000;

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
   * What of a refund is of units that were granted without the store, and what is left of it for the store. Where nobody
   * can tell any more, it is neither: it is lost.
   */
  redeem(refund: Refund): { readonly local: number; readonly rest: number } {
    const { cost, at } = refund;
    const grants = this.#grants.get(stateOf(refund));
    if (at === undefined) {
      const local = grants === undefined ? 0 : this.#redeemAny(grants, cost);
      return { local, rest: this.#forgotten === undefined ? cost - local : 0 };
    }
    const granted = grants?.get(at);
    if (granted === undefined) {
      const { from, to } = this.#forgotten ?? { from: 1, to: 0 };
      return { local: 0, rest: at >= from && at <= to ? 0 : cost };
    }
    const local = Math.min(cost, granted);
    grants!.set(at, granted - local);
    return { local, rest: 0 };
  }

  #redeemAny(grants: Map<number, number>, cost: number): number {
    let local = 0;
    for (const [at, granted] of grants) {
      const units = Math.min(cost - local, granted);
      if (units > 0) grants.set(at, granted - units);
      local += units;
    }
    return local;
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
