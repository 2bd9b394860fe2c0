import { isPromise } from '../maybe-promise.js';
import type { Hold } from '../reservation.js';
import type { RateLimitOptions, ResponseTest } from './options.js';
import type { ResponseLike } from './reader.js';

/** Settling gives back what a request took, once its response is through and was of the kind that costs nothing. */
export class Settling<R, S> {
  readonly #success: boolean | ResponseTest<R, S>;
  readonly #failure: boolean | ResponseTest<R, S>;
  readonly #isNeeded: boolean;
  readonly #report: (error: unknown) => void;

  /** What judges throw goes to `report`: the response is through, and nobody else could be told. */
  constructor(options: RateLimitOptions<R, S>, report: (error: unknown) => void) {
    this.#success = options.skipSuccessful ?? false;
    this.#failure = options.skipFailed ?? false;
    this.#isNeeded = this.#success !== false || this.#failure !== false;
    this.#report = report;
  }

  /** A client that did not wait for the response has paid. Over HTTP/2, such a response is "finished" all the same. */
  watch(request: R, response: ResponseLike, frameworks: S, hold: Hold): void {
    if (!this.#isNeeded) return;
    response.once('finish', () => {
      if (!response.writableEnded || response.stream?.aborted) return;
      const failed = response.statusCode >= 400;
      this.#judge(this.#success, !failed, request, frameworks, hold);
      this.#judge(this.#failure, failed, request, frameworks, hold);
    });
  }

  #judge(judge: boolean | ResponseTest<R, S>, usual: boolean, request: R, response: S, hold: Hold): void {
    if (typeof judge === 'boolean') {
      if (judge && usual) hold.giveBack('finished');
      return;
    }
    try {
      const verdict = judge(request, response);
      if (isPromise(verdict)) verdict.then((yes) => void (yes && hold.giveBack('finished')), this.#report);
      else if (verdict) hold.giveBack('finished');
    } catch (error) {
      this.#report(error);
    }
  }
}
