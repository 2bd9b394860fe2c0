import { gcd, largestProduct } from './arithmetic.js';
import type { AlgorithmName } from './index.js';

/** Resolution is how finely a policy counts time and units; see the fields of the same names in CompiledPolicy. */
export interface Resolution {
  readonly window: number;
  readonly tick: number;
  readonly unit: number;
  readonly rate: number;
}

/**
 * Finds the finest tick at which every product of the algorithm stays within 2^52.
 *
 * That is one microsecond for all but huge limits over long windows. A tick that does not divide the window makes the
 * window longer by less than a tick, never shorter, so that no coarse tick grants more than the contract.
 */
export function resolution(
  algorithm: AlgorithmName,
  limit: number,
  capacity: number,
  windowMicros: number,
): Resolution {
  for (let tick = 1; ; tick *= 10) {
    const ticks = Math.ceil(windowMicros / tick);
    const divisor = gcd(limit, ticks);
    const unit = ticks / divisor;
    const product =
      algorithm === 'sliding-window-counter'
        ? limit * ticks
        : algorithm === 'token-bucket' || algorithm === 'leaky-bucket'
          ? capacity * unit
          : 0;
    if (product <= largestProduct) return { window: ticks * tick, tick, unit, rate: limit / divisor };
  }
}
