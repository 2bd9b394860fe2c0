import type { Charge, Refund } from '../charge.js';
import { type Clock, checkClock, systemClock } from '../clock.js';
import type { Decision } from '../decision.js';
import { type Duration, parseDuration } from '../duration.js';
import { SluiceError, show } from '../errors.js';
import type { Leased, LeaseRequest } from '../leases/lease.js';
import { isPromise, type MaybePromise } from '../maybe-promise.js';
import { checkNames } from '../options.js';
import type { CompiledPolicy } from '../policy.js';
import type { StoreErrorMode } from '../resilience/outage-options.js';
import { checkStore, isSyncStore, type Known, type Store } from '../store.js';
import { Denials, denialOf } from './denials.js';

/** FreedKeys tell a deny cache of the keys that others, who share the store, have given units back or reset. */
export interface FreedKeys {
  /** Whether news comes at present, as far as it is known. */
  readonly isHeard: boolean;
  /**
   * Calls `freed` with each key that has units back, and without one where some news may have been missed. The returned
   * function ends that.
   */
  listen(freed: (key?: string) => void): () => void;
}

export interface DenyCacheOptions {
  /** Refusals remembered at the most; the oldest are forgotten first. An integer from 1 to 1,000,000. @default 10_000 */
  maxKeys?: number | undefined;
  /**
   * How long a refusal is repeated at the most before the store is asked again: so long a key may be refused after others
   * have given it units back. From 1 ms to an hour. While `freed` is not heard, it is a second at the most.
   * @default '1s', or '10s' where there is `freed`
   */
  recheck?: Duration | undefined;
  /** Tells of what others have given back. @default nothing does */
  freed?: FreedKeys | undefined;
  /** Counts the waits down. @default systemClock */
  clock?: Clock | undefined;
}

const names = ['maxKeys', 'recheck', 'freed', 'clock'];
const mostKeys = 1_000_000;
const anHour = { ms: 3_600_000, name: 'an hour' };
const aSecond = 1_000_000;

/** What deny caches around the same state have in common. */
interface Memory {
  readonly denials: Denials;
  readonly clock: Clock;
  /** Microseconds. */
  readonly recheck: number;
  readonly freed: FreedKeys | undefined;
}

/**
 * A DenyCache remembers what a store has refused, and refuses it again, at once and without asking the store, until the
 * time has come that the store has named. It answers requests for the same of the same policies that cost no less; what
 * it says is the store's decision, counted down, with the source `'deny-cache'`. It never grants.
 *
 * A refusal is forgotten when its key is reset or given units back through this cache, or by others that `freed` tells
 * of, and after `recheck` in any case. Refusals are not remembered of policies with `countRefused`, of penalties that
 * record a breach, of places that are borrowed, and of decisions that are not the store's own.
 */
export class DenyCache implements Store {
  readonly sync: boolean;
  // There are those that the store has.
  readonly check?: (policy: CompiledPolicy) => void;
  readonly isReachable?: (charges: readonly Pick<Charge, 'key'>[]) => boolean;
  readonly lower?: (known: readonly Known[]) => MaybePromise<void>;
  readonly takeBack?: (refunds: readonly Refund[]) => MaybePromise<void>;
  readonly lease?: (request: LeaseRequest) => MaybePromise<Leased>;
  readonly answering?: (mode: StoreErrorMode) => Store;
  readonly #store: Store;
  readonly #memory: Memory;
  readonly #denials: Denials;
  readonly #clock: Clock;
  #stopListening: (() => void) | undefined;

  /**
   * Given another deny cache instead of options, it shares that one's memory: the two are around the same state, and what
   * one has refused the other refuses too.
   * @throws SluiceError for options that cannot work, with the remedy.
   */
  constructor(store: Store, options: DenyCacheOptions | DenyCache = {}) {
    checkStore(store, 'DenyCache');
    this.#store = store;
    if (options instanceof DenyCache) this.#memory = options.#memory;
    else {
      this.#memory = memoryOf(options);
      const { denials, freed } = this.#memory;
      this.#stopListening = freed?.listen((key) => (key === undefined ? denials.freeAll() : denials.free(key)));
    }
    this.#denials = this.#memory.denials;
    this.#clock = this.#memory.clock;
    this.sync = isSyncStore(store);
    if (store.check !== undefined) this.check = (policy) => store.check!(policy);
    if (store.isReachable !== undefined) this.isReachable = (charges) => store.isReachable!(charges);
    if (store.lower !== undefined) this.lower = (known) => store.lower!(known);
    if (store.lease !== undefined) this.lease = (request) => store.lease!(request);
    if (store.takeBack !== undefined) {
      this.takeBack = (refunds) =>
        this.#freeing(
          () => store.takeBack!(refunds),
          () => this.#freeAllOf(refunds),
        );
    }
    if (store.answering !== undefined) this.answering = (mode) => new DenyCache(store.answering!(mode), this);
  }

  /** Refusals remembered now, with those whose time has come unnoticed. */
  get size(): number {
    return this.#denials.size;
  }

  consume(charges: readonly Charge[]): MaybePromise<readonly Decision[]> {
    const denials = this.#denials;
    const sent = this.#clock.now();
    if (denials.size > 0) {
      const denial = denials.of(charges, sent);
      if (denial !== undefined) return denial.repeat(sent);
    }
    const { freedCount } = denials;
    const answer = this.#store.consume(charges);
    if (isPromise(answer)) {
      return answer.then((decisions) => {
        this.#learn(charges, decisions, sent, freedCount);
        return decisions;
      });
    }
    this.#learn(charges, answer, sent, freedCount);
    return answer;
  }

  /** Asks the store: who looks wants to see how things stand. */
  peek(charges: readonly Charge[]): MaybePromise<readonly Decision[]> {
    return this.#store.peek(charges);
  }

  release(refunds: readonly Refund[]): MaybePromise<void> {
    return this.#freeing(
      () => this.#store.release(refunds),
      () => this.#freeAllOf(refunds),
    );
  }

  reset(key: string, policies: readonly CompiledPolicy[]): MaybePromise<void> {
    return this.#freeing(
      () => this.#store.reset(key, policies),
      () => this.#denials.free(key),
    );
  }

  /** Forgets what is known of a key, as when somebody else has given it units back; without a key, of all. */
  forget(key?: string): void {
    if (key === undefined) this.#denials.freeAll();
    else this.#denials.free(key);
  }

  close(): MaybePromise<void> {
    this.#stopListening?.();
    this.#stopListening = undefined;
    this.#denials.freeAll();
    return this.#store.close?.();
  }

  #learn(charges: readonly Charge[], decisions: readonly Decision[], sent: number, freedCount: number): void {
    for (let i = 0; i < decisions.length; i++) {
      if (decisions[i]!.allowed) continue;
      const { recheck, freed } = this.#memory;
      const trust = freed?.isHeard === false ? Math.min(recheck, aSecond) : recheck;
      const now = this.#clock.now();
      const denial = denialOf(charges, decisions, sent, now, trust);
      if (denial !== undefined) this.#denials.remember(denial, freedCount, now);
      return;
    }
  }

  /**
   * At once, since what is asked for from now on may find the units; and when it is done or has failed, since what was
   * asked for in between may not have found them.
   */
  #freeing(act: () => MaybePromise<void>, free: () => void): MaybePromise<void> {
    free();
    const done = act();
    if (!isPromise(done)) return done;
    return done.then(free, (error: unknown) => {
      free();
      throw error;
    });
  }

  /** Borrowed units hold no denial: others may give theirs back at any moment. */
  #freeAllOf(refunds: readonly Refund[]): void {
    for (const { policy, key } of refunds) if (!policy.borrowed) this.#denials.free(key, [policy]);
  }
}

function memoryOf(options: DenyCacheOptions): Memory {
  checkNames(options, names, 'DenyCache', "{ maxKeys: 10_000, recheck: '1s' }");
  const { maxKeys = 10_000, freed, clock = systemClock } = options;
  if (!Number.isInteger(maxKeys) || maxKeys < 1 || maxKeys > mostKeys) {
    throw new SluiceError(
      'INVALID_OPTION',
      `DenyCache: 'maxKeys' must be an integer from 1 to ${mostKeys}, the most refusals to remember; got ${show(maxKeys)}.`,
    );
  }
  if (freed !== undefined && (typeof freed?.listen !== 'function' || typeof freed.isHeard !== 'boolean')) {
    throw new SluiceError(
      'INVALID_OPTION',
      `DenyCache: 'freed' needs the method listen(), and isHeard: whether news comes at present; got ${show(freed)}.`,
    );
  }
  const recheck = parseDuration(
    options.recheck ?? (freed === undefined ? '1s' : '10s'),
    "DenyCache: 'recheck'",
    anHour,
  );
  return { denials: new Denials(maxKeys), clock: checkClock(clock, 'DenyCache'), recheck: recheck * 1_000, freed };
}
