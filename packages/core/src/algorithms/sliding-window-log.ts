import { micros } from '../duration.js';
import { type Algorithm, decision } from './algorithm.js';

/**
 * The grants from `head` to `tail`, oldest first: when each was made, and how many units had been granted with it.
 *
 * Successive states share their arrays, which only grow at the end: a state is never changed by the one that follows
 * it, and a grant costs the same however long the log is.
 */
export interface SlidingWindowLogState {
  readonly times: number[];
  /** `totals[i]` counts the units of grants 0 to i. */
  readonly totals: number[];
  readonly head: number;
  readonly tail: number;
}

/** Remembers when each unit was granted, and grants while those of the last window leave room. */
export const slidingWindowLog: Algorithm<SlidingWindowLogState> = {
  decide(policy, before, cost, now, take) {
    const { limit, window } = policy;
    const state = before && endsAfter(before, now) ? broughtBack(before, now) : before;
    const head = state ? firstAfter(state.times, now - window, state.head, state.tail) : 0;
    const used = state && head < state.tail ? state.totals[state.tail - 1]! - unitsBefore(state, head) : 0;
    const allowed = limit > 0 && used + cost <= limit;

    let log = state;
    let after = used;
    if (take && allowed && cost > 0) {
      log = append(state, head, now, cost);
      after += cost;
    } else if (take && !allowed && policy.countRefused && cost > 0 && limit > 0) {
      // As if the last `limit` units asked for had been granted: the oldest make room.
      const units = Math.min(cost, limit);
      log = append(keepNewest(state, head, limit - units), 0, now, units);
      after = limit;
    }

    return {
      state: take ? log : before,
      decision: decision(
        policy,
        allowed,
        limit - after,
        now,
        after > 0 ? log!.times[log!.tail - 1]! + window : now,
        !allowed && cost <= limit && limit > 0 ? roomAt(log!, now - window, limit - cost) + window : Infinity,
        now,
      ),
    };
  },

  giveBack(policy, state, units, at, now) {
    const from = firstAfter(state.times, now - policy.window, state.head, state.tail);
    // Without the instant of the grant, the oldest units: they leave first, so that never too much room is made.
    let left = units;
    const kept = rebuilt(state, from, (granted, time) => {
      const given = at === undefined || time === at ? Math.min(left, granted) : 0;
      left -= given;
      return granted - given;
    });
    return left === units && kept !== undefined ? state : kept;
  },

  recall: ({ limit, window }, { remaining, resetAfter, at }) => ({
    // When the others were granted is not told; so all count as the newest.
    times: [Math.min(micros(at), micros(at) + micros(resetAfter) - window)],
    totals: [Math.max(1, limit - remaining)],
    head: 0,
    tail: 1,
  }),

  worse({ window }, a, b, now) {
    const entries: [time: number, units: number][] = [];
    let i = a.tail - 1;
    let j = b.tail - 1;
    let units = 0;
    for (;;) {
      const time = Math.max(i >= a.head ? a.times[i]! : 0, j >= b.head ? b.times[j]! : 0);
      if (time <= now - window) break;
      while (i >= a.head && a.times[i] === time) i--;
      while (j >= b.head && b.times[j] === time) j--;
      // As many units since then as the log has that has more.
      const since = Math.max(unitsAfter(a, i), unitsAfter(b, j));
      if (since > units) entries.push([time, since - units]);
      units = since;
    }
    let total = 0;
    entries.reverse();
    const times = entries.map(([time]) => time);
    const totals = entries.map(([, granted]) => {
      total += granted;
      return total;
    });
    return { times, totals, head: 0, tail: times.length };
  },
};

/** Units of the grants after that one. */
function unitsAfter(state: SlidingWindowLogState, index: number): number {
  return state.totals[state.tail - 1]! - unitsBefore(state, Math.max(state.head, index + 1));
}

/** What `keep` leaves of each grant from `head` on, in arrays of their own; nothing, where nothing is left. */
function rebuilt(
  state: SlidingWindowLogState,
  head: number,
  keep: (units: number, time: number) => number,
): SlidingWindowLogState | undefined {
  const times: number[] = [];
  const totals: number[] = [];
  let total = 0;
  let before = unitsBefore(state, head);
  for (let i = head; i < state.tail; i++) {
    const units = keep(state.totals[i]! - before, state.times[i]!);
    before = state.totals[i]!;
    if (units <= 0) continue;
    total += units;
    times.push(state.times[i]!);
    totals.push(total);
  }
  return total > 0 ? { times, totals, head: 0, tail: times.length } : undefined;
}

function unitsBefore(state: SlidingWindowLogState, index: number): number {
  return index > 0 ? state.totals[index - 1]! : 0;
}

function endsAfter(state: SlidingWindowLogState, now: number): boolean {
  return state.times[state.tail - 1]! > now;
}

/** The state after a step back of the clock: grants that seem to lie ahead were made now at the latest. */
function broughtBack(state: SlidingWindowLogState, now: number): SlidingWindowLogState {
  const times = state.times.slice(0, state.tail).map((time) => Math.min(time, now));
  return { times, totals: state.totals.slice(0, state.tail), head: state.head, tail: state.tail };
}

function append(
  state: SlidingWindowLogState | undefined,
  head: number,
  time: number,
  units: number,
): SlidingWindowLogState {
  if (state === undefined || head === state.tail) return { times: [time], totals: [units], head: 0, tail: 1 };
  let { times, totals, tail } = state;
  // A copy when another state has grown these arrays, or when more than half of them has expired.
  if (times.length !== tail || head > tail - head + 16) {
    const gone = unitsBefore(state, head);
    times = times.slice(head, tail);
    totals = totals.slice(head, tail).map((total) => total - gone);
    tail -= head;
    head = 0;
  }
  times.push(time);
  totals.push(totals[tail - 1]! + units);
  return { times, totals, head, tail: tail + 1 };
}

/** When the grant was made with whose expiry no more than `room` of the units granted after `since` are left. */
function roomAt(state: SlidingWindowLogState, since: number, room: number): number {
  const excess = state.totals[state.tail - 1]! - room;
  const from = firstAfter(state.times, since, state.head, state.tail);
  return state.times[firstAfter(state.totals, excess - 1, from, state.tail)]!;
}

/** The newest `units` units from `head` on, in arrays of their own. */
function keepNewest(
  state: SlidingWindowLogState | undefined,
  head: number,
  units: number,
): SlidingWindowLogState | undefined {
  if (state === undefined || head === state.tail) return undefined;
  let excess = state.totals[state.tail - 1]! - unitsBefore(state, head) - units;
  return rebuilt(state, head, (granted) => {
    const gone = Math.min(granted, Math.max(0, excess));
    excess -= gone;
    return granted - gone;
  });
}

/** Index of the first of the ascending `values[from…to)` that is greater than `bound`, else `to`. */
function firstAfter(values: readonly number[], bound: number, from: number, to: number): number {
  while (from < to) {
    const middle = (from + to) >>> 1;
    if (values[middle]! > bound) to = middle;
    else from = middle + 1;
  }
  return from;
}
