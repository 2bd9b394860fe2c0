import type { Charge, Refund } from '../charge.js';
import { type Clock, checkClock, systemClock } from '../clock.js';
import type { Decision } from '../decision.js';
import { type Duration, parseDuration } from '../duration.js';
import { SluiceError, show } from '../errors.js';
import type { MaybePromise } from '../maybe-promise.js';
import { checkNames, checkType } from '../options.js';
import type { CompiledPolicy } from '../policy.js';
import { checkStore, type Known, type Store } from '../store.js';
import { CircuitBreaker, type CircuitChange, type CircuitState } from './circuit-breaker.js';
import { Circuits } from './circuits.js';
import { isMisuse } from './misuse.js';
import { TimeLimit } from './time-limit.js';

export interface GuardedStoreOptions {
  /** Every call is answered within this time, at most a minute. */
  deadline: Duration;
  /** Finds out, while a circuit is open, whether calls would succeed again. One that never ends is repeated after 30 s. */
  probe: (circuit: string) => PromiseLike<unknown>;
  /** Names the part of the store that keeps a key, such as a node of a cluster: parts fail by themselves. @default one, `'store'` */
  circuitOf?: ((key: string) => string) | undefined;
  /**
   * Whether an error of the store tells of its health. A poisoned key does not; a call that fails so counts neither as a
   * failure nor as a success. Timeouts always do, and wrong use never does. @default all do
   */
  isFailure?: ((error: unknown) => boolean) | undefined;
  /** Is told of every change of a circuit's state. What it throws is ignored. */
  onChange?: ((change: CircuitChange) => void) | undefined;
  /** Times the deadline and the probes. @default the system clock */
  clock?: Clock | undefined;
  /** A number in [0, 1), for the jitter of the probes. @default Math.random */
  random?: (() => number) | undefined;
}

/** Milliseconds. */
const longestDeadline = 60_000;

const names = ['deadline', 'probe', 'circuitOf', 'isFailure', 'onChange', 'clock', 'random'];

/**
 * A GuardedStore answers every call in time, whatever the store behind it does: with the store's answer, or with an
 * error. After a few failures in a row it no longer asks, until a probe in the background has succeeded.
 *
 * Its methods reject with a SluiceError: `STORE_TIMEOUT` when the deadline has passed, and it is then unknown whether
 * the store has done what was asked; `STORE_UNAVAILABLE` when it was not asked, with the failure that led to this as the
 * `cause`; `CLOSED` after `close`. Errors of the store itself pass through.
 */
export class GuardedStore implements Store {
  /** There is one where the store has one. */
  readonly lower?: (known: readonly Known[]) => Promise<void>;
  readonly #store: Store;
  readonly #isFailure: (error: unknown) => boolean;
  readonly #timeLimit: TimeLimit;
  readonly #circuits: Circuits;
  #closing: Promise<void> | undefined;

  /** @throws SluiceError for options that are unknown, missing or wrong. */
  constructor(store: Store, options: GuardedStoreOptions) {
    checkOptions(store, options);
    const { probe, circuitOf = () => 'store', isFailure = () => true, onChange, clock = systemClock, random } = options;
    const deadline = parseDeadline(options.deadline);
    this.#store = store;
    this.#isFailure = isFailure;
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
    return this.#ask(charges, () => this.#store.consume(charges));
  }

  peek(charges: readonly Charge[]): Promise<readonly Decision[]> {
    return this.#ask(charges, () => this.#store.peek(charges));
  }

  release(refunds: readonly Refund[]): Promise<void> {
    return this.#ask(refunds, () => this.#store.release(refunds));
  }

  reset(key: string, policies: readonly CompiledPolicy[]): Promise<void> {
    return this.#ask([{ key }], () => this.#store.reset(key, policies));
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

  async #ask<T>(charges: readonly { readonly key: string }[], ask: () => MaybePromise<T>): Promise<T> {
    if (this.#closing !== undefined) throw new SluiceError('CLOSED', 'This store has been closed.');
    const circuits = this.#circuits.of(charges);
    for (const { unavailable } of circuits) if (unavailable !== undefined) throw unavailable;
    const openings = openingsOf(circuits);
    try {
      const answer = await this.#timeLimit.run(ask);
      if (openingsOf(circuits) === openings) for (const circuit of circuits) circuit.succeeded();
      return answer;
    } catch (error) {
      if (openingsOf(circuits) === openings && this.#tellsOfFailure(error)) {
        for (const circuit of circuits) circuit.failed(error);
      }
      throw error;
    }
  }

  #tellsOfFailure(error: unknown): boolean {
    if (error instanceof SluiceError && error.code === 'STORE_TIMEOUT') return true;
    return !isMisuse(error) && this.#isFailure(error);
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

function parseDeadline(deadline: Duration): number {
  const ms = parseDuration(deadline, "GuardedStore: 'deadline'");
  if (ms <= longestDeadline) return ms;
  throw new SluiceError(
    'INVALID_OPTION',
    `GuardedStore: 'deadline' must be a minute at the most; got ${show(deadline)}. 50 ms suit a store nearby.`,
  );
}
