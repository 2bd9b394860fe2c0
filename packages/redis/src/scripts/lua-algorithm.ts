import type { CompiledPolicy } from '@sluice/core';

/**
 * A LuaAlgorithm is the twin of an algorithm of core, to be read beside it: the same names, the same order, and every
 * field of every decision the same. All its numbers are integers.
 *
 * It declares functions. `name(key, terms, cost, take)` decides, and writes where it takes. It returns whether the
 * cost is granted, the units left, and three instants in microseconds since the epoch: when the key is fresh, when the
 * cost would be granted if it is not (or `NEVER`), and from when on a grant may be used. `name_back(key, terms, units, at)` gives
 * units back. Where units can be leased, `name_lease(key, terms, units, extra, lasts)` takes units that are granted, the
 * `extra` last of them leased for so many microseconds at the most, and returns the instant by which these are spent.
 */
export interface LuaAlgorithm {
  /** The letter with which its terms begin. */
  readonly code: string;
  readonly name: string;
  /** What the functions must know of a policy; the first number is 1 where refused requests are charged too, else 0. */
  terms(policy: CompiledPolicy): string;
  /** `name`, and what the other two need as well. */
  readonly lua: string;
  /** `name_lease`, where units can be leased. */
  readonly lease?: string;
  /** `name_back`. */
  readonly back: string;
}

export function counts(policy: CompiledPolicy): 0 | 1 {
  return policy.countRefused ? 1 : 0;
}
