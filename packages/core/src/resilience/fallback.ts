import type { Charge } from '../charge.js';
import type { Decision } from '../decision.js';
import type { LastKnown } from './last-known.js';
import type { UnderWay } from './under-way.js';
import { closed, open } from './unknown.js';

/**
 * A Fallback decides in this process, from the last known count on, and grants its share of what is left: each unit
 * granted here counts as one granted by each of the `instances` that share the store.
 */
export class Fallback {
  readonly #lastKnown: LastKnown;
  readonly #underWay: UnderWay;
  readonly #instances: number;
  readonly #indivisible: 'deny' | 'allow';

  constructor(lastKnown: LastKnown, underWay: UnderWay, instances: number, indivisible: 'deny' | 'allow') {
    this.#lastKnown = lastKnown;
    this.#underWay = underWay;
    this.#instances = instances;
    this.#indivisible = indivisible;
  }

  ask(method: 'consume' | 'peek', charges: readonly Charge[]): readonly Decision[] {
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
    return !isDivided(charge) || cost > policy.capacity || this.costOf(charge) <= policy.capacity;
  }

  #decide(method: 'consume' | 'peek', charges: readonly Charge[]): readonly Decision[] {
    const { memory } = this.#lastKnown;
    const shared = charges.map((charge) => ({ ...charge, cost: this.costOf(charge) }));
    const ahead = charges.map((charge) => (isDivided(charge) ? this.#underWay.unitsOf(charge) : 0));
    if (ahead.some((units) => units > 0)) {
      // What the store has not answered yet it may have granted: what is left must do for both.
      const both = shared.map((charge, i) => ({ ...charge, cost: together(charge, ahead[i]!) }));
      const looked = memory.peek(both).map((decision, i) => {
        const isTooMuch = decision.allowed && both[i]!.cost < shared[i]!.cost + ahead[i]!;
        // When what is ahead will be settled is not known, but soon.
        return isTooMuch ? { ...decision, allowed: false, retryAfter: 1_000, delay: 0 } : decision;
      });
      if (!looked.every(({ allowed }) => allowed)) return this.#told(looked, charges, ahead);
    }
    return this.#told(memory[method](shared), charges, ahead);
  }

  #told(decisions: readonly Decision[], charges: readonly Charge[], ahead: readonly number[]): readonly Decision[] {
    return decisions.map((decision, i) => {
      const left = Math.max(0, decision.remaining - ahead[i]!);
      const remaining = isDivided(charges[i]!) ? Math.floor(left / this.#instances) : left;
      return { ...decision, remaining, source: 'fallback' };
    });
  }
}

/** Of penalties there are no shares: a block is a block. */
function isDivided({ policy }: Charge): boolean {
  return policy.algorithm !== 'penalty';
}

/** What is asked for behind others; never more than could be granted some time. */
function together({ policy, cost }: Charge, ahead: number): number {
  return cost > policy.capacity ? cost : Math.min(cost + ahead, policy.capacity);
}
