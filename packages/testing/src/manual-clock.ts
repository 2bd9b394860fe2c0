import type { Clock } from '@sluice/core';

interface Timer {
  readonly at: number;
  readonly run: () => void;
}

/** A ManualClock stands still until a test advances it. Timers run when their moment is passed, in order. */
export class ManualClock implements Clock {
  #now: number;
  readonly #timers = new Set<Timer>();

  /** Starts at `ms` milliseconds since the epoch. */
  constructor(ms = Date.UTC(2026, 0, 1)) {
    this.#now = Math.round(ms * 1_000);
  }

  now(): number {
    return this.#now;
  }

  after(ms: number, run: () => void): () => void {
    const timer = { at: this.#now + Math.round(ms * 1_000), run };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Timers that have not run and were not cancelled. */
  get pending(): number {
    return this.#timers.size;
  }

  /** Lets `ms` milliseconds pass, to the microsecond, and runs what falls due. */
  advance(ms: number): void {
    const end = this.#now + Math.round(ms * 1_000);
    for (let timer = this.#next(end); timer !== undefined; timer = this.#next(end)) this.#fire(timer);
    this.#now = end;
  }

  /** As `advance`, and lets promises settle before the first timer and after each. */
  async pass(ms: number): Promise<void> {
    const end = this.#now + Math.round(ms * 1_000);
    await settled();
    for (let timer = this.#next(end); timer !== undefined; timer = this.#next(end)) {
      this.#fire(timer);
      await settled();
    }
    this.#now = end;
    await settled();
  }

  /** Sets the clock by `ms` milliseconds, back or forth, as an operator would: no timer runs. */
  jump(ms: number): void {
    this.#now += Math.round(ms * 1_000);
  }

  #fire(timer: Timer): void {
    this.#timers.delete(timer);
    this.#now = Math.max(this.#now, timer.at);
    timer.run();
  }

  #next(end: number): Timer | undefined {
    let next: Timer | undefined;
    for (const timer of this.#timers) if (timer.at <= end && (next === undefined || timer.at < next.at)) next = timer;
    return next;
  }
}

/** Every promise that can settle without a timer has settled. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
