import type { Clock } from '../clock.js';
import { SluiceError } from '../errors.js';
import { isPromise, type MaybePromise } from '../maybe-promise.js';
import type { CircuitBreaker } from './circuit-breaker.js';
import { isMisuse, isTimeout, isUnusableState } from './failures.js';
import { TimedCall, type TimeLimit } from './time-limit.js';

/** What is known of the connection to a store. */
export interface ConnectionState {
  readonly isReady: boolean;
  /** Whether calls that are made now will be sent: it is ready, or calls wait until it is. */
  readonly isExpected: boolean;
  /** Why it is not ready, as far as it is known. */
  readonly lastError?: unknown;
}

/** What the calls to one store have in common. */
export interface Guard {
  readonly timeLimit: TimeLimit;
  readonly clock: Clock;
  readonly connection: ConnectionState;
  readonly isFailure: (error: unknown) => boolean;
}

/**
 * A GuardedCall is one call to a store. It is answered in time, and tells the circuits that it goes through what came of
 * it. An answer that comes too late is given to `late`, which must not throw; an error that does is dropped.
 */
export class GuardedCall<T> extends TimedCall {
  readonly answer: Promise<T>;
  readonly #guard: Guard;
  readonly #circuits: readonly CircuitBreaker[];
  readonly #openings: number;
  readonly #began: number;
  readonly #late: ((answer: T) => void) | undefined;
  #resolve!: (answer: T) => void;
  #reject!: (error: unknown) => void;
  #isAnswered = false;

  constructor(guard: Guard, circuits: readonly CircuitBreaker[], late?: (answer: T) => void) {
    super();
    this.#guard = guard;
    this.#circuits = circuits;
    this.#openings = openingsOf(circuits);
    this.#began = circuits.length > 1 ? guard.clock.now() : 0;
    this.#late = late;
    this.answer = new Promise<T>((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  make(ask: () => MaybePromise<T>): Promise<T> {
    // Counted from here, so that the time it takes to ask is part of it.
    this.#guard.timeLimit.begin(this);
    try {
      const answer = ask();
      if (!isPromise(answer)) this.#succeed(answer);
      else {
        answer.then(
          (value) => this.#succeed(value),
          (error: unknown) => this.#fail(error),
        );
      }
    } catch (error) {
      this.#fail(error);
    }
    return this.answer;
  }

  giveUp(error: SluiceError): void {
    this.#fail(error);
  }

  #succeed(answer: T): void {
    if (this.#isAnswered) {
      this.#late?.(answer);
      return;
    }
    this.#isAnswered = true;
    this.#guard.timeLimit.end(this);
    const circuits = this.#circuits;
    if (openingsOf(circuits) === this.#openings) for (const circuit of circuits) circuit.succeeded();
    this.#resolve(answer);
  }

  #fail(failure: unknown): void {
    if (this.#isAnswered) return;
    this.#isAnswered = true;
    this.#guard.timeLimit.end(this);
    const { connection } = this.#guard;
    let error = failure;
    try {
      if (isTimeout(failure) && !connection.isReady) error = disconnected(connection);
      if (this.#tellsOfFailure(error)) this.#blame(error);
    } catch (thrown) {
      error = thrown;
    }
    this.#reject(error);
  }

  #tellsOfFailure(error: unknown): boolean {
    return isTimeout(error) || !(isMisuse(error) || isUnusableState(error) || !this.#guard.isFailure(error));
  }

  /**
   * A call to several parts has failed: of the parts that answer nothing within the deadline. Where all of them do, nobody
   * knows of which.
   */
  #blame(error: unknown): void {
    const circuits = this.#circuits;
    const blame = () => {
      if (openingsOf(circuits) !== this.#openings) return;
      const silent = circuits.filter((circuit) => !circuit.hasAnsweredSince(this.#began));
      for (const circuit of silent.length > 0 && circuits.length > 1 ? silent : circuits) circuit.failed(error);
    };
    // When one has failed at once, the answers of the others are still to come.
    if (circuits.length === 1 || isTimeout(error)) blame();
    else this.#guard.timeLimit.afterwards(blame);
  }
}

/** Changes when any of them opens: what was sent before then says nothing about the time after. */
function openingsOf(circuits: readonly CircuitBreaker[]): number {
  if (circuits.length === 1) return circuits[0]!.openings;
  let openings = 0;
  for (const circuit of circuits) openings += circuit.openings;
  return openings;
}

/** A timeout all the same: what was sent before the connection was lost may have been done. */
function disconnected({ lastError }: ConnectionState): SluiceError {
  const text =
    'There is no connection to the store. Look at its address, at the user and the password, and at the errors of its client.';
  return new SluiceError('STORE_TIMEOUT', text, lastError === undefined ? {} : { cause: lastError });
}
