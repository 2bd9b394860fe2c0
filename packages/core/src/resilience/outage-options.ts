import type { Clock } from '../clock.js';
import { checkOneOf } from '../options.js';

/**
 * What becomes of a request when the store fails: it fails too; it passes; it is refused; or this process decides, on
 * from what the store has last said of the key, until the store answers again.
 */
export type StoreErrorMode = 'throw' | 'allow' | 'deny' | 'fallback';

export interface OutageOptions {
  /** Times the fallback, the reports and the decisions that are made without a store. */
  clock: Clock;
  /**
   * Is told of failures: of the first at once, then every 10 s at the most. `failures` counts those since the last
   * report, this one included.
   */
  report(error: unknown, failures: number): void;
  /**
   * Processes that share the store, at the most: each one's fallback grants so large a part of what is left. An integer
   * ≥ 1. @default 1
   */
  instances?: number;
  /** What becomes of a request that asks the fallback for more than its part of the whole capacity. @default 'deny' */
  indivisible?: 'deny' | 'allow';
  /**
   * Whether the store may have lost its counts when it failed so; what is known of them is then put in again.
   * @default unless it only was too slow (`STORE_TIMEOUT`)
   */
  losesCounts?: (error: unknown) => boolean;
}

const modes: readonly StoreErrorMode[] = ['throw', 'allow', 'deny', 'fallback'];

/** @throws SluiceError `INVALID_OPTION` for an unknown mode. */
export function checkStoreErrorMode(mode: unknown): asserts mode is StoreErrorMode {
  checkOneOf(mode, modes, "'onStoreError'");
}
