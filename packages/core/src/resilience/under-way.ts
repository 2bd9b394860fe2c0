import type { Charge, Subject } from '../charge.js';

/** Units asked for of one key, all of them and those of the latest round. */
interface Entry {
  units: number;
  round: number;
  ofRound: number;
}

/** UnderWay knows what a store has been asked to take and has not answered yet: it may have taken it, or still take it. */
export class UnderWay {
  readonly #policies = new Map<string, Map<string, Entry>>();

  /** A call has been sent; rounds are numbers that grow. */
  begin(charges: readonly Charge[], round: number): void {
    for (const { policy, key, cost } of charges) {
      if (cost === 0) continue;
      let keys = this.#policies.get(policy.id);
      if (keys === undefined) {
        keys = new Map();
        this.#policies.set(policy.id, keys);
      }
      const entry = keys.get(key);
      if (entry === undefined) {
        keys.set(key, { units: cost, round, ofRound: cost });
        continue;
      }
      entry.units += cost;
      entry.ofRound = entry.round === round ? entry.ofRound + cost : cost;
      entry.round = round;
    }
  }

  /** The call has been answered, or given up. */
  end(charges: readonly Charge[], round: number): void {
    for (const { policy, key, cost } of charges) {
      const keys = this.#policies.get(policy.id);
      const entry = keys?.get(key);
      if (keys === undefined || entry === undefined || cost === 0) continue;
      entry.units -= cost;
      if (entry.round === round) entry.ofRound -= cost;
      if (entry.units === 0) keys.delete(key);
    }
  }

  /** Units of the key that may be taken; of calls before that round, where one is given. */
  unitsOf({ policy, key }: Subject, before?: number): number {
    const entry = this.#policies.get(policy.id)?.get(key);
    if (entry === undefined) return 0;
    return entry.round === before ? entry.units - entry.ofRound : entry.units;
  }
}
