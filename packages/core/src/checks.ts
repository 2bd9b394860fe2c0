/** What packages that belong to Sluice, and stores of others, check their options with. */
export { type Clock, checkClock } from './clock.js';
export { parseDuration } from './duration.js';
export { messageOf, show } from './errors.js';
export { checkNames, checkType } from './options.js';
