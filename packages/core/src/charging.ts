import type { CompiledPolicy } from './policy.js';

const chargingOnes = new WeakMap<CompiledPolicy, CompiledPolicy>();

/** The policy as it is for work that is done already: what it cannot grant any more, it charges up to the capacity. */
export function charging(policy: CompiledPolicy): CompiledPolicy {
  let one = chargingOnes.get(policy);
  if (one === undefined) {
    one = { ...policy, countRefused: true };
    chargingOnes.set(policy, one);
  }
  return one;
}
