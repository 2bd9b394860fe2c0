import type { Decision } from '../decision.js';
import { micros } from '../duration.js';
import type { CompiledPolicy } from '../policy.js';

/**
 * Milliseconds that a waiter who wants `own` units behind others who want `ahead` must wait for one policy at least:
 * a bound that is never above the truth. `decision` is the policy's answer to a peek at `atOnce` units, which are all
 * of theirs together, or the capacity where they are more.
 */
export function leastWait(
  policy: CompiledPolicy,
  decision: Decision,
  atOnce: number,
  ahead: number,
  own: number,
): number {
  const { limit, capacity, tick } = policy;
  const { retryAfter, remaining, delay } = decision;
  const windowMs = policy.window / 1_000;
  const perUnit = windowMs / limit;
  const units = ahead + own;
  // Decisions are rounded up to the tick, and sums of them must not be.
  const rounding = (2 * tick) / 1_000;

  switch (policy.algorithm) {
    case 'penalty':
      return retryAfter;
    case 'token-bucket':
      if (retryAfter > 0) return retryAfter + (units - atOnce) * perUnit - rounding;
      return (units - remaining - 1) * perUnit - rounding;
    case 'leaky-bucket': {
      const drained = retryAfter > 0 ? retryAfter + (capacity - atOnce) * perUnit : delay;
      return drained + ahead * perUnit - rounding;
    }
    case 'fixed-window':
      // After the end of this window, each later one grants the limit at its start.
      return retryAfter > 0 ? retryAfter + Math.floor((units - remaining - 1) / limit) * windowMs : 0;
    case 'sliding-window-log':
      return Math.max(retryAfter, (Math.ceil(units / limit) - 1) * windowMs);
    case 'sliding-window-counter': {
      // Units taken in this window weigh less in the next one than units asked for at once would there.
      const at = micros(decision.at);
      const untilNext = (policy.window - (at % policy.window)) / 1_000;
      return Math.max(Math.min(retryAfter, untilNext), (Math.ceil(units / limit) - 2) * windowMs);
    }
  }
}
