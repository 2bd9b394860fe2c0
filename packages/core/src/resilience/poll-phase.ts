// Globals of the runtime, as in clock.ts. Browsers and some others have no setImmediate.
declare const setImmediate: ((run: () => void) => unknown) | undefined;
declare function setTimeout(run: () => void, ms: number): unknown;

/**
 * Calls `run` when everything has been read that lies in the sockets already. A timer that falls due after the event
 * loop was held up runs before they are read: to give up at once would be to take a late process for a late reply.
 */
export function afterPollPhase(run: () => void): void {
  if (typeof setImmediate === 'function') setImmediate(run);
  else setTimeout(run, 0);
}
