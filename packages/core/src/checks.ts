/** What packages that belong to Sluice, and stores of others, check their options and call their callbacks with. */
export { type Clock, checkClock } from './clock.js';
export { micros, parseDuration } from './duration.js';
export { messageOf, show } from './errors.js';
export { checkLogger } from './logger.js';
export { abandon } from './maybe-promise.js';
export { checkNames, checkOneOf, checkType } from './options.js';
export { parseDeadline } from './resilience/time-limit.js';
