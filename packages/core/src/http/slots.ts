import type { Clock } from '../clock.js';
import type { Demand } from '../engine/line.js';
import { isPromise } from '../maybe-promise.js';
import { isMisuse } from '../resilience/failures.js';
import { takeBack } from '../resilience/store-errors.js';
import type { Store } from '../store.js';
import { whenClosed } from './closing.js';
import type { ResponseLike } from './reader.js';

/** Milliseconds after which a store that failed to take a place back is asked again; the last pause is that of all others. */
const pauses = [100, 1_000, 10_000];

/** Slots gives places among the requests at work back. A place that is lost would keep others out until its timeout. */
export class Slots {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #report: (error: unknown) => void;

  constructor(store: Store, clock: Clock, report: (error: unknown) => void) {
    this.#store = store;
    this.#clock = clock;
    this.#report = report;
  }

  /** Gives back what was taken at `at`, when the response has ended or the client has left. */
  freeWhenClosed(response: ResponseLike, slots: readonly Demand[], at: number): void {
    whenClosed(response, () => this.free(slots, at));
  }

  /** Gives back what was taken at `at`; again and again where the store fails, until the places are free by themselves. */
  free(slots: readonly Demand[], at: number): void {
    const longest = Math.max(...slots.map(({ policy }) => policy.windowMs));
    this.#free(slots, at, this.#clock.now() + longest * 1_000, 0);
  }

  /** A store that has taken them back and could not say so is asked again, too: no other place was taken at that instant. */
  #free(slots: readonly Demand[], at: number, until: number, attempt: number): void {
    const again = (error: unknown) => {
      if (attempt === 0) this.#report(error);
      const pause = pauses[attempt] ?? pauses.at(-1)!;
      // A store that was closed takes nothing back any more.
      if (isMisuse(error) || this.#clock.now() + pause * 1_000 >= until) return;
      this.#clock.after(pause, () => this.#free(slots, at, until, attempt + 1), { background: true });
    };
    try {
      const done = takeBack(
        this.#store,
        slots.map((slot) => ({ ...slot, at })),
      );
      if (isPromise(done)) done.then(undefined, again);
    } catch (error) {
      again(error);
    }
  }
}
