import type { Charge } from '../charge.js';
import type { Decision, DecisionSource } from '../decision.js';
import type { CompiledPolicy } from '../policy.js';

/** Lets everything pass, knowing nothing. `at` is milliseconds. */
export function open(charges: readonly Charge[], at: number): readonly Decision[] {
  return charges.map(({ policy }) => unknown(policy, true, at, 'open'));
}

/** Refuses everything, knowing nothing. */
export function closed(charges: readonly Charge[], at: number): readonly Decision[] {
  // Where limits refuse the request, nobody need be told that he is blocked or banned, which he may not be.
  const limited = charges.some(({ policy }) => policy.algorithm !== 'penalty');
  return charges.map(({ policy }) => unknown(policy, limited && policy.algorithm === 'penalty', at, 'closed'));
}

/**
 * A decision that knows nothing of the key: it promises no unit beyond this request, and no instant at which all units
 * are back, so that no client paces itself by it. A refusal asks it to come back in a second.
 */
function unknown(policy: CompiledPolicy, allowed: boolean, at: number, source: DecisionSource): Decision {
  const wait = allowed ? 0 : 1_000;
  const { name, limit } = policy;
  return { allowed, policy: name, limit, remaining: 0, resetAfter: wait, retryAfter: wait, delay: 0, at, source };
}
