import { algorithmOf } from '../../packages/core/src/algorithms/index.ts';
import { micros } from '../../packages/core/src/duration.ts';
import {
  type Charge,
  type CompiledPolicy,
  type Decision,
  type Leased,
  type LeaseRequest,
  leaseTime,
  type Refund,
} from '../../packages/core/src/index.ts';
import { decide, giveBack, type LeasedBucketState } from '../../packages/core/test/leases/support/leased-bucket.ts';
import type { Switches } from './switches.ts';

/** What happens to the state of a policy other than that units are taken, and when. */
export interface Change {
  readonly time: number;
  /**
   * Units given back, and the true instant at which they were spent, where the store is told one; all is forgotten; or a
   * window of the anchor `first` begins, and ends then.
   */
  readonly what:
    | { readonly returned: number; readonly at: number | undefined }
    | 'forgotten'
    | { readonly windowEnds: number };
  /** Units that are leased then, and when the last of these leases ends. */
  readonly leased: number;
  readonly until: number;
}

/** Units that are leased until that instant. */
interface Lease {
  readonly units: number;
  readonly ends: number;
}

/** One key under one policy, and all that a run wants to know of it afterwards. */
class Ledger {
  state: unknown;
  leases: Lease[] = [];
  readonly changes: Change[] = [];
  /** Units that were decided on at an instant: what callers were granted by the store is among them. */
  readonly decided = new Map<number, number>();
  /** Units handed out in advance, in all. */
  leased = 0;
}

/**
 * A Server is the store that all nodes share, as the scripts are: one key, of as many policies as a run has. Its clock is
 * the true time, and no two calls come at the same microsecond.
 */
export class Server {
  readonly #policies: readonly CompiledPolicy[];
  readonly #switches: Switches;
  readonly #ledgers = new Map<CompiledPolicy, Ledger>();
  #now = 0;

  constructor(policies: readonly CompiledPolicy[], switches: Switches) {
    this.#policies = policies;
    this.#switches = switches;
    for (const policy of policies) this.#ledgers.set(policy, new Ledger());
  }

  /** The instant of a call that arrives at `time`. */
  arrive(time: number): number {
    this.#now = Math.max(time, this.#now + 1);
    return this.#now;
  }

  of(policy: CompiledPolicy): Ledger {
    return this.#ledgers.get(policy)!;
  }

  /** When the first policy no longer holds back what is leased, as far as is known now. */
  get reservedUntil(): number {
    const { state } = this.of(this.#policies[0]!);
    return (state as LeasedBucketState | undefined)?.leases?.[1]?.end ?? this.#now;
  }

  consume(charges: readonly Charge[]): readonly Decision[] {
    const looked = this.peek(charges);
    if (!looked.every(({ allowed }) => allowed)) return looked;
    return charges.map(({ policy, cost }) => {
      const { decided } = this.of(policy);
      decided.set(this.#now, (decided.get(this.#now) ?? 0) + cost);
      return this.#take(policy, cost);
    });
  }

  peek(charges: readonly Charge[]): readonly Decision[] {
    return charges.map(({ policy, cost }) => this.#look(policy, cost));
  }

  lease({ policy, demand, extra, share }: LeaseRequest): Leased {
    const ledger = this.of(policy);
    const { remaining } = this.#look(policy, 0);
    const granted = Math.min(demand, remaining);
    const time = micros(leaseTime(policy));
    const leased = time === 0 ? 0 : Math.min(extra, Math.floor((remaining - granted) / share));
    if (granted + leased > 0) this.#take(policy, granted + leased, leased, time);
    if (granted > 0) ledger.decided.set(this.#now, (ledger.decided.get(this.#now) ?? 0) + granted);
    const lasts = leased === 0 ? 0 : this.#lasts(policy, time);
    if (leased > 0) {
      ledger.leased += leased;
      ledger.leases.push({ units: leased, ends: this.#now + lasts });
    }
    return { units: granted + leased, lasts: lasts / 1_000, decision: this.#look(policy, 1) };
  }

  /** `spentAt` is when the units were truly spent, where the refunds name an instant. */
  release(refunds: readonly Refund[], spentAt: number): void {
    for (const { policy, cost, at } of refunds) {
      const ledger = this.of(policy);
      this.#changes(ledger, { returned: cost, at: at === undefined ? undefined : spentAt });
      const { state } = ledger;
      if (state === undefined) continue;
      const instant = at === undefined ? undefined : micros(at);
      ledger.state =
        policy.algorithm === 'token-bucket'
          ? giveBack(policy, state as LeasedBucketState, cost, instant, this.#now)
          : algorithmOf(policy.algorithm).giveBack(policy, state, cost, instant, this.#now);
    }
  }

  reset(policies: readonly CompiledPolicy[]): void {
    for (const policy of policies) {
      const ledger = this.of(policy);
      this.#changes(ledger, 'forgotten');
      const state = policy.algorithm === 'token-bucket' ? ledger.state : undefined;
      ledger.state = state && giveBack(policy, state as LeasedBucketState, policy.capacity, undefined, this.#now);
    }
  }

  #look(policy: CompiledPolicy, cost: number): Decision {
    const state = this.of(policy).state;
    if (policy.algorithm === 'token-bucket') {
      return decide(policy, state as LeasedBucketState | undefined, cost, this.#now, false).decision;
    }
    return algorithmOf(policy.algorithm).decide(policy, state, cost, this.#now, false).decision;
  }

  #take(policy: CompiledPolicy, units: number, leased = 0, time = 0): Decision {
    const ledger = this.of(policy);
    const { state } = ledger;
    if (policy.algorithm === 'token-bucket') {
      const before = state as LeasedBucketState | undefined;
      const { state: after, decision } = decide(policy, before, units, this.#now, true, leased, time);
      ledger.state = this.#switches.noFloor ? { ...after, leases: [] } : after;
      return decision;
    }
    const before = (state as { end: number } | undefined)?.end;
    const { state: after, decision } = algorithmOf(policy.algorithm).decide(policy, state, units, this.#now, true);
    ledger.state = after;
    const end = (after as { end: number } | undefined)?.end;
    if (policy.anchor === 'first' && end !== undefined && end !== before) {
      this.#changes(ledger, { windowEnds: end });
    }
    return decision;
  }

  #changes(ledger: Ledger, what: Change['what']): void {
    ledger.leases = ledger.leases.filter(({ ends }) => ends > this.#now);
    const leased = ledger.leases.reduce((sum, { units }) => sum + units, 0);
    const until = Math.max(0, ...ledger.leases.map(({ ends }) => ends));
    ledger.changes.push({ time: this.#now, what, leased, until });
  }

  /** Microseconds for which the units may be spent that have just been leased. */
  #lasts(policy: CompiledPolicy, time: number): number {
    if (policy.algorithm === 'token-bucket' || this.#switches.noClipping) return time;
    const { end } = this.of(policy).state as { end: number };
    return Math.min(time, end - this.#now);
  }
}
