import type { Overrides } from '../identity/overrides.js';
import type { CompiledPolicy } from '../policy.js';
import { type Limits, limitsOf } from './limits.js';
import type { Line } from './line.js';

/** The limits of single keys, as those of one limiter: under its name, with its ceilings and penalty. */
export class OverriddenLimits {
  readonly #overrides: Overrides;
  readonly #name: string | undefined;
  readonly #context: { readonly block: Line | undefined; readonly ceiling: number | false };
  readonly #known = new WeakMap<readonly CompiledPolicy[], Limits>();

  /** By id, and so one for each set of numbers. */
  readonly #ceilings = new Map<string, CompiledPolicy>();

  constructor(
    overrides: Overrides,
    name: string | undefined,
    context: { readonly block: Line | undefined; readonly ceiling: number | false },
  ) {
    this.#overrides = overrides;
    this.#name = name;
    this.#context = context;
  }

  /** The ceilings of all overrides so far, under which a neighbourhood may have state. */
  get ceilings(): Iterable<CompiledPolicy> {
    return this.#ceilings.values();
  }

  find(key: string): Limits | undefined {
    const policies = this.#overrides.find(key);
    if (policies === undefined) return undefined;
    let limits = this.#known.get(policies);
    if (limits === undefined) {
      limits = limitsOf(
        policies.map((policy) => this.#named(policy)),
        this.#context,
      );
      this.#known.set(policies, limits);
      for (const { policy } of limits.ceilings) this.#ceilings.set(policy.id, policy);
    }
    return limits;
  }

  /** Limiters that share a store and their overrides count apart all the same. */
  #named(policy: CompiledPolicy): CompiledPolicy {
    if (this.#name === undefined) return policy;
    const name = `${this.#name}-${policy.name}`;
    return { ...policy, name, id: `${policy.algorithm}:${name}` };
  }
}
