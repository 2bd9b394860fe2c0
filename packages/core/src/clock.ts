import { SluiceError, show } from './errors.js';

/** A Clock tells the time and runs things later. Tests pass one that they advance by hand. */
export interface Clock {
  /** Microseconds since the epoch: a non-negative integer that should never decrease. */
  now(): number;
  /**
   * Calls `run` once, `ms` milliseconds from now, however many. A `background` call does not keep the process alive.
   * The returned function cancels it.
   */
  after(ms: number, run: () => void, options?: { background?: boolean }): () => void;
}

// The few globals of the runtime that core uses. Core has no types of Node or the DOM, so that nothing else slips in.
interface Timer {
  unref?(): void;
}
declare const performance: { readonly timeOrigin: number; now(): number };
declare function setTimeout(run: () => void, ms: number): Timer;
declare function clearTimeout(timer: Timer): void;

/** The longest delay that `setTimeout` takes; beyond it, it fires at once. */
const longestTimer = 2 ** 31 - 1;

const origin = Math.round(performance.timeOrigin * 1_000);

/** The monotonic clock of the process, anchored to the epoch when the process started. */
export const systemClock: Clock = {
  now: () => origin + Math.floor(performance.now() * 1_000),
  after(ms, run, options) {
    const due = systemClock.now() + ms * 1_000;
    let timer: Timer;
    // Also looks at the clock again when the timer fires: a runtime's timers may be early by a part of a millisecond.
    const arm = () => {
      const left = (due - systemClock.now()) / 1_000;
      timer = setTimeout(() => (systemClock.now() < due ? arm() : run()), Math.min(Math.ceil(left), longestTimer));
      if (options?.background) timer.unref?.();
    };
    arm();
    return () => clearTimeout(timer);
  },
};

/** @throws SluiceError `INVALID_OPTION` for what is no clock. */
export function checkClock(clock: Clock, where: string): Clock {
  if (typeof clock?.now === 'function' && typeof clock.after === 'function') return clock;
  throw new SluiceError('INVALID_OPTION', `${where}: 'clock' needs the methods now() and after(); got ${show(clock)}.`);
}
