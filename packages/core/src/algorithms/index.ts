import type { Algorithm } from './algorithm.js';
import { fixedWindow } from './fixed-window.js';
import { leakyBucket } from './leaky-bucket.js';
import { slidingWindowCounter } from './sliding-window-counter.js';
import { slidingWindowLog } from './sliding-window-log.js';
import { tokenBucket } from './token-bucket.js';

/** The five algorithms, by the names that policies use. */
export const algorithms = {
  'fixed-window': fixedWindow,
  'sliding-window-log': slidingWindowLog,
  'sliding-window-counter': slidingWindowCounter,
  'token-bucket': tokenBucket,
  'leaky-bucket': leakyBucket,
} as const;

export type AlgorithmName = keyof typeof algorithms;

/** The algorithm of that name, whatever its state is. */
export function algorithmOf(name: AlgorithmName): Algorithm<unknown> {
  return algorithms[name] as Algorithm<unknown>;
}
