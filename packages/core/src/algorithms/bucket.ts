import { micros } from '../duration.js';
import type { CompiledPolicy } from '../policy.js';
import { type Algorithm, type Cells, decision } from './algorithm.js';
import { ceilDiv, floorDiv } from './arithmetic.js';

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
      const { capacity, tick, unit, rate } = policy;
      const full = capacity * unit;
      const debt = state === undefined ? 0 : debtAt(policy, state, now);
      const time = state === undefined || debt === 0 ? now : lastTick(state, tick, now);
      const allowed = capacity > 0 && cost <= capacity && debt + cost * unit <= full;

      let after = debt;
      if (take && allowed) after += cost * unit;
      else if (take && policy.countRefused) after = full;

      const moved = take && state !== undefined && state.time > time;
      const next = after !== debt || moved ? { debt: after, time, unit } : state;
      return {
        state: next,
        decision: decision(
          policy,
          allowed,
          floorDiv(full - after, unit),
          now,
          after > 0 ? time + ceilDiv(after, rate) * tick : now,
          cost > capacity || capacity === 0
            ? Number.POSITIVE_INFINITY
            : time + ceilDiv(after + cost * unit - full, rate) * tick,
          delays && debt > 0 ? time + ceilDiv(debt, rate) * tick : now,
        ),
      };
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

    cells,
  };
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

const cells: Cells<BucketState> = {
  read: (cells, at) => ({ debt: cells[at]!, time: cells[at + 1]!, unit: cells[at + 2]! }),
  write(cells, at, state) {
    cells[at] = state.debt;
    cells[at + 1] = state.time;
    cells[at + 2] = state.unit;
  },
};
