import type { Clock } from '../clock.js';
import { Deadlines } from '../deadlines.js';
import { SluiceError } from '../errors.js';
import { isPromise, type MaybePromise } from '../maybe-promise.js';
import { afterPollPhase } from './poll-phase.js';

type Reject = (reason: unknown) => void;

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
   * Answers as `ask` does, if that is in time. An answer that comes later is dropped, rejections too.
   * @throws SluiceError `STORE_TIMEOUT` when the time is up.
   */
  run<T>(ask: () => MaybePromise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      // Counted from here, so that the time it takes to ask is part of it.
      const callOff = this.#deadlines.after(this.#ms, () => this.#giveUp(reject));
      const fail = (error: unknown) => {
        callOff();
        reject(error);
      };
      const succeed = (value: T) => {
        callOff();
        resolve(value);
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
