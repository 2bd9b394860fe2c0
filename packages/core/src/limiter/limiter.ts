import type { AlgorithmName } from '../algorithms/index.js';
import { checkCost, checkKey, type Refund, refundOfHeld } from '../charge.js';
import { claim } from '../claims.js';
import { type Clock, checkClock, systemClock } from '../clock.js';
import { Deadlines } from '../deadlines.js';
import { combine, type Decision, type DecisionEvent } from '../decision.js';
import { parseDuration } from '../duration.js';
import { SluiceError, show } from '../errors.js';
import { isPromise, type MaybePromise } from '../maybe-promise.js';
import { MemoryStore } from '../memory/memory-store.js';
import { checkNames, checkType } from '../options.js';
import { type CompiledPolicy, checkAlgorithm, compilePolicies, type PolicyInput } from '../policy.js';
import { type Lender, LimiterReservation, type Reservation, type ReserveOptions } from '../reservation.js';
import { checkStore, isSyncStore, type Store, type SyncStore } from '../store.js';
import { type AcquireOptions, WaitingRoom } from './waiting-room.js';

export interface LimiterOptions {
  /** One policy or several; of several, all grant or none is charged. */
  policies: PolicyInput | readonly PolicyInput[];
  /** The algorithm of policies that name none. @default 'sliding-window-counter' */
  algorithm?: AlgorithmName;
  /** @default a MemoryStore of its own */
  store?: Store;
  /** Times the waits of `acquire`, the expiry of reservations, and the default store. @default systemClock */
  clock?: Clock;
  /** Observes every decision, and should be quick. If it throws, the request fails and its units stay taken. */
  onDecision?: (event: DecisionEvent) => void;
}

/** A Limiter grants units to keys, as its policies allow. */
export interface Limiter {
  /** Takes `cost` units from every policy, or none. */
  consume(key: string, cost?: number): Promise<Decision>;
  /** Answers as `consume` would, and takes nothing. */
  peek(key: string, cost?: number): Promise<Decision>;
  /**
   * Gives units back. With the decision that granted them, window algorithms give them back only to the window they
   * were taken from, and buckets only what has not refilled since.
   */
  release(key: string, cost?: number, granted?: Decision): Promise<void>;
  /** Forgets what the key has taken. */
  reset(key: string): Promise<void>;
  /**
   * Waits for units, first come first served among those who wait for the same key in this process, and without
   * polling. With a leaky bucket it also waits for the drain.
   * @throws SluiceError `NEVER_GRANTED` at once for a cost above the capacity; `MAX_WAIT_EXCEEDED` as soon as it is
   * clear that `maxWait` cannot be met, given those ahead; `CLOSED`. The signal's reason, when it aborts.
   */
  acquire(key: string, options?: AcquireOptions): Promise<Decision>;
  /**
   * Takes units as `consume` does, for work whose outcome or cost is not known yet: a login that may succeed, a
   * language model's answer. `commit` then settles what it has cost, and `cancel` gives the units back.
   */
  reserve(key: string, cost?: number, options?: ReserveOptions): Promise<Reservation>;
  /** Turns away all who wait, lets reservations expire no more, and closes the store if it is the limiter's own. */
  close(): Promise<void>;
}

/** A SyncLimiter can answer at once, since its store can. */
export interface SyncLimiter extends Limiter {
  /** As `consume`, without a promise. */
  consumeSync(key: string, cost?: number): Decision;
}

const known = ['policies', 'algorithm', 'store', 'clock', 'onDecision'] as const;

/**
 * Creates a limiter.
 * @throws SluiceError for options that cannot work, with the remedy.
 */
export function createLimiter(options: LimiterOptions & { store?: SyncStore }): SyncLimiter;
export function createLimiter(options: LimiterOptions): Limiter;
export function createLimiter(options: LimiterOptions): Limiter {
  return new StoreLimiter(options);
}

interface Single {
  readonly store: Required<Pick<SyncStore, 'consumeOne'>>;
  readonly policy: CompiledPolicy;
}

function singleOf(store: Store, policies: readonly CompiledPolicy[]): Single | undefined {
  if (policies.length !== 1 || !isSyncStore(store) || store.consumeOne === undefined) return undefined;
  return { store: store as Single['store'], policy: policies[0]! };
}

class StoreLimiter implements SyncLimiter {
  readonly #policies: readonly CompiledPolicy[];
  readonly #store: Store;
  /** Where there is one policy, and a store that takes single charges. */
  readonly #single: Single | undefined;
  readonly #ownsStore: boolean;
  readonly #onDecision: ((event: DecisionEvent) => void) | undefined;
  readonly #waiting: WaitingRoom;
  readonly #deadlines: Deadlines;
  readonly #lender: Lender;
  readonly #unclaim: () => void;
  #closed = false;

  constructor(options: LimiterOptions) {
    checkNames(options, known, 'createLimiter', "createLimiter({ policies: '100/1m' })");
    const { policies, algorithm, clock = systemClock, store } = options;
    if (algorithm !== undefined) checkAlgorithm(algorithm, 'createLimiter');
    checkType(options, 'onDecision', 'function', 'createLimiter');
    checkClock(clock, 'createLimiter');
    if (store !== undefined) checkStore(store, 'createLimiter');
    if (policies === undefined) {
      throw new SluiceError(
        'INVALID_OPTION',
        "createLimiter needs policies, like createLimiter({ policies: '100/1m' }).",
      );
    }
    this.#policies = compilePolicies(Array.isArray(policies) ? policies : [policies], 'policies', { algorithm });
    this.#store = store ?? new MemoryStore({ clock });
    this.#single = singleOf(this.#store, this.#policies);
    this.#ownsStore = store === undefined;
    this.#unclaim = claim(this.#store, this.#policies, 'createLimiter');
    this.#onDecision = options.onDecision;
    this.#waiting = new WaitingRoom({
      policies: this.#policies,
      clock,
      consume: (key, cost) => this.#consume(key, cost),
      peek: (key, cost) => this.#peek(key, cost),
      release: (key, cost, at) =>
        this.#store.release(this.#charges(key, cost).map((charge) => refundOfHeld(charge, at))),
    });
    this.#deadlines = new Deadlines(clock);
    this.#lender = {
      store: this.#store,
      clock,
      deadlines: this.#deadlines,
      checkOpen: () => this.#checkOpen(),
      peek: (key, cost) => this.#peek(key, cost),
      tell: (decision, key, cost) => this.#tell(decision, key, cost),
      unitsReturned: (key) => this.#waiting.look(key),
    };
  }

  async consume(key: string, cost = 1): Promise<Decision> {
    return this.#consume(key, cost);
  }

  consumeSync(key: string, cost = 1): Decision {
    if (!isSyncStore(this.#store)) {
      throw new SluiceError('ASYNC_STORE', 'consumeSync needs a store that answers at once; use consume instead.');
    }
    const decision = this.#consume(key, cost);
    if (!isPromise(decision)) return decision;
    decision.then(undefined, () => {});
    throw new SluiceError('INVALID_OPTION', "consumeSync cannot wait for an asynchronous 'onDecision'.");
  }

  async peek(key: string, cost = 1): Promise<Decision> {
    return this.#peek(key, cost);
  }

  async release(key: string, cost = 1, granted?: Decision): Promise<void> {
    this.#check(key, cost);
    await this.#store.release(this.#charges(key, cost, granted?.at));
    this.#waiting.look(key);
  }

  async reset(key: string): Promise<void> {
    this.#check(key, 0);
    await this.#store.reset(key, this.#policies);
    this.#waiting.look(key);
  }

  async acquire(key: string, options: AcquireOptions = {}): Promise<Decision> {
    checkNames(options, ['cost', 'signal', 'maxWait'], 'acquire');
    const { cost = 1, maxWait = Number.POSITIVE_INFINITY } = options;
    this.#check(key, cost);
    if (typeof maxWait !== 'number' || !(maxWait >= 0)) {
      throw new SluiceError('INVALID_OPTION', `acquire: 'maxWait' must be milliseconds ≥ 0; got ${show(maxWait)}.`);
    }
    const { signal } = options;
    if (signal !== undefined && typeof signal?.addEventListener !== 'function') {
      throw new SluiceError('INVALID_OPTION', `acquire: 'signal' must be an AbortSignal; got ${show(signal)}.`);
    }
    return this.#waiting.enter(key, cost, maxWait, signal);
  }

  async reserve(key: string, cost = 1, options: ReserveOptions = {}): Promise<Reservation> {
    checkNames(options, ['expiresIn'], 'reserve', "reserve(key, cost, { expiresIn: '1m' })");
    const { expiresIn = 60_000 } = options;
    const expiry = parseDuration(expiresIn, "reserve: 'expiresIn'");
    const decision = await this.#consume(key, cost);
    return new LimiterReservation(this.#lender, decision, this.#charges(key, cost), expiry);
  }

  async close(): Promise<void> {
    if (!this.#closed) this.#unclaim();
    this.#closed = true;
    this.#waiting.close();
    this.#deadlines.close();
    if (this.#ownsStore) await this.#store.close?.();
  }

  #consume(key: string, cost: number): MaybePromise<Decision> {
    this.#check(key, cost);
    if (this.#single !== undefined) {
      const { store, policy } = this.#single;
      return this.#tell(store.consumeOne(policy, key, cost), key, cost);
    }
    const answer = this.#store.consume(this.#charges(key, cost));
    if (isPromise(answer)) return answer.then((decisions) => this.#tell(combine(decisions), key, cost));
    return this.#tell(combine(answer), key, cost);
  }

  #tell(decision: Decision, key: string, cost: number): MaybePromise<Decision> {
    if (this.#onDecision === undefined) return decision;
    const told: unknown = this.#onDecision({ decision, key, cost });
    return isPromise(told) ? told.then(() => decision) : decision;
  }

  #peek(key: string, cost: number): MaybePromise<Decision> {
    this.#check(key, cost);
    const decisions = this.#store.peek(this.#charges(key, cost));
    return isPromise(decisions) ? decisions.then(combine) : combine(decisions);
  }

  #check(key: string, cost: number): void {
    this.#checkOpen();
    checkKey(key);
    checkCost(cost);
  }

  #checkOpen(): void {
    if (this.#closed) throw new SluiceError('CLOSED', 'This limiter has been closed.');
  }

  /** `at` is the instant of an earlier grant, for charges that are to be given back. */
  #charges(key: string, cost: number, at?: number): readonly Refund[] {
    const policies = this.#policies;
    // The usual case, without a closure.
    if (policies.length === 1) return [{ policy: policies[0]!, key, cost, at }];
    return policies.map((policy) => ({ policy, key, cost, at }));
  }
}
