import type { Clock } from '../clock.js';

/** Milliseconds between two reports. */
const interval = 10_000;

/** Reports counts failures, and passes few of them on: a store that is down fails with every request. */
export class Reports {
  readonly #clock: Clock;
  readonly #report: (error: unknown, failures: number) => void;
  #failures = 0;
  #last: number | undefined;

  constructor(clock: Clock, report: (error: unknown, failures: number) => void) {
    this.#clock = clock;
    this.#report = report;
  }

  failure(error: unknown): void {
    this.#failures++;
    const now = this.#clock.now();
    // A clock that was set back must not silence the reports.
    if (this.#last !== undefined && now >= this.#last && now - this.#last < interval * 1_000) return;
    const failures = this.#failures;
    this.#last = now;
    this.#failures = 0;
    this.#report(error, failures);
  }
}
