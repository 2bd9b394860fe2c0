import type { Link } from '../chain.js';
import type { Charge } from '../charge.js';
import type { Decision } from '../decision.js';
import { micros } from '../duration.js';

/** A Denial is a refusal as a store has said it, to be said again. Instants are microseconds of this process's clock. */
export class Denial implements Link<Denial> {
  readonly charges: readonly Charge[];
  /** The charge that refuses for as long as the denial is trusted. */
  readonly holder: Charge;
  /** From then on, the store is asked again. */
  readonly until: number;
  readonly #decisions: readonly Decision[];
  readonly #received: number;
  /** Of a decision that stands alone, as most do: when it may be asked for again, when it is fresh, and the store's clock. */
  readonly #retryAt: number;
  readonly #freshAt: number;
  readonly #ahead: number;
  /** Another one with the same key. */
  next: Denial | undefined;
  /** The next older one, and the next newer one. */
  before: Denial | undefined;
  behind: Denial | undefined;

  constructor(
    charges: readonly Charge[],
    holder: Charge,
    decisions: readonly Decision[],
    received: number,
    until: number,
  ) {
    // Copies: a list that is used again for another request must not change what is remembered.
    this.charges = charges.map(({ policy, key, cost }) => ({ policy, key, cost }));
    this.holder = holder;
    this.#decisions = decisions;
    this.#received = received;
    const first = decisions[0]!;
    this.#retryAt = received + micros(first.retryAfter);
    this.#freshAt = received + micros(first.resetAfter);
    this.#ahead = micros(first.at) - received;
    this.until = until;
  }

  /** Whether the store is to be asked again. A clock that was set back says nothing of how long ago it was asked. */
  isOver(now: number): boolean {
    return now >= this.until || now < this.#received;
  }

  /**
   * Whether a store would refuse these charges, too: they are the same, and cost no less. A limit that was changed is
   * another policy.
   */
  covers(charges: readonly Charge[]): boolean {
    const own = this.charges;
    if (charges.length !== own.length) return false;
    for (let i = 0; i < own.length; i++) {
      const { policy, key, cost } = charges[i]!;
      const known = own[i]!;
      if (policy !== known.policy || key !== known.key) return false;
      if (cost !== known.cost && !(cost > known.cost && isLikeCheaper(charges[i]!))) return false;
    }
    return true;
  }

  isSame(charges: readonly Charge[]): boolean {
    return this.covers(charges) && charges.every(({ cost }, i) => cost === this.charges[i]!.cost);
  }

  /** The store's decisions, as it would say them by now if nobody had taken anything. */
  repeat(now: number): readonly Decision[] {
    const decisions = this.#decisions;
    if (decisions.length === 1) return [this.#repeatOnly(decisions[0]!, now)];
    const elapsed = now - this.#received;
    return decisions.map((decision, i) => repeated(decision, this.charges[i]!.cost, elapsed));
  }

  #repeatOnly({ policy, limit, remaining }: Decision, now: number): Decision {
    return {
      allowed: false,
      policy,
      limit,
      remaining,
      resetAfter: now < this.#freshAt ? (this.#freshAt - now) / 1_000 : 0,
      retryAfter: (this.#retryAt - now) / 1_000,
      delay: 0,
      at: (this.#ahead + now) / 1_000,
      source: 'deny-cache',
    };
  }
}

/** A cost that can never pass is told so, and one of a penalty is a breach to be recorded: the store must be asked. */
function isLikeCheaper({ policy, cost }: Charge): boolean {
  return cost <= policy.capacity && policy.algorithm !== 'penalty';
}

function repeated(decision: Decision, cost: number, elapsed: number): Decision {
  const { policy, limit } = decision;
  const wait = micros(decision.retryAfter) - elapsed;
  const delay = micros(decision.delay) - elapsed;
  const fresh = micros(decision.resetAfter) - elapsed;
  // Of several that refused, all but the one that holds on the longest may have their units back.
  const allowed = decision.allowed || wait <= 0;
  return {
    allowed,
    policy,
    limit,
    remaining: allowed && !decision.allowed ? Math.max(decision.remaining, cost) : decision.remaining,
    resetAfter: fresh > 0 ? fresh / 1_000 : 0,
    retryAfter: allowed ? 0 : wait / 1_000,
    delay: delay > 0 ? delay / 1_000 : 0,
    at: (micros(decision.at) + elapsed) / 1_000,
    source: 'deny-cache',
  };
}
