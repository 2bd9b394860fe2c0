import type { Subject } from '../charge.js';
import type { Decision } from '../decision.js';
import type { CompiledPolicy } from '../policy.js';

/** A LeaseRequest asks a store for units of a key in advance, and for those that callers wait for. */
export interface LeaseRequest extends Subject {
  /** Units that callers wait for: taken as far as there are any, as if each had asked for one. */
  readonly demand: number;
  /** Units to hand out later, beyond those: at most one in `share` of what is left then. */
  readonly extra: number;
  /** An integer ≥ 1. */
  readonly share: number;
}

/** What a store has handed out in advance. */
export interface Leased {
  /**
   * Units taken, `demand + extra` at the most. The first `demand` of them are decided by the store at this instant; the
   * rest are the lease.
   */
  readonly units: number;
  /** Milliseconds, from the moment of asking, in which the rest may be handed out; 0 where there is none. */
  readonly lasts: number;
  /** What the store says of the key after that: of one more unit, had it been asked for. */
  readonly decision: Decision;
}

/** Milliseconds that a lease lasts at the most, and at the least: a shorter one would be over when it arrives. */
const longest = 1_000;
const shortest = 5;

/** A lease lasts so small a part of the time in which all units of a policy come back. */
const part = 100;

/** Milliseconds for which units of a policy may be leased; 0 where they cannot be. */
export function leaseTime({ algorithm, limit, capacity, windowMs, countRefused, borrowed }: CompiledPolicy): number {
  if (countRefused || borrowed || limit === 0) return 0;
  let refill: number;
  if (algorithm === 'token-bucket') refill = (capacity / limit) * windowMs;
  else if (algorithm === 'fixed-window' || algorithm === 'sliding-window-counter') refill = windowMs;
  else return 0;
  const time = Math.min(longest, Math.floor((refill * 1_000) / part) / 1_000);
  return time < shortest ? 0 : time;
}
