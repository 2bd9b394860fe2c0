import type { Charge } from '../charge.js';
import type { Decision } from '../decision.js';
import type { LastKnown } from './last-known.js';
import { closed, open } from './unknown.js';

/**
 * A Fallback decides in this process, from the last known count on, and grants its share of what is left: each unit
 * granted here counts as one granted by each of the `instances` that share the store.
 */
export class Fallback {
  readonly #lastKnown: LastKnown;
  readonly #instances: number;
  readonly #indivisible: 'deny' | 'allow';

  constructor(lastKnown: LastKnown, instances: number, indivisible: 'deny' | 'allow') {
    this.#lastKnown = lastKnown;
    this.#instances = instances;
    this.#indivisible = indivisible;
  }

  ask(method: 'consume' | 'peek', charges: readonly Charge[]): readonly Decision[] {
    if (this.#instances === 1) return this.#decide(method, charges);
    const divisible = charges.filter((charge) => this.#isDivisible(charge));
    if (divisible.length === charges.length) return this.#decide(method, charges);

    // What is refused for want of a share must cost nothing elsewhere.
    const denies = this.#indivisible === 'deny';
    const decisions = this.#decide(denies ? 'peek' : method, divisible);
    const at = decisions[0]?.at ?? this.#lastKnown.now() / 1_000;
    let next = 0;
    return charges.map((charge) => {
      if (this.#isDivisible(charge)) return decisions[next++]!;
      return (denies ? closed : open)([charge], at)[0]!;
    });
  }

  /** Units that a charge takes of what all processes share. To a penalty every cost is one breach. */
  costOf({ policy, cost }: Charge): number {
    return cost > policy.capacity ? cost : cost * this.#instances;
  }

  #isDivisible(charge: Charge): boolean {
    const { policy, cost } = charge;
    return policy.algorithm === 'penalty' || cost > policy.capacity || this.costOf(charge) <= policy.capacity;
  }

  #decide(method: 'consume' | 'peek', charges: readonly Charge[]): readonly Decision[] {
    const shared = charges.map((charge) => ({ ...charge, cost: this.costOf(charge) }));
    return this.#lastKnown.memory[method](shared).map((decision, i) => {
      const isShare = charges[i]!.policy.algorithm !== 'penalty';
      const remaining = isShare ? Math.floor(decision.remaining / this.#instances) : decision.remaining;
      return { ...decision, remaining, source: 'fallback' };
    });
  }
}
