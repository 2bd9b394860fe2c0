import type { Clock } from '../clock.js';
import { messageOf, SluiceError } from '../errors.js';
import { abandon } from '../maybe-promise.js';
import { afterPollPhase } from './poll-phase.js';

/** Calls are let through while a circuit is `closed`; `half-open`, a probe finds out whether it can be closed again. */
export type CircuitState = 'closed' | 'open' | 'half-open';

export interface CircuitChange {
  /** Name of the circuit. */
  readonly circuit: string;
  readonly from: CircuitState;
  readonly to: CircuitState;
  /** The failure that opened the circuit, or that of the last probe. */
  readonly error: unknown;
}

export interface CircuitBreakerOptions {
  readonly name: string;
  readonly clock: Clock;
  /** Finds out whether calls would succeed. May take any time, and is not called again while it does. */
  readonly probe: () => PromiseLike<unknown>;
  /** Milliseconds: a probe that takes longer has failed. */
  readonly deadline: number;
  /** What it throws is ignored, and so is what a promise that it returns rejects with. */
  readonly onChange?: ((change: CircuitChange) => unknown) | undefined;
  /** Failures in a row that open the circuit. @default 5 */
  readonly failures?: number;
  /** Milliseconds before the first probe; the pause doubles with each that fails. @default 100 */
  readonly shortest?: number;
  /** Milliseconds between two probes at the most. @default 1_000 */
  readonly longest?: number;
  /** A number in [0, 1), for the jitter. @default Math.random */
  readonly random?: (() => number) | undefined;
}

/** What has swallowed a probe, such as a proxy, would keep the circuit open for ever: after so many ms one more is sent. */
const patience = 30_000;

interface Probe {
  isLate: boolean;
}

/**
 * A CircuitBreaker counts the failures of calls that others make, and says when to make none: no request then waits for
 * something that fails. In the background it probes, one probe at a time, and lets calls through when one succeeds.
 */
export class CircuitBreaker {
  readonly #options: CircuitBreakerOptions;
  readonly #failures: number;
  readonly #shortest: number;
  readonly #longest: number;
  readonly #random: () => number;
  #state: CircuitState = 'closed';
  #failuresInARow = 0;
  #openings = 0;
  /** Microseconds. */
  #heardAt = Number.NEGATIVE_INFINITY;
  #unavailable: SluiceError | undefined;
  #error: unknown;
  /** Milliseconds before the next probe, without jitter. */
  #pause: number;
  /** The one that is waited for. */
  #probe: Probe | undefined;
  #cancelTimer: (() => void) | undefined;
  #stopped = false;

  constructor(options: CircuitBreakerOptions) {
    const { failures = 5, shortest = 100, longest = 1_000, random = Math.random } = options;
    this.#options = options;
    this.#failures = failures;
    this.#shortest = shortest;
    this.#longest = longest;
    this.#random = random;
    this.#pause = shortest;
  }

  get state(): CircuitState {
    return this.#state;
  }

  /** Whether nothing would be forgotten if another breaker took its place. */
  get isFresh(): boolean {
    return this.#state === 'closed' && this.#failuresInARow === 0;
  }

  /** What calls are refused with: one error from the opening of the circuit until it is closed. */
  get unavailable(): SluiceError | undefined {
    return this.#unavailable;
  }

  /** How often the circuit has opened. What was sent before it did says nothing about the time after. */
  get openings(): number {
    return this.#openings;
  }

  /** A call has succeeded. While the circuit is not closed that changes nothing: only a probe closes it. */
  succeeded(): void {
    if (this.#state !== 'closed') return;
    this.#failuresInARow = 0;
    // Not when a probe succeeds: where probes pass and calls still fail, the pauses go on growing.
    this.#pause = this.#shortest;
  }

  /** A call has failed. While the circuit is not closed that changes nothing. */
  failed(error: unknown): void {
    if (this.#stopped || this.#state !== 'closed' || ++this.#failuresInARow < this.#failures) return;
    this.#openings++;
    this.#unavailable = new SluiceError(
      'STORE_UNAVAILABLE',
      `The store is not asked for now: circuit '${this.#options.name}' opened after ${this.#failuresInARow} failures in a ` +
        `row (the last: ${messageOf(error)}). Mend what the 'cause' tells of; the store is asked again once a probe succeeds.`,
      { cause: error },
    );
    this.#open(error);
  }

  /** What was sent at that instant has been answered, in microseconds. That alone is no success: it may be late. */
  heard(sentAt: number): void {
    if (sentAt > this.#heardAt) this.#heardAt = sentAt;
  }

  /** Whether anything that was sent at that instant, or later, has been answered. */
  hasAnsweredSince(instant: number): boolean {
    return this.#heardAt >= instant;
  }

  /** Ends the probes. The state stays as it is. */
  stop(): void {
    this.#stopped = true;
    this.#probe = undefined;
    this.#cancelTimer?.();
  }

  #open(error: unknown): void {
    // At least half of the pause, and a random part of the rest, so that a fleet does not come back at one instant.
    const pause = this.#pause * (0.5 + this.#random() / 2);
    this.#pause = Math.min(this.#pause * 2, this.#longest);
    this.#wait(pause, () => this.#sendProbe());
    this.#change('open', error);
  }

  #close(): void {
    this.#cancelTimer?.();
    this.#failuresInARow = 0;
    this.#unavailable = undefined;
    this.#change('closed', this.#error);
  }

  #sendProbe(): void {
    const probe: Probe = { isLate: false };
    this.#probe = probe;
    this.#wait(this.#options.deadline, () => afterPollPhase(() => this.#overdue(probe)));
    let answer: PromiseLike<unknown>;
    try {
      answer = Promise.resolve(this.#options.probe());
    } catch (error) {
      answer = Promise.reject(error);
    }
    answer.then(
      () => this.#answered(probe),
      (error: unknown) => this.#fail(probe, error),
    );
    this.#change('half-open', this.#error);
  }

  #overdue(probe: Probe): void {
    if (this.#probe !== probe) return;
    probe.isLate = true;
    this.#wait(patience, () => this.#fail(probe, this.#lateness(`has not been answered for ${patience}`)));
  }

  #answered(probe: Probe): void {
    if (this.#probe !== probe) return;
    if (probe.isLate) {
      // Alive again or still slow: soon it will be known.
      this.#pause = this.#shortest;
      this.#fail(probe, this.#lateness(`took longer than the deadline of ${this.#options.deadline}`));
      return;
    }
    this.#probe = undefined;
    this.#close();
  }

  #fail(probe: Probe, error: unknown): void {
    if (this.#probe !== probe) return;
    this.#probe = undefined;
    this.#cancelTimer?.();
    this.#open(error);
  }

  #lateness(what: string): SluiceError {
    return new SluiceError(
      'STORE_TIMEOUT',
      `A probe of circuit '${this.#options.name}' ${what} ms. Look at the load of the store and the network in between.`,
    );
  }

  /** There is one timer at a time, and none while the circuit is closed. */
  #wait(ms: number, run: () => void): void {
    this.#cancelTimer = this.#options.clock.after(ms, run, { background: true });
  }

  #change(to: CircuitState, error: unknown): void {
    const from = this.#state;
    this.#state = to;
    this.#error = error;
    try {
      abandon(this.#options.onChange?.({ circuit: this.#options.name, from, to, error }));
    } catch {
      // Nobody asked for this call, so that nobody could take the error: thrown on, it would end the process or the probes.
    }
  }
}
