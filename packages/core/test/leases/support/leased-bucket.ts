import { decision } from '../../../src/algorithms/algorithm.ts';
import { ceilDiv, floorDiv } from '../../../src/algorithms/arithmetic.ts';
import type { CompiledPolicy, Decision } from '../../../src/index.ts';

/** Units that were leased in a stretch of time, and until when they may be spent, in microseconds. */
interface Generation {
  readonly units: number;
  readonly end: number;
}

/** What a token bucket owes, and which of it does not refill yet. */
export interface LeasedBucketState {
  /** Parts of a unit; `unit` parts make one. */
  readonly debt: number;
  readonly time: number;
  readonly unit: number;
  /** None, or two, of which the first may be empty, and ends first. */
  readonly leases: readonly Generation[];
}

/** Microseconds after which every lease is over. */
const longest = 2_000_000;

/** How a bucket stands at an instant. */
class Standing {
  debt = 0;
  time: number;
  leases: readonly Generation[] = [];
  hasMoved = false;
  readonly #policy: CompiledPolicy;
  readonly #now: number;

  constructor(policy: CompiledPolicy, state: LeasedBucketState | undefined, now: number) {
    this.#policy = policy;
    this.#now = now;
    this.time = now;
    if (state === undefined) return;
    const { capacity, tick, unit, rate } = policy;
    this.debt =
      state.unit === unit
        ? Math.min(state.debt, capacity * unit)
        : Math.min(ceilDiv(state.debt, state.unit), capacity) * unit;
    const ticks = Math.max(0, floorDiv(now - state.time, tick));
    this.debt = ticks < ceilDiv(this.debt, rate) ? this.debt - ticks * rate : 0;
    if (this.debt > 0) this.time = this.#lastTick(state.time);
    this.hasMoved = state.time > this.time;
    if (state.leases.length === 0) return;

    const latest = now + longest;
    if (state.leases.some(({ end }) => end > latest)) this.hasMoved = true;
    const leases = state.leases.map(({ units, end }) => ({ units, end: Math.min(end, latest) }));
    for (const [i, { end }] of leases.entries()) this.#raise(sum(leases.slice(i)), end);
    if (leases[1]!.end > now) this.leases = [leases[0]!.end > now ? leases[0]! : { units: 0, end: 0 }, leases[1]!];
  }

  /** Parts that are held by leases now. */
  get held(): number {
    return Math.min(sum(this.leases), this.#policy.capacity) * this.#policy.unit;
  }

  /** When no more than so many parts are owed. */
  until(most: number): number {
    const { capacity, tick, unit, rate } = this.#policy;
    let instant = this.debt > most ? this.time + ceilDiv(this.debt - most, rate) * tick : this.#now;
    for (const [i, { end }] of this.leases.entries()) {
      const held = Math.min(sum(this.leases.slice(i)), capacity) * unit;
      if (held > most) instant = Math.max(instant, end + ceilDiv(held - most, rate) * tick);
    }
    return instant;
  }

  lend(units: number, time: number): void {
    const [first, second] = this.leases;
    const now = this.#now;
    if (second !== undefined && now + time <= second.end) {
      this.leases = [first!, { units: second.units + units, end: second.end }];
      return;
    }
    // The one before the last is over by now, unless the policy has changed.
    const before = second === undefined ? { units: 0, end: 0 } : { units: sum(this.leases), end: second.end };
    this.leases = [before, { units, end: Math.max(now + 2 * time, before.end) }];
  }

  state(): LeasedBucketState {
    return { debt: this.debt, time: this.time, unit: this.#policy.unit, leases: this.leases };
  }

  /** What was leased is owed until the lease ends, and refills from then on. */
  #raise(units: number, end: number): void {
    const { capacity, tick, unit, rate } = this.#policy;
    const now = this.#now;
    const ticks = now < end ? 0 : floorDiv(now - end, tick);
    const held = Math.min(units, capacity) * unit - ticks * rate;
    if (held <= 0) return;
    const from = now < end ? now : this.#lastTick(end);
    if (held > this.debt) {
      this.debt = held;
      this.time = from;
    } else if (this.debt - held < rate && from > this.time) this.time = from;
  }

  #lastTick(time: number): number {
    const now = this.#now;
    return now > time ? now - ((now - time) % this.#policy.tick) : now;
  }
}

/**
 * A token bucket, units of which may be leased for `time` microseconds: what the scripts do, written once more. A decision
 * on `cost` units, of which the last `extra` are leased.
 */
export function decide(
  policy: CompiledPolicy,
  state: LeasedBucketState | undefined,
  cost: number,
  now: number,
  take: boolean,
  extra = 0,
  time = 0,
): { readonly state: LeasedBucketState | undefined; readonly decision: Decision } {
  const { capacity, unit } = policy;
  const full = capacity * unit;
  const standing = new Standing(policy, state, now);
  const before = standing.debt;
  const allowed = capacity > 0 && cost <= capacity && before + cost * unit <= full;
  if (take && allowed) {
    standing.debt += cost * unit;
    if (extra > 0) standing.lend(extra, time);
  } else if (take && policy.countRefused) standing.debt = full;
  const isSaved = take && (standing.debt !== before || standing.hasMoved);
  const retryAt = cost > capacity || capacity === 0 ? Number.POSITIVE_INFINITY : standing.until(full - cost * unit);
  return {
    state: isSaved ? standing.state() : state,
    decision: decision(policy, allowed, floorDiv(full - standing.debt, unit), now, standing.until(0), retryAt, now),
  };
}

export function giveBack(
  policy: CompiledPolicy,
  state: LeasedBucketState,
  units: number,
  at: number | undefined,
  now: number,
): LeasedBucketState | undefined {
  const { capacity, tick, unit, rate } = policy;
  const standing = new Standing(policy, state, now);
  const refilled = at === undefined ? 0 : ceilDiv(Math.max(0, now - at), tick) * rate;
  standing.debt -= Math.max(0, Math.min(units, capacity) * unit - refilled);
  const { held } = standing;
  if (standing.debt < held) {
    standing.debt = held;
    standing.time = now;
  }
  return standing.debt > 0 ? standing.state() : undefined;
}

function sum(leases: readonly Generation[]): number {
  return leases.reduce((units, lease) => units + lease.units, 0);
}
