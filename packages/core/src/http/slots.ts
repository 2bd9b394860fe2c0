import type { Clock } from '../clock.js';
import type { Demand } from '../engine/line.js';
import { isPromise } from '../maybe-promise.js';
import { takeBack } from '../resilience/store-errors.js';
import type { Store } from '../store.js';
import { whenClosed } from './closing.js';
import type { ResponseLike } from './reader.js';

/** Milliseconds after which a store that failed to take a place back is asked again. */
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

  free(slots: readonly Demand[], at: number, attempt = 0): void {
    const again = (error: unknown) => {
      if (attempt === 0) this.#report(error);
      const pause = pauses[attempt];
      if (pause !== undefined) this.#clock.after(pause, () => this.free(slots, at, attempt + 1), { background: true });
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
