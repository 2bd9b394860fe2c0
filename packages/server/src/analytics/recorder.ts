import type { Clock } from '@sluice/core';
import type { CountedDecision, TopQuery } from './analytics.js';
import { Counts } from './counts.js';
import { Sketch } from './sketch.js';

/** Microseconds. */
const minuteLength = 60_000_000;

/** What is being counted of a minute. */
export interface Minute {
  /** Minutes since the epoch. */
  readonly minute: number;
  readonly counts: Counts;
  readonly sketches: { readonly [by in TopQuery['by']]: Sketch };
}

/** A Recorder counts decisions into the minute that it is, and hands over minutes that are over. */
export class Recorder {
  readonly #clock: Clock;
  readonly #onEnd: (ended: Minute) => void;
  #current: Minute;
  /** Microseconds. */
  #start = 0;

  /** `onEnd` is given each minute that is over and in which anything was counted. */
  constructor(clock: Clock, onEnd: (ended: Minute) => void) {
    this.#clock = clock;
    this.#onEnd = onEnd;
    this.#current = this.#begin();
  }

  count(decision: CountedDecision): void {
    const now = this.#clock.now();
    // Also where the clock was set back: counts belong to the time that it tells.
    if (now - this.#start >= minuteLength || now < this.#start) this.#end();
    const { counts, sketches } = this.#current;
    counts.count(decision);
    sketches.requests.add(decision.key);
    if (decision.outcome === 'refused') sketches.refused.add(decision.key);
  }

  /** The minute that it is. One that is over by now is handed over before. */
  current(): Minute {
    const now = this.#clock.now();
    if (now - this.#start >= minuteLength || now < this.#start) this.#end();
    return this.#current;
  }

  #end(): void {
    const ended = this.#current;
    this.#current = this.#begin(ended.counts);
    if (ended.sketches.requests.total > 0) this.#onEnd(ended);
  }

  #begin(before?: Counts): Minute {
    const minute = Math.floor(this.#clock.now() / minuteLength);
    this.#start = minute * minuteLength;
    return { minute, counts: new Counts(before), sketches: { requests: new Sketch(), refused: new Sketch() } };
  }
}
