// What is the least work that JavaScript can do for a decision? A Map from keys to places in typed arrays.
import type { Decision } from '@sluice/core';
import type { Contender, Gate, Grant } from './contenders.js';

type Decide = (key: string) => Decision;

/** The same decision object as ours, of a limit that is checked by nobody, in a table that forgets nothing. */
function floor(algorithm: string, open: (grant: Grant, now: () => number, places: Places) => Decide): Contender {
  return {
    name: `floor ${algorithm}`,
    from: 'floor',
    sync: true,
    forgetsAfter: 0,
    async open(grant): Promise<Gate> {
      const { systemClock } = await import('@sluice/core');
      const places = new Places();
      const decide = open(grant, systemClock.now, places);
      return { decide: (key) => decide(key).allowed, keys: () => places.size };
    },
  };
}

/** Two numbers per key. */
class Places {
  readonly #places = new Map<string, number>();
  numbers = new Float64Array(1_024);

  get size(): number {
    return this.#places.size;
  }

  of(key: string): number {
    let place = this.#places.get(key);
    if (place === undefined) {
      place = 2 * this.#places.size;
      this.#places.set(key, place);
      if (place === this.numbers.length) {
        const numbers = new Float64Array(2 * place);
        numbers.set(this.numbers);
        this.numbers = numbers;
      }
    }
    return place;
  }
}

function fixedWindow({ limit, windowMs }: Grant, now: () => number, places: Places): Decide {
  const window = windowMs * 1_000;
  return (key) => {
    const at = now();
    const place = places.of(key);
    const { numbers } = places;
    let end = numbers[place]!;
    let used = numbers[place + 1]!;
    if (end <= at) {
      end = at - (at % window) + window;
      used = 0;
      numbers[place] = end;
    }
    const allowed = used < limit;
    if (allowed) numbers[place + 1] = ++used;
    const left = (end - at) / 1_000;
    return {
      allowed,
      policy: 'default',
      limit,
      remaining: limit - used,
      resetAfter: left,
      retryAfter: allowed ? 0 : left,
      delay: 0,
      at: at / 1_000,
      source: 'store',
    };
  };
}

/** Keeps the instant at which all has refilled. */
function tokenBucket({ limit, windowMs }: Grant, now: () => number, places: Places): Decide {
  const interval = (windowMs * 1_000) / limit;
  const full = interval * limit;
  return (key) => {
    const at = now();
    const place = places.of(key);
    const { numbers } = places;
    let freshAt = Math.max(at, numbers[place]!);
    const allowed = freshAt + interval - at <= full;
    if (allowed) numbers[place] = freshAt += interval;
    return {
      allowed,
      policy: 'default',
      limit,
      remaining: Math.floor((full - (freshAt - at)) / interval),
      resetAfter: (freshAt - at) / 1_000,
      retryAfter: allowed ? 0 : (freshAt + interval - at - full) / 1_000,
      delay: 0,
      at: at / 1_000,
      source: 'store',
    };
  };
}

export const floors: readonly Contender[] = [
  floor('Map and typed array, fixed-window', fixedWindow),
  floor('Map and typed array, token-bucket', tokenBucket),
];
