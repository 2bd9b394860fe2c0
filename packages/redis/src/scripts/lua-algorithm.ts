import type { CompiledPolicy } from '@sluice/core';

/**
 * A LuaAlgorithm is the twin of an algorithm of core, to be read beside it: the same names, the same order, and every
 * field of every decision the same. All its numbers are integers.
 *
 * It declares functions. `name(key, terms, cost, take)` decides, and writes where it takes. It returns whether the
 * cost is granted, the units left, and three instants in microseconds since the epoch: when the key is fresh, when the
 * cost would be granted if it is not (or `NEVER`), and from when on a grant may be used. `name_back(key, terms, units, at)` gives
 * units back. Where units can be leased, `name_lease(key, terms, units, extra, lasts)` takes units that are granted, the
 * `extra` last of them leased for so many microseconds at the most, and returns the instant by which these are spent, the
 * units left, and when the key is fresh.
 */
export interface LuaAlgorithm {
  /** The letter with which its terms begin. */
  readonly code: string;
  readonly name: string;
  /** What the functions must know of a policy; the first number is 1 where refused requests are charged too, else 0. */
  terms(policy: CompiledPolicy): string;
  /** What the numbers of the terms are called in `plain`. */
  readonly names?: readonly string[];
  /**
   * The statements of `name`, where one text under the key is the whole state. They know the `state`, `key`, `cost`, `take`
   * and what the terms are, and say what is `allowed`, what is `left`, and the instants `fresh`, `retry` and `from`. In the
   * script for one charge they stand by themselves: to set up functions takes a server longer than to decide.
   */
  readonly plain?: string;
  /** Whether the statements can decide on the state; elsewhere `name_leased` does. @default they can */
  readonly isPlain?: string;
  /** What the statements and the functions use; and `name`, where there are no statements. */
  readonly functions?: string;
  /** `name_lease`, where units can be leased. */
  readonly lease?: string;
  /** `name_back`. */
  readonly back: string;
}

export function counts(policy: CompiledPolicy): 0 | 1 {
  return policy.countRefused ? 1 : 0;
}
