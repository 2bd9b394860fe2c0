import { Chain, type Link } from '../chain.js';
import type { Charge, Subject } from '../charge.js';

/** Units asked for of one key, all of them and those of the latest round. */
interface Entry {
  units: number;
  round: number;
  ofRound: number;
}

/** A call that has been sent and is not answered yet. */
export interface Sent extends Link<Sent> {
  readonly charges: readonly Charge[];
  readonly round: number;
}

/**
 * UnderWay knows what a store has been asked to take and has not answered yet: it may have taken it, or still take it.
 * Nobody wants to know while the store answers: so the units of each key are added up when they are first asked for, and
 * kept until nothing is under way any more.
 */
export class UnderWay {
  readonly #calls = new Chain<Sent>();
  #policies: Map<string, Map<string, Entry>> | undefined;

  /** A call has been sent; rounds are numbers that grow. */
  begin(charges: readonly Charge[], round: number): Sent {
    const sent: Sent = { charges, round, before: undefined, behind: undefined };
    this.#calls.append(sent);
    if (this.#policies !== undefined) add(this.#policies, sent);
    return sent;
  }

  /** The call has been answered, or given up. To be called once. */
  end(sent: Sent): void {
    this.#calls.remove(sent);
    if (this.#calls.first === undefined) this.#policies = undefined;
    else if (this.#policies !== undefined) subtract(this.#policies, sent);
  }

  /** Units of the key that may be taken; of calls before that round, where one is given. */
  unitsOf({ policy, key }: Subject, before?: number): number {
    const { first } = this.#calls;
    if (first === undefined) return 0;
    if (this.#policies === undefined) {
      this.#policies = new Map();
      for (let sent: Sent | undefined = first; sent !== undefined; sent = sent.behind) add(this.#policies, sent);
    }
    const entry = this.#policies.get(policy.id)?.get(key);
    if (entry === undefined) return 0;
    return entry.round === before ? entry.units - entry.ofRound : entry.units;
  }
}

function add(policies: Map<string, Map<string, Entry>>, { charges, round }: Sent): void {
  for (const { policy, key, cost } of charges) {
    if (cost === 0) continue;
    let keys = policies.get(policy.id);
    if (keys === undefined) {
      keys = new Map();
      policies.set(policy.id, keys);
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

function subtract(policies: Map<string, Map<string, Entry>>, { charges, round }: Sent): void {
  for (const { policy, key, cost } of charges) {
    const keys = policies.get(policy.id);
    const entry = keys?.get(key);
    if (keys === undefined || entry === undefined || cost === 0) continue;
    entry.units -= cost;
    if (entry.round === round) entry.ofRound -= cost;
    if (entry.units === 0) keys.delete(key);
  }
}
