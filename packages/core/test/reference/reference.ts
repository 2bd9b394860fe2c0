import type { CompiledPolicy, Decision } from '../../src/index.ts';

/** The terms of a policy as integers without bounds. Times are microseconds. */
export interface Terms {
  readonly limit: bigint;
  readonly capacity: bigint;
  readonly window: bigint;
  readonly tick: bigint;
  readonly anchor: 'epoch' | 'first';
}

/**
 * A Reference says what an algorithm means, slowly and in exact numbers. All else follows from `free`, which never
 * shrinks while nobody takes anything.
 */
export interface Reference<S> {
  readonly fresh: S;
  /** Whole units that could be taken at `now`; negative where more is taken than the limit. */
  free(terms: Terms, state: S, now: bigint): bigint;
  take(terms: Terms, state: S, units: bigint, now: bigint): S;
  /** What a refused request leaves behind where refusals count. */
  charge(terms: Terms, state: S, cost: bigint, now: bigint): S;
  giveBack(terms: Terms, state: S, units: bigint, at: bigint | undefined, now: bigint): S;
  /** The state as it counts when the clock shows an earlier time than the state has seen. */
  broughtBack(terms: Terms, state: S, now: bigint): S;
  /** Whether a grant is held until the units before it are gone. */
  readonly delays?: boolean;
}

/** A ReferenceLimiter is one key of one policy. */
export class ReferenceLimiter {
  readonly #reference: Reference<unknown>;
  readonly #policy: CompiledPolicy;
  readonly #terms: Terms;
  #state: unknown;

  constructor(reference: Reference<unknown>, policy: CompiledPolicy) {
    this.#reference = reference;
    this.#policy = policy;
    this.#terms = {
      limit: BigInt(policy.limit),
      capacity: BigInt(policy.capacity),
      window: BigInt(policy.window),
      tick: BigInt(policy.tick),
      anchor: policy.anchor,
    };
    this.#state = reference.fresh;
  }

  consume(cost: number, now: number): Decision {
    return this.#decide(BigInt(cost), BigInt(now), true);
  }

  peek(cost: number, now: number): Decision {
    return this.#decide(BigInt(cost), BigInt(now), false);
  }

  release(units: number, at: number | undefined, now: number): void {
    const instant = at === undefined ? undefined : BigInt(at);
    this.#state = this.#reference.giveBack(this.#terms, this.#state, BigInt(units), instant, BigInt(now));
  }

  #decide(cost: bigint, now: bigint, take: boolean): Decision {
    const reference = this.#reference;
    const terms = this.#terms;
    const { limit, capacity } = terms;
    const before = reference.broughtBack(terms, this.#state, now);
    const allowed = limit > 0n && cost <= reference.free(terms, before, now);

    const isFresh = (state: unknown) => (t: bigint) => reference.free(terms, state, t) === capacity;

    // What is as fresh as new is forgotten before anything is added.
    const known = isFresh(before)(now) ? reference.fresh : before;
    let after = before;
    if (take && allowed && cost > 0n) after = reference.take(terms, known, cost, now);
    if (take && !allowed && cost > 0n && this.#policy.countRefused) {
      after = reference.charge(terms, known, cost, now);
    }
    if (take) this.#state = after;

    const free = reference.free(terms, after, now);
    const never = cost > capacity || limit === 0n;
    const fits = (t: bigint) => reference.free(terms, after, t) >= cost;
    return {
      allowed,
      policy: this.#policy.name,
      limit: this.#policy.limit,
      remaining: free > 0n ? Number(free) : 0,
      resetAfter: milliseconds(firstFrom(now, isFresh(after)) - now),
      retryAfter: allowed ? 0 : never ? Number.POSITIVE_INFINITY : milliseconds(firstFrom(now, fits) - now),
      delay: reference.delays && allowed ? milliseconds(firstFrom(now, isFresh(before)) - now) : 0,
      at: Number(now) / 1_000,
      source: 'store',
    };
  }
}

function milliseconds(micros: bigint): number {
  return Number(micros) / 1_000;
}

/** The first instant from `now` on at which `holds` is true; once true, it stays so. */
function firstFrom(now: bigint, holds: (t: bigint) => boolean): bigint {
  if (holds(now)) return now;
  let step = 1n;
  while (!holds(now + step)) step *= 2n;
  let before = now + step / 2n;
  let then = now + step;
  while (then - before > 1n) {
    const middle = (before + then) / 2n;
    if (holds(middle)) then = middle;
    else before = middle;
  }
  return then;
}

export function least(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}

export function most(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}
