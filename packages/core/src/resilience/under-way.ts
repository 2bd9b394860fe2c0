import type { Charge } from '../charge.js';

export interface Call {
  readonly charges: readonly Charge[];
}

/** UnderWay knows what a store has been asked to take and has not answered yet: it may have taken it, or still take it. */
export class UnderWay {
  readonly #calls = new Set<Call>();

  begin(charges: readonly Charge[]): Call {
    const call = { charges };
    this.#calls.add(call);
    return call;
  }

  end(call: Call): void {
    this.#calls.delete(call);
  }

  /** Units of the key that may be taken. */
  unitsOf({ policy, key }: Pick<Charge, 'policy' | 'key'>): number {
    let units = 0;
    for (const { charges } of this.#calls) {
      for (const charge of charges) {
        if (charge.key === key && charge.policy.id === policy.id) units += charge.cost;
      }
    }
    return units;
  }
}
