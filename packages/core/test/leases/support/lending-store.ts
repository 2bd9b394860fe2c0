import { algorithmOf } from '../../../src/algorithms/index.ts';
import { stateOf } from '../../../src/charge.ts';
import {
  type Charge,
  type Clock,
  type CompiledPolicy,
  type Decision,
  type Leased,
  type LeaseRequest,
  leaseTime,
  type Refund,
  type SyncStore,
} from '../../../src/index.ts';
import { decide, giveBack, type LeasedBucketState } from './leased-bucket.ts';

/** Microseconds of a duration in a decision. */
const micros = (ms: number) => Math.round(ms * 1_000);

/**
 * A store that leases, as the scripts do it in Redis: the algorithms of core, but for token buckets. States are kept for
 * ever.
 */
export class LendingStore implements SyncStore {
  readonly sync = true;
  readonly #clock: Pick<Clock, 'now'>;
  readonly #states = new Map<string, unknown>();
  readonly #fresh = new Map<string, number>();

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock;
  }

  consume(charges: readonly Charge[]): readonly Decision[] {
    if (charges.length === 1) return [this.#decide(charges[0]!, true)];
    const decisions = [...this.peek(charges)];
    const granted = decisions.every(({ allowed }) => allowed);
    for (const [i, charge] of charges.entries()) {
      if (granted && charge.cost === 0) continue;
      if (granted || !decisions[i]!.allowed || charge.policy.countRefused) decisions[i] = this.#decide(charge, true);
    }
    return decisions;
  }

  peek(charges: readonly Charge[]): readonly Decision[] {
    return charges.map((charge) => this.#decide(charge, false));
  }

  lease({ policy, key, demand, extra, share }: LeaseRequest): Leased {
    const now = this.#clock.now();
    const { remaining } = this.#decide({ policy, key, cost: 0 }, false);
    const granted = Math.min(demand, remaining);
    const time = leaseTime(policy) * 1_000;
    const leased = time === 0 ? 0 : Math.min(extra, Math.floor((remaining - granted) / share));
    const units = granted + leased;
    if (units > 0) this.#decide({ policy, key, cost: units }, true, leased, time);
    // Whoever was refused would have brought a state back to the present.
    const decision = this.#decide({ policy, key, cost: 1 }, granted < demand);
    return { units, lasts: leased === 0 ? 0 : this.#lasts({ policy, key }, now, time) / 1_000, decision };
  }

  release(refunds: readonly Refund[]): void {
    const now = this.#clock.now();
    for (const refund of refunds) {
      const { policy, cost, at } = refund;
      const state = this.#state(refund);
      if (state === undefined) continue;
      const instant = at === undefined ? undefined : micros(at);
      const after =
        policy.algorithm === 'token-bucket'
          ? giveBack(policy, state as LeasedBucketState, cost, instant, now)
          : algorithmOf(policy.algorithm).giveBack(policy, state, cost, instant, now);
      this.#keep(refund, after);
    }
  }

  /** What is leased of a bucket stays owed. */
  reset(key: string, policies: readonly CompiledPolicy[]): void {
    for (const policy of policies) {
      const subject = { policy, key };
      const state = this.#state(subject);
      const isBucket = state !== undefined && policy.algorithm === 'token-bucket';
      const now = this.#clock.now();
      const left = isBucket ? giveBack(policy, state as LeasedBucketState, policy.capacity, undefined, now) : undefined;
      this.#keep(subject, left);
    }
  }

  #lasts(subject: Pick<Charge, 'policy' | 'key'>, now: number, time: number): number {
    const { algorithm, window } = subject.policy;
    if (algorithm === 'token-bucket') return time;
    const { end } = this.#state(subject) as { end: number };
    const ends = algorithm === 'fixed-window' ? end : now - (now % window) + window;
    return Math.min(time, ends - now);
  }

  #decide(charge: Charge, take: boolean, extra = 0, time = 0): Decision {
    const { policy, cost } = charge;
    const now = this.#clock.now();
    const before = this.#state(charge);
    const { state, decision } =
      policy.algorithm === 'token-bucket'
        ? decide(policy, before as LeasedBucketState | undefined, cost, now, take, extra, time)
        : algorithmOf(policy.algorithm).decide(policy, before, cost, now, take);
    if (take && state !== before) this.#keep(charge, state);
    return decision;
  }

  #state(subject: Pick<Charge, 'policy' | 'key'>): unknown {
    const name = stateOf(subject);
    return this.#clock.now() < (this.#fresh.get(name) ?? 0) ? this.#states.get(name) : undefined;
  }

  #keep(subject: Pick<Charge, 'policy' | 'key'>, state: unknown): void {
    const name = stateOf(subject);
    this.#states.set(name, state);
    this.#fresh.set(name, Number.POSITIVE_INFINITY);
    const { at, resetAfter } = this.#decide({ ...subject, cost: 0 }, false);
    this.#fresh.set(name, state === undefined ? 0 : micros(at) + micros(resetAfter));
  }
}
