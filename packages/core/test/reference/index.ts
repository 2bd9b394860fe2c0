import type { AlgorithmName, CompiledPolicy } from '../../src/index.ts';
import { leakyBucket, tokenBucket } from './bucket.ts';
import { fixedWindow } from './fixed-window.ts';
import { type Reference, ReferenceLimiter } from './reference.ts';
import { slidingWindowCounter } from './sliding-window-counter.ts';
import { slidingWindowLog } from './sliding-window-log.ts';

const references: Readonly<Record<AlgorithmName, Reference<unknown>>> = {
  'fixed-window': fixedWindow,
  'sliding-window-log': slidingWindowLog,
  'sliding-window-counter': slidingWindowCounter,
  'token-bucket': tokenBucket,
  'leaky-bucket': leakyBucket,
};

export function referenceFor(policy: CompiledPolicy): ReferenceLimiter {
  return new ReferenceLimiter(references[policy.algorithm as AlgorithmName], policy);
}
