import type { Charge, Refund } from './charge.js';
import type { Clock } from './clock.js';
import type { Decision, DecisionSource } from './decision.js';
import { SluiceError, show } from './errors.js';
import { isPromise, type MaybePromise } from './maybe-promise.js';
import { MemoryStore } from './memory/memory-store.js';
import type { CompiledPolicy } from './policy.js';
import { isSyncStore, type Store } from './store.js';

/**
 * What becomes of a request when the store fails: it fails too; it passes; it is refused; or a memory store of this
 * process decides, with the same policies, until the store answers again.
 */
export type StoreErrorMode = 'throw' | 'allow' | 'deny' | 'fallback';

export interface StoreErrorOptions {
  mode: StoreErrorMode;
  /** Times the fallback, the reports and the decisions that are made without a store. */
  clock: Clock;
  /**
   * Is told of failures: of the first at once, then every 10 s at the most. `failures` counts those since the last
   * report, this one included.
   */
  report(error: unknown, failures: number): void;
}

const modes: readonly StoreErrorMode[] = ['throw', 'allow', 'deny', 'fallback'];

/**
 * A store that also answers when `store` fails: throws, rejects, or answers with anything but one decision per charge.
 * It acts on errors, not on silence. Errors that tell of wrong use, such as a bad cost, always pass through.
 * @throws SluiceError `INVALID_OPTION` for an unknown mode.
 */
export function withStoreErrors(store: Store, options: StoreErrorOptions): Store {
  if (!modes.includes(options.mode)) {
    throw new SluiceError(
      'INVALID_OPTION',
      `'onStoreError' is one of ${modes.map((mode) => `'${mode}'`).join(', ')}; got ${show(options.mode)}.`,
    );
  }
  return options.mode === 'throw' ? store : new ForgivingStore(store, options);
}

/** Gives units back, and fails where the store does, also behind `withStoreErrors`: for who tries again. */
export function takeBack(store: Store, refunds: readonly Refund[]): MaybePromise<void> {
  return store instanceof ForgivingStore ? store.takeBack(refunds) : store.release(refunds);
}

/** A ForgivingStore answers in place of a store that fails. */
class ForgivingStore implements Store {
  readonly sync: boolean;
  readonly #store: Store;
  readonly #mode: StoreErrorMode;
  readonly #clock: Clock;
  readonly #reports: Reports;
  #fallback: Fallback | undefined;

  constructor(store: Store, { mode, clock, report }: StoreErrorOptions) {
    this.sync = isSyncStore(store);
    this.#store = store;
    this.#mode = mode;
    this.#clock = clock;
    this.#reports = new Reports(clock, report);
  }

  consume(charges: readonly Charge[]): MaybePromise<readonly Decision[]> {
    return this.#ask('consume', charges);
  }

  peek(charges: readonly Charge[]): MaybePromise<readonly Decision[]> {
    return this.#ask('peek', charges);
  }

  /** Units that the store fails to take back are lost: the request they belong to has been answered. */
  release(refunds: readonly Refund[]): MaybePromise<void> {
    const lost = (error: unknown) => {
      if (isMisuse(error)) throw error;
      this.#reports.failure(error);
    };
    try {
      const released = this.takeBack(refunds);
      return isPromise(released) ? released.then(undefined, lost) : released;
    } catch (error) {
      lost(error);
    }
  }

  /** As `release`, but fails as the store does. */
  takeBack(refunds: readonly Refund[]): MaybePromise<void> {
    const own = this.#fallback === undefined ? refunds : this.#fallback.release(refunds);
    return own.length === 0 ? undefined : this.#store.release(own);
  }

  /** Fails as the store does: who asks for a reset must know whether it was done. */
  reset(key: string, policies: readonly CompiledPolicy[]): MaybePromise<void> {
    this.#fallback?.store.reset(key, policies);
    return this.#store.reset(key, policies);
  }

  close(): MaybePromise<void> {
    this.#fallback?.store.close();
    return this.#store.close?.();
  }

  #ask(method: 'consume' | 'peek', charges: readonly Charge[]): MaybePromise<readonly Decision[]> {
    let answer: MaybePromise<readonly Decision[]>;
    try {
      answer = this.#store[method](charges);
    } catch (error) {
      return this.#answer(method, charges, error);
    }
    if (!isPromise(answer)) return this.#checked(method, charges, answer);
    return answer.then(
      (decisions) => this.#checked(method, charges, decisions),
      (error: unknown) => this.#answer(method, charges, error),
    );
  }

  #checked(method: 'consume' | 'peek', charges: readonly Charge[], answer: readonly Decision[]): readonly Decision[] {
    if (isComplete(answer, charges.length)) return answer;
    const error = new Error(
      `The store must answer '${method}' with one decision for each of ${charges.length} charges; got ${show(answer)}.`,
    );
    return this.#answer(method, charges, error);
  }

  #answer(method: 'consume' | 'peek', charges: readonly Charge[], error: unknown): readonly Decision[] {
    if (isMisuse(error)) throw error;
    this.#reports.failure(error);
    if (this.#mode === 'fallback') {
      this.#fallback ??= new Fallback(this.#clock);
      return this.#fallback.ask(method, charges);
    }
    const at = this.#clock.now() / 1_000;
    if (this.#mode === 'allow') return charges.map(({ policy }) => unknown(policy, true, at, 'open'));
    // Where limits refuse the request, nobody need be told that he is blocked or banned, which he may not be.
    const limited = charges.some(({ policy }) => policy.algorithm !== 'penalty');
    return charges.map(({ policy }) => unknown(policy, limited && policy.algorithm === 'penalty', at, 'closed'));
  }
}

/** A Fallback decides in this process, and knows which units it has granted. */
class Fallback {
  readonly store: MemoryStore;
  /** Units granted, by policy, key and instant: a refund does not say which store they came from. */
  readonly #granted = new Map<string, number>();

  constructor(clock: Clock) {
    this.store = new MemoryStore({ clock });
  }

  ask(method: 'consume' | 'peek', charges: readonly Charge[]): readonly Decision[] {
    const decisions = this.store[method](charges);
    if (method === 'consume' && decisions.every(({ allowed }) => allowed)) {
      for (const [i, { policy, key, cost }] of charges.entries())
        this.#note(grantOf(policy, key, decisions[i]!.at), cost);
    }
    return decisions.map((decision) => ({ ...decision, source: 'fallback' }));
  }

  /** Takes back what was granted here. Returns the refunds that are the store's. */
  release(refunds: readonly Refund[]): readonly Refund[] {
    return refunds.filter((refund) => {
      const { policy, key, cost, at } = refund;
      const grant = grantOf(policy, key, at);
      const granted = this.#granted.get(grant);
      if (granted !== undefined) {
        if (granted > cost) this.#granted.set(grant, granted - cost);
        else this.#granted.delete(grant);
        this.store.release([{ ...refund, cost: Math.min(cost, granted) }]);
        return false;
      }
      // Of a key that has taken units here, those of a refund may be forgotten ones. Given to the store, which never
      // granted them, they would be units too many; so they are lost.
      return this.store.peek([{ policy, key, cost: 0 }])[0]!.resetAfter === 0;
    });
  }

  #note(grant: string, cost: number): void {
    if (cost === 0) return;
    this.#granted.set(grant, (this.#granted.get(grant) ?? 0) + cost);
    if (this.#granted.size > mostGrants) this.#granted.delete(this.#granted.keys().next().value!);
  }
}

/** Grants remembered, the oldest forgotten first. */
const mostGrants = 10_000;

function grantOf(policy: CompiledPolicy, key: string, at: number | undefined): string {
  return `${at} ${policy.id} ${key}`;
}

/** Milliseconds between two reports. */
const interval = 10_000;

/** Reports counts failures, and passes few of them on: a store that is down fails with every request. */
class Reports {
  readonly #clock: Clock;
  readonly #report: StoreErrorOptions['report'];
  #failures = 0;
  #last: number | undefined;

  constructor(clock: Clock, report: StoreErrorOptions['report']) {
    this.#clock = clock;
    this.#report = report;
  }

  failure(error: unknown): void {
    this.#failures++;
    const now = this.#clock.now();
    // A clock that was set back must not silence the reports.
    if (this.#last !== undefined && now >= this.#last && now - this.#last < interval * 1_000) return;
    const failures = this.#failures;
    this.#last = now;
    this.#failures = 0;
    this.#report(error, failures);
  }
}

/** Whether an error tells of wrong use. Answered for, a bad cost or an unusable policy would be no limit at all. */
function isMisuse(error: unknown): boolean {
  if (!(error instanceof SluiceError)) return false;
  const { code } = error;
  return code.startsWith('INVALID_') || code === 'UNKNOWN_OPTION' || code === 'DUPLICATE_POLICY' || code === 'CLOSED';
}

function isComplete(answer: readonly Decision[] | undefined, charges: number): boolean {
  if (!Array.isArray(answer) || answer.length !== charges) return false;
  for (let i = 0; i < charges; i++) if (typeof answer[i]?.allowed !== 'boolean') return false;
  return true;
}

/**
 * A decision that knows nothing of the key: it promises no unit beyond this request, and no instant at which all units
 * are back, so that no client paces itself by it. A refusal asks it to come back in a second.
 */
function unknown(policy: CompiledPolicy, allowed: boolean, at: number, source: DecisionSource): Decision {
  const wait = allowed ? 0 : 1_000;
  const { name, limit } = policy;
  return { allowed, policy: name, limit, remaining: 0, resetAfter: wait, retryAfter: wait, delay: 0, at, source };
}
