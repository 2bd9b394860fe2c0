import type { Decision } from '../decision.js';
import { micros } from '../duration.js';
import type { CompiledPolicy } from '../policy.js';
import { type Algorithm, decision } from './algorithm.js';
import { ceilDiv, floorDiv } from './arithmetic.js';
import { type Cells, firstAt, instantAt, secondAt, writeCells } from './cells.js';

const half = 2 ** 30;

/**
 * What a bucket owes: tokens not yet refilled, or a queue not yet drained. `debt` counts parts of a unit (`unit` parts
 * make one) and stood so at `time`; it shrinks by the policy's rate. The parts are kept with the state so that a
 * changed limit, which changes their size, does not change the debt.
 */
export interface BucketState {
  readonly debt: number;
  readonly time: number;
  readonly unit: number;
}

/** The arithmetic that token bucket and leaky bucket share; they differ in whether a grant carries a delay. */
export function bucket(delays: boolean): Algorithm<BucketState> {
  return {
    decide(policy, state, cost, now, take) {
      const { capacity, tick, unit } = policy;
      const full = capacity * unit;
      const debt = state === undefined ? 0 : debtAt(policy, state, now);
      const time = state === undefined || debt === 0 ? now : lastTick(state, tick, now);
      const allowed = capacity > 0 && cost <= capacity && debt + cost * unit <= full;

      let after = debt;
      if (take && allowed) after += cost * unit;
      else if (take && policy.countRefused) after = full;

      const moved = take && state !== undefined && state.time > time;
      const next = after !== debt || moved ? { debt: after, time, unit } : state;
      return { state: next, decision: told(policy, allowed, cost, delays ? debt : 0, after, time, now) };
    },

    giveBack(policy, state, units, at, now) {
      const { capacity, tick, unit, rate } = policy;
      // What has refilled since the grant is there already: given back again, it would be there twice.
      const refilled = at === undefined ? 0 : ceilDiv(Math.max(0, now - at), tick) * rate;
      const given = Math.max(0, Math.min(units, capacity) * unit - refilled);
      const debt = debtAt(policy, state, now) - given;
      return debt > 0 ? { debt, time: lastTick(state, tick, now), unit } : undefined;
    },

    recall({ capacity, tick, unit, rate }, { resetAfter, at }) {
      // What is owed shrinks to nothing when the key is fresh. `remaining` would say it in whole units only.
      const debt = Math.min(capacity * unit, ceilDiv(micros(resetAfter), tick) * rate);
      return { debt, time: micros(at), unit };
    },

    worse: (policy, a, b, now) => (debtAt(policy, a, now) >= debtAt(policy, b, now) ? a : b),

    cells: {
      ...cells,
      consume(words, at, policy, cost, now) {
        const { capacity, tick, unit, rate } = policy;
        const full = capacity * unit;
        const owed = debtOf(words, at);
        const since = instantAt(words, at);
        if (now < since || owed > full || policy.countRefused) return undefined;
        const elapsed = floorDiv(now - since, tick);
        const debt = owed - elapsed * rate;
        if (debt <= 0) return undefined;
        const time = since + elapsed * tick;
        const delayed = delays ? debt : 0;
        const after = debt + cost * unit;
        if (!(cost <= capacity && after <= full)) return told(policy, false, cost, delayed, debt, time, now);
        if (after + unit > full) return undefined;
        if (cost !== 0 && !writeDebt(words, at, time, after)) return undefined;
        return told(policy, true, cost, delayed, after, time, now);
      },
    },
  };
}

/** What is told once the debt is `after`, as it stands at `time`; a grant waits for `delayed` of it to drain. */
function told(
  policy: CompiledPolicy,
  allowed: boolean,
  cost: number,
  delayed: number,
  after: number,
  time: number,
  now: number,
): Decision {
  const { capacity, tick, unit, rate } = policy;
  const full = capacity * unit;
  return decision(
    policy,
    allowed,
    floorDiv(full - after, unit),
    now,
    after > 0 ? time + ceilDiv(after, rate) * tick : now,
    cost > capacity || capacity === 0
      ? Number.POSITIVE_INFINITY
      : time + ceilDiv(after + cost * unit - full, rate) * tick,
    delayed > 0 ? time + ceilDiv(delayed, rate) * tick : now,
  );
}

/** The debt left at `now`, in the parts of the present policy and never more than its bucket holds. */
function debtAt({ capacity, tick, unit, rate }: CompiledPolicy, state: BucketState, now: number): number {
  const debt =
    state.unit === unit
      ? Math.min(state.debt, capacity * unit)
      : Math.min(ceilDiv(state.debt, state.unit), capacity) * unit;
  const elapsed = floorDiv(now - state.time, tick);
  if (elapsed <= 0) return debt;
  return elapsed < ceilDiv(debt, rate) ? debt - elapsed * rate : 0;
}

/**
 * The last instant at which the debt shrank: ticks are counted from when the debt began. Ticks counted from the epoch
 * would let a coarse one end right after a grant, and refill more than the rate allows.
 */
function lastTick(state: BucketState, tick: number, now: number): number {
  return now > state.time ? now - ((now - state.time) % tick) : now;
}

/** The debt in two halves of 30 bits each; the size of its parts is the policy's. */
const cells: Cells<BucketState> = {
  read: (words, at, { unit }) => ({ debt: debtOf(words, at), time: instantAt(words, at), unit }),
  write: (words, at, { debt, time, unit }, policy) => unit === policy.unit && writeDebt(words, at, time, debt),
  freshAt: (words, at, { rate, tick }) => instantAt(words, at) + ceilDiv(debtOf(words, at), rate) * tick,
};

function debtOf(words: Int32Array, at: number): number {
  return secondAt(words, at) * half + firstAt(words, at);
}

function writeDebt(words: Int32Array, at: number, time: number, debt: number): boolean {
  const upper = Math.floor(debt / half);
  return writeCells(words, at, time, debt - upper * half, upper);
}
