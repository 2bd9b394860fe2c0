import type { Charge, Refund } from '../charge.js';
import { type Clock, checkClock, systemClock } from '../clock.js';
import type { Decision } from '../decision.js';
import type { Duration } from '../duration.js';
import { SluiceError } from '../errors.js';
import type { Leased, LeaseRequest } from '../leases/lease.js';
import { abandon, type MaybePromise } from '../maybe-promise.js';
import { checkNames, checkType } from '../options.js';
import type { CompiledPolicy } from '../policy.js';
import { checkStore, type Known, type Store } from '../store.js';
import { CircuitBreaker, type CircuitChange, type CircuitState } from './circuit-breaker.js';
import { Circuits } from './circuits.js';
import { type ConnectionState, type Guard, GuardedCall } from './guarded-call.js';
import { parseDeadline, TimeLimit } from './time-limit.js';

export type { ConnectionState } from './guarded-call.js';

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
  /** There is one where the store has one. A lease that comes too late is never handed out. */
  readonly lease?: (request: LeaseRequest) => Promise<Leased>;
  readonly #store: Store;
  readonly #guard: Guard;
  readonly #circuits: Circuits;
  #closing: Promise<void> | undefined;

  /** @throws SluiceError for options that are unknown, missing or wrong. */
  constructor(store: Store, options: GuardedStoreOptions) {
    checkOptions(store, options);
    const { probe, circuitOf = () => 'store', isFailure = () => true, onChange, clock = systemClock, random } = options;
    const deadline = parseDeadline(options.deadline, 'GuardedStore');
    this.#store = store;
    const timeLimit = new TimeLimit(deadline, clock);
    this.#guard = { timeLimit, clock, connection: options.connection ?? connected, isFailure };
    this.#circuits = new Circuits(
      circuitOf,
      (name) => new CircuitBreaker({ name, clock, probe: () => probe(name), deadline, onChange, random }),
    );
    if (store.lower !== undefined) this.lower = (known) => this.#ask(known, () => store.lower!(known));
    if (store.lease !== undefined) this.lease = (request) => this.#ask([request], () => store.lease!(request));
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
    if (!this.#guard.connection.isExpected) return false;
    for (const { unavailable } of this.#circuits.of(charges)) if (unavailable !== undefined) return false;
    return true;
  }

  /**
   * To be called where a part of the store has answered, in whatever way, to what was sent at that instant, in
   * microseconds of the clock: it is then not to blame for calls to several parts that began no later, and fail.
   */
  heard(circuit: string, sentAt = this.#guard.clock.now()): void {
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

  #ask<T>(
    charges: readonly { readonly key: string }[],
    ask: () => MaybePromise<T>,
    late?: (answer: T) => void,
  ): Promise<T> {
    try {
      if (this.#closing !== undefined) throw new SluiceError('CLOSED', 'This store has been closed.');
      const circuits = this.#circuits.of(charges);
      for (const { unavailable } of circuits) if (unavailable !== undefined) throw unavailable;
      return new GuardedCall(this.#guard, circuits, late).make(ask);
    } catch (error) {
      return Promise.reject(error);
    }
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
