import type { Clock } from '../clock.js';
import type { Decision } from '../decision.js';
import { SluiceError } from '../errors.js';
import type { AbortSignalLike } from './waiting-room.js';

/** How the call of `acquire` ends; `settled` comes first, whichever end it is. */
export interface Outcome {
  resolve(decision: Decision): void;
  reject(error: unknown): void;
  settled(): void;
}

/** A Waiter is one call of `acquire`. It settles once, and holds no timer and no listener after that. */
export class Waiter {
  readonly cost: number;
  readonly maxWait: number;
  settled = false;
  /** What follows a rejection: the place in line is left, or units taken are given back. */
  onReject: () => void = () => {};
  /** What follows when `maxWait` is over. */
  onDeadline: () => void = () => this.rejectHopeless();
  readonly #clock: Clock;
  readonly #entered: number;
  readonly #deadline: number;
  readonly #signal: AbortSignalLike | undefined;
  readonly #outcome: Outcome;
  readonly #onAbort = () => this.reject(this.#signal?.reason);
  #cancelTimer: (() => void) | undefined;

  constructor(clock: Clock, cost: number, maxWait: number, signal: AbortSignalLike | undefined, outcome: Outcome) {
    this.#clock = clock;
    this.cost = cost;
    this.maxWait = maxWait;
    this.#entered = clock.now();
    this.#deadline = this.#entered + maxWait * 1_000;
    this.#signal = signal;
    this.#outcome = outcome;
    signal?.addEventListener('abort', this.#onAbort);
    if (maxWait !== Number.POSITIVE_INFINITY) this.#cancelTimer = clock.after(maxWait, () => this.onDeadline());
  }

  /** Whether `ms` milliseconds from the instant `since` are still within `maxWait`. */
  canWait(ms: number, since = this.#clock.now()): boolean {
    return ms !== Number.POSITIVE_INFINITY && since + ms * 1_000 <= this.#deadline;
  }

  get isOverdue(): boolean {
    return this.#clock.now() >= this.#deadline;
  }

  /** The units are there: from now on only the drain is waited for. */
  cancelDeadline(): void {
    this.#cancelTimer?.();
  }

  resolve(decision: Decision): void {
    if (!this.#settle()) return;
    this.#outcome.resolve(decision);
  }

  reject(error: unknown): void {
    if (!this.#settle()) return;
    this.onReject();
    this.#outcome.reject(error);
  }

  /** `wait` is how many milliseconds it takes from now, where that is known. */
  rejectHopeless(wait?: number): void {
    const waited = (this.#clock.now() - this.#entered) / 1_000;
    const when =
      wait === undefined ? '' : `; they would come ${Math.ceil(waited + wait)} ms after the call at the earliest`;
    this.reject(new SluiceError('MAX_WAIT_EXCEEDED', `No units within the 'maxWait' of ${this.maxWait} ms${when}.`));
  }

  #settle(): boolean {
    if (this.settled) return false;
    this.settled = true;
    this.#cancelTimer?.();
    this.#signal?.removeEventListener('abort', this.#onAbort);
    this.#outcome.settled();
    return true;
  }
}
