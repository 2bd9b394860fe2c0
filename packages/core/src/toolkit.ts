/** What packages that belong to Sluice, and stores of others, are built with: checks of options, durations, callbacks, memos. */
export { algorithmNames } from './algorithms/index.js';
export { type Clock, checkClock } from './clock.js';
export { micros, parseDuration } from './duration.js';
export { messageOf, show } from './errors.js';
export { masked, readEntry } from './identity/entry.js';
export { KeyNames } from './identity/key-names.js';
export { checkShare } from './leases/lease-options.js';
export { checkLogger } from './logger.js';
export { abandon } from './maybe-promise.js';
export { Memo } from './memo.js';
export { checkNames, checkOneOf, checkType, nearest } from './options.js';
export { parseDeadline } from './resilience/time-limit.js';
export { parsePattern } from './rules/pattern.js';
export { cleanReading } from './rules/readings.js';
