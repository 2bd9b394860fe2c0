import { least, most, type Reference, type Terms } from './reference.ts';

/** Units counted in the window that begins at `start`. */
interface Counted {
  readonly start: bigint;
  readonly count: bigint;
}

export const fixedWindow: Reference<Counted | undefined> = {
  fresh: undefined,

  free(terms, state, now) {
    return terms.limit - (isPresent(terms, state, now) ? state!.count : 0n);
  },

  take(terms, state, units, now) {
    if (isPresent(terms, state, now)) return { start: state!.start, count: state!.count + units };
    return { start: startOf(terms, now), count: units };
  },

  charge(terms, state, cost, now) {
    if (terms.limit === 0n) return state;
    return this.take(terms, state, least(cost, most(0n, this.free(terms, state, now))), now);
  },

  giveBack(terms, state, units, at, now) {
    if (state === undefined || !isPresent(terms, state, now)) return undefined;
    if (at !== undefined && at < state.start) return state;
    return units < state.count ? { start: state.start, count: state.count - units } : undefined;
  },

  broughtBack(_terms, state, now) {
    return state && { start: least(state.start, now), count: state.count };
  },
};

function startOf({ anchor, window }: Terms, now: bigint): bigint {
  return anchor === 'first' ? now : (now / window) * window;
}

function isPresent({ window }: Terms, state: Counted | undefined, now: bigint): boolean {
  return state !== undefined && now < state.start + window;
}
