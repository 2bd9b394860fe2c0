import type { Clock } from '../clock.js';
import { Deadlines } from '../deadlines.js';
import { type Duration, parseDuration } from '../duration.js';
import { SluiceError } from '../errors.js';
import { isPromise, type MaybePromise } from '../maybe-promise.js';
import { afterPollPhase } from './poll-phase.js';

type Reject = (reason: unknown) => void;

const longestDeadline = { ms: 60_000, name: 'a minute' };

/**
 * Reads how long a call may take, in milliseconds.
 * @throws SluiceError `INVALID_WINDOW` for anything but a duration of a minute at the most.
 */
export function parseDeadline(deadline: Duration, where: string): number {
  return parseDuration(deadline, `${where}: 'deadline'`, longestDeadline);
}

/** A TimeLimit is kept by every call made through it, whether what was called answers or not. */
export class TimeLimit {
  readonly #ms: number;
  readonly #deadlines: Deadlines;
  /** Calls whose time is up, and that are given up when what lies in the sockets has been read. */
  #overdue: Reject[] = [];

  constructor(ms: number, clock: Clock) {
    this.#ms = ms;
    this.#deadlines = new Deadlines(clock);
  }

  /**
   * Answers as `ask` does, if that is in time. An answer that comes later is given to `late`, which must not throw; a
   * rejection is dropped then.
   * @throws SluiceError `STORE_TIMEOUT` when the time is up.
   */
  run<T>(ask: () => MaybePromise<T>, late?: (answer: T) => void): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      let isGivenUp = false;
      // Counted from here, so that the time it takes to ask is part of it.
      const callOff = this.#deadlines.after(this.#ms, () =>
        this.#giveUp((error) => {
          isGivenUp = true;
          reject(error);
        }),
      );
      const fail = (error: unknown) => {
        callOff();
        reject(error);
      };
      const succeed = (value: T) => {
        callOff();
        if (isGivenUp) late?.(value);
        else resolve(value);
      };
      try {
        const answer = ask();
        if (isPromise(answer)) answer.then(succeed, fail);
        else succeed(answer);
      } catch (error) {
        fail(error);
      }
    });
  }

  /** Calls `run` when the time of a call that began now would be up. */
  afterwards(run: () => void): void {
    this.#deadlines.after(this.#ms, () => afterPollPhase(run));
  }

  /** One turn of the event loop and one error serve all calls that fall due together. */
  #giveUp(reject: Reject): void {
    if (this.#overdue.push(reject) > 1) return;
    afterPollPhase(() => {
      const rejects = this.#overdue;
      this.#overdue = [];
      const error = timeout(this.#ms);
      for (const reject of rejects) reject(error);
    });
  }
}

function timeout(ms: number): SluiceError {
  return new SluiceError(
    'STORE_TIMEOUT',
    `The store has not answered within the deadline of ${ms} ms. If it is well but far away, raise 'deadline'; if not, ` +
      'look at its load, its slow commands and the network in between.',
  );
}
