import type { Charge } from '../charge.js';
import type { Clock } from '../clock.js';
import type { Decision } from '../decision.js';
import { SluiceError } from '../errors.js';
import type { MaybePromise } from '../maybe-promise.js';
import { afterPollPhase } from '../resilience/poll-phase.js';

/** Whoever waits for one unit. Instants are microseconds. */
export interface Waiter {
  readonly charges: readonly Charge[];
  readonly since: number;
  /** Asks the store for it by itself, or answers for the failure of the call that it waited for. */
  readonly ask: (charges: readonly Charge[], error?: unknown) => MaybePromise<readonly Decision[]>;
  readonly resolve: (answer: MaybePromise<readonly Decision[]>) => void;
  readonly reject: (error: unknown) => void;
}

export function askFor({ ask, charges, resolve, reject }: Waiter, error?: unknown): void {
  try {
    resolve(ask(charges, error));
  } catch (failure) {
    reject(failure);
  }
}

/** A Call is one for a lease, and those who wait for it: the first of them for the longest. */
export class Call {
  readonly sent: number;
  readonly demand: number;
  #waiters: readonly Waiter[];
  #isSettled = false;
  #cancelTimer: (() => void) | undefined;

  constructor(sent: number, waiters: readonly Waiter[]) {
    this.sent = sent;
    this.demand = waiters.length;
    this.#waiters = waiters;
  }

  /** Those who still wait. */
  get waiters(): readonly Waiter[] {
    return this.#waiters;
  }

  /** It has been answered, or has failed. */
  settle(): void {
    this.#isSettled = true;
    this.#cancelTimer?.();
  }

  /** Answers those who have waited for so many microseconds, of whom some waited for another call before. */
  limit(deadline: number, clock: Clock): void {
    const [first] = this.#waiters;
    if (deadline === Number.POSITIVE_INFINITY || first === undefined || first.since === this.sent) return;
    const left = Math.max(0, first.since + deadline - clock.now()) / 1_000;
    const giveUp = () => {
      if (this.#isSettled) return;
      const now = clock.now();
      const overdue = this.#waiters.filter(({ since }) => since + deadline <= now);
      this.#waiters = this.#waiters.slice(overdue.length);
      const error = timeout(deadline / 1_000);
      for (const waiter of overdue) askFor(waiter, error);
      this.limit(deadline, clock);
    };
    this.#cancelTimer = clock.after(left, () => afterPollPhase(giveUp), { background: true });
  }
}

function timeout(ms: number): SluiceError {
  return new SluiceError(
    'STORE_TIMEOUT',
    `The store has not answered within the deadline of ${ms} ms, in two calls one after the other. If it is well but far ` +
      "away, raise 'deadline'; if not, look at its load and the network in between.",
  );
}
