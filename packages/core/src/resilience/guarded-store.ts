import type { Charge, Refund } from '../charge.js';
import { type Clock, checkClock, systemClock } from '../clock.js';
import type { Decision } from '../decision.js';
import type { Duration } from '../duration.js';
import { SluiceError } from '../errors.js';
import { abandon, type MaybePromise } from '../maybe-promise.js';
import { checkNames, checkType } from '../options.js';
import type { CompiledPolicy } from '../policy.js';
import { checkStore, type Known, type Store } from '../store.js';
import { CircuitBreaker, type CircuitChange, type CircuitState } from './circuit-breaker.js';
import { Circuits } from './circuits.js';
import { isMisuse, isTimeout, isUnusableState } from './failures.js';
import { parseDeadline, TimeLimit } from './time-limit.js';

/** What a GuardedStore wants to know of the connection to a store. */
export interface ConnectionState {
  readonly isReady: boolean;
  /** Whether calls that are made now will be sent: it is ready, or calls wait until it is. */
  readonly isExpected: boolean;
  /** Why it is not ready, as far as it is known. */
  readonly lastError?: unknown;
}

const connected: ConnectionState = { isReady: true, isExpected: true };

export interface GuardedStoreOptions {
  /** Every call is answered within this time, at most a minute. */
  deadline: Duration;
  /** Finds out, while a circuit is open, whether calls would succeed again. One that never ends is repeated after 30 s. */
  probe: (circuit: string) => PromiseLike<unknown>;
  /** Names the part of the store that keeps a key, such as a node of a cluster: parts fail by themselves. @default one, `'store'` */
  circuitOf?: ((key: string) => string) | undefined;
  /**
   * Whether an error of the store tells of its health; a call that fails otherwise counts neither as a failure nor as a
   * success. Timeouts always do; wrong use and a key whose state cannot be used (`UNUSABLE_STATE`) never do. @default all others do
   */
  isFailure?: ((error: unknown) => boolean) | undefined;
  /** How the store is connected to. @default always */
  connection?: ConnectionState | undefined;
  /**
   * Is told of every change of a circuit's state. What it throws is ignored, and so is what a promise that it returns
   * rejects with.
   */
  onChange?: ((change: CircuitChange) => unknown) | undefined;
  /** Times the deadline and the probes. @default the system clock */
  clock?: Clock | undefined;
  /** A number in [0, 1), for the jitter of the probes. @default Math.random */
  random?: (() => number) | undefined;
}

const names = ['deadline', 'probe', 'circuitOf', 'isFailure', 'connection', 'onChange', 'clock', 'random'];

/**
 * A GuardedStore answers every call in time, whatever the store behind it does: with the store's answer, or with an
 * error. After a few failures in a row it no longer asks, until a probe in the background has succeeded.
 *
 * Its methods reject with a SluiceError: `STORE_TIMEOUT` when the deadline has passed, and it is then unknown whether
 * the store has done what was asked; `STORE_UNAVAILABLE` when it was not asked, with the failure that led to this as the
 * `cause`; `CLOSED` after `close`. Errors of the store itself pass through.
 *
 * Borrowed units that the store grants too late would never be given back by who asked for them: they are at once.
 */
export class GuardedStore implements Store {
  /** There is one where the store has one. */
  readonly lower?: (known: readonly Known[]) => Promise<void>;
  readonly #store: Store;
  readonly #isFailure: (error: unknown) => boolean;
  readonly #connection: ConnectionState;
  readonly #clock: Clock;
  readonly #timeLimit: TimeLimit;
  readonly #circuits: Circuits;
  #closing: Promise<void> | undefined;

  /** @throws SluiceError for options that are unknown, missing or wrong. */
  constructor(store: Store, options: GuardedStoreOptions) {
    checkOptions(store, options);
    const { probe, circuitOf = () => 'store', isFailure = () => true, onChange, clock = systemClock, random } = options;
    const deadline = parseDeadline(options.deadline, 'GuardedStore');
    this.#store = store;
    this.#isFailure = isFailure;
    this.#connection = options.connection ?? connected;
    this.#clock = clock;
    this.#timeLimit = new TimeLimit(deadline, clock);
    this.#circuits = new Circuits(
      circuitOf,
      (name) => new CircuitBreaker({ name, clock, probe: () => probe(name), deadline, onChange, random }),
    );
    if (store.lower !== undefined) this.lower = (known) => this.#ask(known, () => store.lower!(known));
  }

  /** The states of the circuits by name, as they are now. A circuit is there once a call has gone through it. */
  get states(): ReadonlyMap<string, CircuitState> {
    return this.#circuits.states;
  }

  consume(charges: readonly Charge[]): Promise<readonly Decision[]> {
    return this.#ask(
      charges,
      () => (charges.length === 0 ? [] : this.#store.consume(charges)),
      (decisions) => this.#giveBackLate(charges, decisions),
    );
  }

  peek(charges: readonly Charge[]): Promise<readonly Decision[]> {
    return this.#ask(charges, () => (charges.length === 0 ? [] : this.#store.peek(charges)));
  }

  release(refunds: readonly Refund[]): Promise<void> {
    return this.#ask(refunds, () => (refunds.length === 0 ? undefined : this.#store.release(refunds)));
  }

  reset(key: string, policies: readonly CompiledPolicy[]): Promise<void> {
    return this.#ask([{ key }], () => this.#store.reset(key, policies));
  }

  isReachable(charges: readonly { readonly key: string }[]): boolean {
    return (
      this.#connection.isExpected && this.#circuits.of(charges).every(({ unavailable }) => unavailable === undefined)
    );
  }

  /**
   * To be called where a part of the store has answered, in whatever way, to what was sent at that instant, in
   * microseconds of the clock: it is then not to blame for calls to several parts that began no later, and fail.
   */
  heard(circuit: string, sentAt = this.#clock.now()): void {
    this.#circuits.get(circuit)?.heard(sentAt);
  }

  check(policy: CompiledPolicy): void {
    this.#store.check?.(policy);
  }

  /** Ends the probes and closes the store, for which there is no deadline. Calls in flight are answered as ever. */
  close(): Promise<void> {
    this.#closing ??= (async () => {
      this.#circuits.stop();
      await this.#store.close?.();
    })();
    return this.#closing;
  }

  async #ask<T>(
    charges: readonly { readonly key: string }[],
    ask: () => MaybePromise<T>,
    late?: (answer: T) => void,
  ): Promise<T> {
    if (this.#closing !== undefined) throw new SluiceError('CLOSED', 'This store has been closed.');
    const circuits = this.#circuits.of(charges);
    for (const { unavailable } of circuits) if (unavailable !== undefined) throw unavailable;
    const openings = openingsOf(circuits);
    const began = circuits.length > 1 ? this.#clock.now() : 0;
    try {
      const answer = await this.#timeLimit.run(ask, late);
      if (openingsOf(circuits) === openings) for (const circuit of circuits) circuit.succeeded();
      return answer;
    } catch (failure) {
      const error = isTimeout(failure) && !this.#connection.isReady ? disconnected(this.#connection) : failure;
      if (this.#tellsOfFailure(error)) {
        if (circuits.length === 1) {
          if (openingsOf(circuits) === openings) circuits[0]!.failed(error);
        } else this.#failed(circuits, openings, began, error);
      }
      throw error;
    }
  }

  /**
   * A call to several parts has failed: of the parts that answer nothing within the deadline. Where all of them do, nobody
   * knows of which.
   */
  #failed(circuits: readonly CircuitBreaker[], openings: number, began: number, error: unknown): void {
    const blame = () => {
      if (openingsOf(circuits) !== openings) return;
      const silent = circuits.filter((circuit) => !circuit.hasAnsweredSince(began));
      for (const circuit of silent.length > 0 ? silent : circuits) circuit.failed(error);
    };
    // When one has failed at once, the answers of the others are still to come.
    if (isTimeout(error)) blame();
    else this.#timeLimit.afterwards(blame);
  }

  /** What else was granted stays charged: it may have been answered for meanwhile, and a limit errs on the safe side. */
  #giveBackLate(charges: readonly Charge[], decisions: readonly Decision[]): void {
    try {
      if (!decisions.every(({ allowed }) => allowed)) return;
      const refunds: Refund[] = [];
      for (const [i, charge] of charges.entries()) {
        if (charge.policy.borrowed && charge.cost > 0) refunds.push({ ...charge, at: decisions[i]!.at });
      }
      if (refunds.length > 0) abandon(this.#store.release(refunds));
    } catch {
      // Nobody waits for this: what a store that fails does not take back is free again after its window.
    }
  }

  #tellsOfFailure(error: unknown): boolean {
    return isTimeout(error) || !(isMisuse(error) || isUnusableState(error) || !this.#isFailure(error));
  }
}

/** Changes when any of them opens: what was sent before then says nothing about the time after. */
function openingsOf(circuits: readonly CircuitBreaker[]): number {
  let openings = 0;
  for (const circuit of circuits) openings += circuit.openings;
  return openings;
}

function checkOptions(store: Store, options: GuardedStoreOptions): void {
  checkStore(store, 'GuardedStore');
  checkNames(options, names, 'GuardedStore', "{ deadline: '50ms', probe: () => redis.ping() }");
  if (options.probe === undefined) {
    throw new SluiceError(
      'INVALID_OPTION',
      "GuardedStore: 'probe' is missing. Without one the store would never be asked again: probe: () => redis.ping().",
    );
  }
  for (const name of ['probe', 'circuitOf', 'isFailure', 'onChange', 'random']) {
    checkType(options, name, 'function', 'GuardedStore');
  }
  if (options.clock !== undefined) checkClock(options.clock, 'GuardedStore');
}

/** A timeout all the same: what was sent before the connection was lost may have been done. */
function disconnected({ lastError }: ConnectionState): SluiceError {
  const text =
    'There is no connection to the store. Look at its address, at the user and the password, and at the errors of its client.';
  return new SluiceError('STORE_TIMEOUT', text, lastError === undefined ? {} : { cause: lastError });
}
