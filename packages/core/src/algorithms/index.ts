import type { Algorithm } from './algorithm.js';
import { fixedWindow } from './fixed-window.js';
import { leakyBucket } from './leaky-bucket.js';
import { penalty } from './penalty.js';
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

export const algorithmNames = Object.keys(algorithms) as readonly AlgorithmName[];

/** Penalties are kept and decided on as the five are, but no policy of a user's can name them. */
const all = { ...algorithms, penalty } as const;

/** The algorithm of that name, whatever its state is. */
export function algorithmOf(name: keyof typeof all): Algorithm<unknown> {
  return all[name] as Algorithm<unknown>;
}
