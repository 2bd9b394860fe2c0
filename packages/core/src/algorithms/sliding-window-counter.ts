import { micros } from '../duration.js';
import { type Algorithm, decision } from './algorithm.js';
import { ceilDiv, floorDiv } from './arithmetic.js';

/** Units of the window that ends at `end`, and of the one before it. */
export interface SlidingWindowCounterState {
  readonly end: number;
  readonly current: number;
  readonly previous: number;
}

/**
 * Counts the present aligned window in full and the one before it by the share that a window sliding along with the
 * clock would still cover: two numbers per key, and no burst at the boundary as with fixed windows.
 */
export const slidingWindowCounter: Algorithm<SlidingWindowCounterState> = {
  decide(policy, state, cost, now, take) {
    const { limit, tick, window } = policy;
    const ticks = window / tick;
    const start = now - (now % window);
    const end = start + window;
    const elapsed = floorDiv(now - start, tick);

    // No count may pass the limit, even where the limit was higher when it was taken: products would pass 2^52.
    let current = 0;
    let previous = 0;
    let moved = false;
    if (state !== undefined) {
      if (state.end === end) {
        current = Math.min(state.current, limit);
        previous = Math.min(state.previous, limit);
      } else if (state.end > start) {
        // After a step back of the clock or a change of the window, all units count as those of the present window:
        // the share of one before it would refill some.
        current = Math.min(state.current + state.previous, limit);
        moved = true;
      } else if (state.end > start - window) {
        previous = Math.min(state.current, limit);
      }
    }
    const weighted = floorDiv(previous * (ticks - elapsed), ticks);
    const allowed = limit > 0 && current + weighted + cost <= limit;

    let after = current;
    if (take && allowed) after += cost;
    else if (take && policy.countRefused) after = Math.min(limit, current + cost);

    const next = after !== current || (take && moved) ? { end, current: after, previous } : state;

    const freshAt =
      after > 0 ? end + tickOfRoom(after, 0, ticks) * tick : start + tickOfRoom(previous, 0, ticks) * tick;

    let retryAt = Number.POSITIVE_INFINITY;
    if (!allowed && cost <= limit && limit > 0) {
      const room = limit - cost - after;
      retryAt =
        room >= 0
          ? start + tickOfRoom(previous, room, ticks) * tick
          : end + tickOfRoom(after, limit - cost, ticks) * tick;
    }
    return {
      state: next,
      decision: decision(policy, allowed, limit - after - weighted, now, freshAt, retryAt, now),
    };
  },

  giveBack(policy, state, units, at, now) {
    const { window } = policy;
    if (now >= state.end + window) return undefined;
    const { end } = state;
    const start = end - window;
    let { current, previous } = state;
    // Units go back to the window they were taken from; without an instant, to the newest that has some.
    if (at === undefined) {
      const fromCurrent = Math.min(units, current);
      current -= fromCurrent;
      previous = Math.max(0, previous - (units - fromCurrent));
    } else if (at >= start) {
      current = Math.max(0, current - units);
    } else if (at >= start - window) {
      previous = Math.max(0, previous - units);
    }
    return current > 0 || previous > 0 ? { end, current, previous } : undefined;
  },

  recall({ limit, tick, window, countRefused }, { remaining, resetAfter, at }, before) {
    const ticks = window / tick;
    const now = micros(at);
    const start = now - (now % window);
    const end = start + window;
    const counted = Math.max(0, limit - remaining);
    // The instant at which the key is fresh tells the two counts apart: with units of the present window, it lies in the
    // next one. Where it leaves a choice, as with very many units, both are as great as can be.
    const freshAt = now + micros(resetAfter);
    const share = ticks - floorDiv(now - start, tick);
    const mostBefore = (weighted: number) => Math.min(limit, floorDiv((weighted + 1) * ticks - 1, share));
    let current = 0;
    let previous: number;
    if (freshAt > end) {
      const fresh = ceilDiv(freshAt - end, tick);
      current = Math.min(counted, mostFreshBy(fresh, ticks));
      previous = mostBefore(Math.max(0, counted - mostFreshBy(fresh - 1, ticks) - 1));
    } else {
      previous = Math.min(mostBefore(counted), mostFreshBy(ceilDiv(freshAt - start, tick), ticks));
    }
    if (remaining === 0 && current > 0) {
      // What was charged beyond the limit cannot be told from what is left.
      if (before?.end === end) previous = Math.max(previous, before.previous);
      else if (countRefused) previous = limit;
    }
    return { end, current, previous };
  },

  worse({ limit, window }, a, b) {
    const [late, early] = a.end >= b.end ? [a, b] : [b, a];
    const { end, current, previous } = late;
    const gap = end - early.end;
    if (gap === 0) {
      return { end, current: Math.max(current, early.current), previous: Math.max(previous, early.previous) };
    }
    if (gap === window) return { end, current, previous: Math.max(previous, early.current) };
    if (gap > window) return late;
    return { end, current: Math.max(current, Math.min(limit, early.current + early.previous)), previous };
  },

  cells: {
    read: (cells, at) => ({ end: cells[at]!, current: cells[at + 1]!, previous: cells[at + 2]! }),
    write(cells, at, state) {
      cells[at] = state.end;
      cells[at + 1] = state.current;
      cells[at + 2] = state.previous;
    },
  },
};

/** The tick of a window of `ticks` from which on the `counted` units of the window before weigh at most `room`. */
function tickOfRoom(counted: number, room: number, ticks: number): number {
  return counted <= room ? 0 : ticks - floorDiv((room + 1) * ticks - 1, counted);
}

/** The most units of the window before that weigh nothing from that tick of a window on. */
function mostFreshBy(tick: number, ticks: number): number {
  return tick < ticks ? floorDiv(ticks - 1, ticks - tick) : Number.POSITIVE_INFINITY;
}
