import type { Decision } from '../decision.js';
import { micros } from '../duration.js';
import type { CompiledPolicy } from '../policy.js';
import { type Algorithm, decision } from './algorithm.js';
import { ceilDiv, floorDiv, remainder } from './arithmetic.js';
import { firstAt, instantAt, secondAt, writeCells, writeFirst } from './cells.js';

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
    const { limit, window } = policy;
    const start = now - remainder(now, window);
    const end = start + window;

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
    const weighted = weigh(policy, previous, now - start);
    const allowed = limit > 0 && current + weighted + cost <= limit;

    let after = current;
    if (take && allowed) after += cost;
    else if (take && policy.countRefused) after = Math.min(limit, current + cost);

    const next = after !== current || (take && moved) ? { end, current: after, previous } : state;

    return { state: next, decision: told(policy, allowed, cost, end, after, previous, weighted, now) };
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
    read: (words, at) => ({
      end: instantAt(words, at),
      current: firstAt(words, at),
      previous: secondAt(words, at),
    }),
    // A window that was another policy's may end elsewhere.
    write: (words, at, { end, current, previous }, { window }) =>
      end % window === 0 && writeCells(words, at, end, current, previous),
    freshAt: (words, at, policy) => freshAt(policy, instantAt(words, at), firstAt(words, at), secondAt(words, at)),
    consume(words, at, policy, cost, now) {
      const { limit, window } = policy;
      const end = instantAt(words, at);
      const current = firstAt(words, at);
      const previous = secondAt(words, at);
      if (now >= end || now < end - window || policy.countRefused) return undefined;
      if (current === 0 || current > limit || previous > limit) return undefined;
      const weighted = weigh(policy, previous, now - (end - window));
      const after = current + cost;
      if (after + weighted > limit) return told(policy, false, cost, end, current, previous, weighted, now);
      if (after + weighted === limit) return undefined;
      if (!writeFirst(words, at, after)) return undefined;
      return told(policy, true, cost, end, after, previous, weighted, now);
    },
  },
};

/** What the units of the window before count when so many microseconds of the present one have passed. */
function weigh({ window, tick }: CompiledPolicy, previous: number, elapsed: number): number {
  if (previous === 0) return 0;
  const ticks = window / tick;
  return floorDiv(previous * (ticks - floorDiv(elapsed, tick)), ticks);
}

/** What is told once `after` units of the window that ends at `end` are taken. */
function told(
  policy: CompiledPolicy,
  allowed: boolean,
  cost: number,
  end: number,
  after: number,
  previous: number,
  weighted: number,
  now: number,
): Decision {
  const { limit, tick, window } = policy;
  let retryAt = Number.POSITIVE_INFINITY;
  if (!allowed && cost <= limit && limit > 0) {
    const ticks = window / tick;
    const room = limit - cost - after;
    retryAt =
      room >= 0
        ? end - window + tickOfRoom(previous, room, ticks) * tick
        : end + tickOfRoom(after, limit - cost, ticks) * tick;
  }
  const fresh = freshAt(policy, end, after, previous);
  return decision(policy, allowed, limit - after - weighted, now, fresh, retryAt, now);
}

/** When units of the window that ends at `end`, and of the one before it, weigh nothing any more. */
function freshAt({ window, tick }: CompiledPolicy, end: number, current: number, previous: number): number {
  const ticks = window / tick;
  return current > 0
    ? end + tickOfRoom(current, 0, ticks) * tick
    : end - window + tickOfRoom(previous, 0, ticks) * tick;
}

/** The tick of a window of `ticks` from which on the `counted` units of the window before weigh at most `room`. */
function tickOfRoom(counted: number, room: number, ticks: number): number {
  return counted <= room ? 0 : ticks - floorDiv((room + 1) * ticks - 1, counted);
}

/** The most units of the window before that weigh nothing from that tick of a window on. */
function mostFreshBy(tick: number, ticks: number): number {
  return tick < ticks ? floorDiv(ticks - 1, ticks - tick) : Number.POSITIVE_INFINITY;
}
