import { bucket } from './bucket.js';

/** A bucket of tokens that refills continuously at limit/window; a request takes its cost in tokens. */
export const tokenBucket = bucket(false);
