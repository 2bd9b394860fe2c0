import { bucket } from './bucket.js';

/** A queue that drains evenly at limit/window; a grant carries the delay until the drain reaches it. */
export const leakyBucket = bucket(true);
