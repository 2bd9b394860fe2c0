import { script } from './script.js';

/**
 * Tells the time of the server that has a key.
 *
 * KEYS   the key
 * reply  seconds and microseconds, as texts
 */
export const timeOfServer = script(`
return redis.call('TIME')
`);

/** The microseconds of what TIME has replied. */
export function microsOf([seconds, micros]: readonly unknown[]): number {
  return Number(seconds) * 1_000_000 + Number(micros);
}

/**
 * Begins a script that must change nothing when nobody waits for its answer any more: `time` is the server's, and `late`
 * whether that has passed the fence.
 *
 * ARGV   the fence first, in microseconds of the server's time
 */
export const fence = `
local time = redis.call('TIME')
local late = time[1] * 1000000 + time[2] > tonumber(ARGV[1])
`;
