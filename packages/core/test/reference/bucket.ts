import { least, most, type Reference, type Terms } from './reference.ts';

/**
 * What has been taken and is not yet back. One unit counts as many parts as the window has microseconds, so that
 * `limit` parts come back per microsecond, with no fraction ever. They come back at whole ticks after `since`.
 */
interface Owed {
  readonly parts: bigint;
  readonly since: bigint;
}

export const tokenBucket: Reference<Owed> = {
  fresh: { parts: 0n, since: 0n },

  free(terms, state, now) {
    const left = terms.capacity * terms.window - owed(terms, state, now).parts;
    return left / terms.window;
  },

  take(terms, state, units, now) {
    const { parts, since } = owed(terms, state, now);
    return { parts: parts + units * terms.window, since };
  },

  charge(terms, state, cost, now) {
    const { parts, since } = owed(terms, state, now);
    return { parts: least(parts + cost * terms.window, terms.capacity * terms.window), since };
  },

  giveBack(terms, state, units, at, now) {
    const { parts, since } = owed(terms, state, now);
    const ticks = at === undefined ? 0n : (most(0n, now - at) + terms.tick - 1n) / terms.tick;
    const given = most(0n, units * terms.window - ticks * terms.tick * terms.limit);
    return { parts: most(0n, parts - given), since };
  },

  broughtBack(_terms, { parts, since }, now) {
    return { parts, since: least(since, now) };
  },
};

export const leakyBucket: Reference<Owed> = { ...tokenBucket, delays: true };

function owed({ limit, tick }: Terms, { parts, since }: Owed, now: bigint): Owed {
  const ticks = (now - since) / tick;
  const left = parts - ticks * tick * limit;
  return left > 0n ? { parts: left, since: since + ticks * tick } : { parts: 0n, since: now };
}
