import { least, most, type Reference, type Terms } from './reference.ts';

/** Units of the window that begins at `start`, and of the one before it. */
interface Counted {
  readonly start: bigint;
  readonly current: bigint;
  readonly previous: bigint;
}

export const slidingWindowCounter: Reference<Counted> = {
  fresh: { start: 0n, current: 0n, previous: 0n },

  // ⌊cur + prev × (1 − elapsed/window)⌋, the share in ticks.
  free(terms, state, now) {
    const { start, current, previous } = rolled(terms, state, now);
    const ticks = terms.window / terms.tick;
    const elapsed = (now - start) / terms.tick;
    return terms.limit - (current * ticks + previous * (ticks - elapsed)) / ticks;
  },

  take(terms, state, units, now) {
    const { start, current, previous } = rolled(terms, state, now);
    return { start, current: current + units, previous };
  },

  charge(terms, state, cost, now) {
    const { start, current, previous } = rolled(terms, state, now);
    return { start, current: least(terms.limit, current + cost), previous };
  },

  giveBack(terms, state, units, at, now) {
    const { start, current, previous } = rolled(terms, state, now);
    const inCurrent = at === undefined ? least(units, current) : at >= start ? units : 0n;
    const inPrevious = at === undefined ? units - inCurrent : at < start && at >= start - terms.window ? units : 0n;
    return { start, current: most(0n, current - inCurrent), previous: most(0n, previous - inPrevious) };
  },

  // Units whose window lies ahead, or is cut short, all count as those of the present window.
  broughtBack(terms, state, now) {
    const start = startOf(terms, now);
    if (state.start <= start) return state;
    return { start, current: least(terms.limit, state.current + state.previous), previous: 0n };
  },
};

function startOf({ window }: Terms, now: bigint): bigint {
  return (now / window) * window;
}

function rolled(terms: Terms, state: Counted, now: bigint): Counted {
  const start = startOf(terms, now);
  if (state.start === start) return state;
  return { start, current: 0n, previous: state.start === start - terms.window ? state.current : 0n };
}
