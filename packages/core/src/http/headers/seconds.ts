import type { Decision } from '../../decision.js';

/** The largest Integer of a structured field: 15 digits. RFC 9651, 3.3.1. */
const largest = 999_999_999_999_999;

/** A number as a whole one from 0 that a field can carry; `undefined` for NaN and what is infinite. */
export function integer(value: number): number | undefined {
  if (!Number.isFinite(value)) return undefined;
  return Math.min(Math.max(Math.floor(value), 0), largest);
}

/** Whole seconds, rounded up. */
export function seconds(ms: number): number | undefined {
  return integer(Math.ceil(ms / 1_000));
}

/** Retry-After in whole seconds, rounded up and at least 1; absent when the request can never pass. RFC 9110, 10.2.3. */
export function retryAfterSeconds(decision: Decision): number | undefined {
  const whole = seconds(decision.retryAfter);
  return whole === undefined ? undefined : Math.max(1, whole);
}

/** Seconds until the quota is as fresh as new, or, after a refusal, until the same request would pass. */
export function secondsLeft(decision: Decision): number | undefined {
  return decision.allowed ? seconds(decision.resetAfter) : retryAfterSeconds(decision);
}
