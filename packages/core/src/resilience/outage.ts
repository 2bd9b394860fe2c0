import { type Charge, type Refund, stateOf } from '../charge.js';
import type { Decision } from '../decision.js';
import { SluiceError, show } from '../errors.js';
import type { Leased, LeaseRequest } from '../leases/lease.js';
import { abandon, isPromise, type MaybePromise } from '../maybe-promise.js';
import { checkType } from '../options.js';
import type { CompiledPolicy } from '../policy.js';
import { isReachable, type Store } from '../store.js';
import { AnsweringStore } from './answering-store.js';
import { isMisuse, isUnusableState, mayLoseCounts } from './failures.js';
import { Fallback } from './fallback.js';
import { LastKnown } from './last-known.js';
import { LocalGrants } from './local-grants.js';
import { checkStoreErrorMode, type OutageOptions, type StoreErrorMode } from './outage-options.js';
import { Repair } from './repair.js';
import { Reports } from './reports.js';
import { Settlement } from './settlement.js';
import { UnderWay } from './under-way.js';
import { closed, open } from './unknown.js';

type Ask = 'consume' | 'peek';

/**
 * An Outage answers in place of a store that fails, in as many ways as are wanted: all of them know the same. It keeps
 * what the store has last said of each key, and when the store may have lost its counts, or units were granted without
 * it, tells it what is known before it is asked for the key again, if it can be told.
 */
export class Outage {
  readonly #store: Store;
  readonly #reports: Reports;
  readonly #lastKnown: LastKnown;
  readonly #fallback: Fallback;
  readonly #losesCounts: (error: unknown) => boolean;
  readonly #underWay = new UnderWay();
  readonly #grants = new LocalGrants();
  readonly #repair = new Repair();
  readonly #settlement: Settlement;
  readonly #repairs: boolean;
  /** The failure for which counts were last taken to be lost. */
  #suspectedFor: unknown;
  /** What nobody would ask for is not kept. */
  #learns: boolean;

  /** @throws SluiceError `INVALID_OPTION` for options that cannot work. */
  constructor(store: Store, options: OutageOptions) {
    const { clock, report, instances = 1, indivisible = 'deny', losesCounts = mayLoseCounts } = options;
    if (!Number.isSafeInteger(instances) || instances < 1 || instances > mostInstances) {
      throw new SluiceError(
        'INVALID_OPTION',
        `'instances' must be how many processes share the store at the most, an integer from 1 to ${mostInstances}; ` +
          `got ${show(instances)}.`,
      );
    }
    if (indivisible !== 'deny' && indivisible !== 'allow') {
      throw new SluiceError('INVALID_OPTION', `'indivisible' is 'deny' or 'allow'; got ${show(indivisible)}.`);
    }
    checkType(options, 'losesCounts', 'function', 'Outage');
    this.#store = store;
    this.#reports = new Reports(clock, report);
    this.#lastKnown = new LastKnown(clock);
    this.#fallback = new Fallback(this.#lastKnown, this.#underWay, instances, indivisible);
    this.#losesCounts = losesCounts;
    this.#settlement = new Settlement(store, clock, this.#repair, this.#lastKnown, this.#underWay);
    this.#repairs = store.lower !== undefined;
    this.#learns = this.#repairs;
  }

  /**
   * The store, answering so where it fails.
   * @throws SluiceError `INVALID_OPTION` for an unknown mode.
   */
  answering(mode: StoreErrorMode): Store {
    checkStoreErrorMode(mode);
    if (mode === 'fallback') this.#learns = true;
    return new AnsweringStore(this, mode, this.#store);
  }

  /** To be called when the store may have lost its counts without having failed, as after a reconnection. */
  suspect(): void {
    this.#settlement.hurry();
    if (this.#repairs) this.#repair.suspect(this.#lastKnown.now(), this.#lastKnown.freshBy);
  }

  /** Asks the store, and answers by `mode` where it fails. */
  ask(method: Ask, charges: readonly Charge[], mode: StoreErrorMode): MaybePromise<readonly Decision[]> {
    const { round } = this.#repair;
    let isSent = false;
    let answer: MaybePromise<readonly Decision[]>;
    try {
      isSent = method === 'consume' && this.#learns && isReachable(this.#store, charges);
      answer = this.#repair.isIdle
        ? this.#store[method](charges)
        : this.#tellAndAsk(charges, () => this.#store[method](charges));
    } catch (error) {
      return this.#answer(method, charges, mode, error);
    }
    if (!isPromise(answer)) return this.#checked(method, charges, mode, round, answer);
    const sent = isSent ? this.#underWay.begin(charges, round) : undefined;
    return answer.then(
      (decisions) => {
        if (sent !== undefined) this.#underWay.end(sent);
        return this.#checked(method, charges, mode, round, decisions);
      },
      (error: unknown) => {
        if (sent !== undefined) this.#underWay.end(sent);
        return this.#answer(method, charges, mode, error);
      },
    );
  }

  /**
   * Asks the store, which must have a `lease`, for a lease; fails as the store does. What it answers is learned as a decision
   * is: what is leased is taken, as far as anybody knows.
   */
  lease(request: LeaseRequest): MaybePromise<Leased> {
    const { policy, key, demand, extra } = request;
    const { round } = this.#repair;
    const charges = [{ policy, key, cost: demand + extra }];
    const ask = () => this.#store.lease!(request);
    const learned = (leased: Leased) => {
      const { units, decision } = leased;
      if (this.#learns && units > 0)
        this.#learn([{ policy, key, cost: units }], [{ ...decision, allowed: true }], round);
      else if (this.#learns) this.#learn([{ policy, key, cost: 1 }], [decision], round);
      return leased;
    };
    try {
      const isSent = this.#learns && isReachable(this.#store, charges);
      const answer = this.#repair.isIdle ? ask() : this.#tellAndAsk(charges, ask);
      if (!isPromise(answer)) return learned(answer);
      const sent = isSent ? this.#underWay.begin(charges, round) : undefined;
      return answer.then(
        (leased) => {
          if (sent !== undefined) this.#underWay.end(sent);
          return learned(leased);
        },
        (error: unknown) => {
          if (sent !== undefined) this.#underWay.end(sent);
          this.#failed(error);
          throw error;
        },
      );
    } catch (error) {
      this.#failed(error);
      throw error;
    }
  }

  /** Answers by `mode` those whose call, made for several at a time, has failed. */
  instead(charges: readonly Charge[], error: unknown, mode: StoreErrorMode): readonly Decision[] {
    return this.#answer('consume', charges, mode, error);
  }

  /** Gives units back; fails as the store does. What was granted without the store never gets there. */
  takeBack(refunds: readonly Refund[]): MaybePromise<void> {
    this.#grants.expire(this.#lastKnown.now() / 1_000);
    const own = this.#grants.isEmpty ? refunds : refunds.flatMap((refund) => this.#takeLocal(refund));
    if (own.length === 0) return;
    const taken = () => {
      if (this.#learns) this.#lastKnown.release(own);
    };
    try {
      const released = this.#store.release(own);
      if (!isPromise(released)) return taken();
      return released.then(taken, (error: unknown) => {
        this.#failed(error);
        throw error;
      });
    } catch (error) {
      this.#failed(error);
      throw error;
    }
  }

  /** As `takeBack`, but units that the store fails to take back are lost: the request they belong to has been answered. */
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

  /** Fails as the store does: who asks for a reset must know whether it was done. */
  reset(key: string, policies: readonly CompiledPolicy[]): MaybePromise<void> {
    const forget = () => this.#lastKnown.forget(key, policies);
    const done = this.#store.reset(key, policies);
    return isPromise(done) ? done.then(forget) : forget();
  }

  /** Forgets what is known, and closes the store. */
  close(): MaybePromise<void> {
    this.#lastKnown.memory.close();
    return this.#store.close?.();
  }

  /** The one call goes out right behind the other, so that the two together take no longer than one. */
  #tellAndAsk<T>(charges: readonly Charge[], ask: () => MaybePromise<T>): MaybePromise<T> {
    const known = this.#settlement.knownOf(charges.filter((charge) => this.#isDue(charge)));
    if (known.length === 0) return ask();
    const told = this.#store.lower!(known);
    if (!isPromise(told)) return ask();
    let answer: MaybePromise<T>;
    try {
      answer = ask();
    } catch (error) {
      abandon(told);
      throw error;
    }
    return Promise.all([answer, told]).then(([answer]) => answer);
  }

  #checked(
    method: Ask,
    charges: readonly Charge[],
    mode: StoreErrorMode,
    round: number,
    answer: readonly Decision[],
  ): readonly Decision[] {
    if (!isComplete(answer, charges.length)) {
      const error = new Error(
        `The store must answer '${method}' with one decision for each of ${charges.length} charges; got ${show(answer)}.`,
      );
      return this.#answer(method, charges, mode, error);
    }
    if (this.#learns) this.#learn(charges, answer, round);
    return answer;
  }

  #learn(charges: readonly Charge[], answer: readonly Decision[], round: number): void {
    if (this.#repair.isIdle) {
      this.#lastKnown.learn(charges, answer);
    } else if (charges.every((charge) => this.#repair.knew(stateOf(charge), round))) {
      this.#lastKnown.learn(charges, answer);
      for (const charge of charges) this.#repair.told(stateOf(charge));
      this.#settlement.go();
    } else {
      // The store had not been told when it was asked this; what it does not know must not be forgotten.
      this.#lastKnown.learn(charges, answer, (charge) => this.#isDue(charge));
    }
  }

  #isDue(charge: Charge): boolean {
    return isRepaired(charge.policy) && this.#repair.isDue(stateOf(charge), this.#lastKnown.now());
  }

  #answer(method: Ask, charges: readonly Charge[], mode: StoreErrorMode, error: unknown): readonly Decision[] {
    if (isMisuse(error)) throw error;
    this.#failed(error);
    if (mode === 'throw') throw error;
    this.#reports.failure(error);
    const at = this.#lastKnown.now() / 1_000;
    if (mode === 'deny') return closed(charges, at);
    const decisions = mode === 'allow' ? open(charges, at) : this.#fallback.ask(method, charges);
    if (method === 'consume') this.#note(charges, decisions, !isUnusableState(error));
    return decisions;
  }

  #failed(error: unknown): void {
    if (!this.#repairs || isMisuse(error) || !this.#losesCounts(error)) return;
    // A circuit has one error for as long as it is open.
    if (error === this.#suspectedFor && error instanceof SluiceError && error.code === 'STORE_UNAVAILABLE') return;
    this.#suspectedFor = error;
    this.suspect();
  }

  /** Notes what was granted without the store. */
  #note(charges: readonly Charge[], decisions: readonly Decision[], canBeTold: boolean): void {
    if (!decisions.every(({ allowed }) => allowed)) return;
    for (const [i, charge] of charges.entries()) {
      if (charge.cost === 0) continue;
      const decision = decisions[i]!;
      const isCounted = decision.source === 'fallback';
      const freshAt = decision.at + (isCounted ? decision.resetAfter : charge.policy.windowMs);
      this.#grants.note(charge, isCounted ? charge.cost : 0, decision.at, freshAt);
      if (!isCounted || !canBeTold || !this.#repairs || !isRepaired(charge.policy)) continue;
      this.#lastKnown.expect(decision);
      this.#repair.owe(charge);
    }
  }

  /** Takes units back that were granted without the store, and returns what is left of the refund for the store. */
  #takeLocal(refund: Refund): readonly Refund[] {
    const { local, rest } = this.#grants.redeem(refund);
    if (local > 0) {
      const cost = this.#fallback.costOf({ ...refund, cost: local });
      this.#lastKnown.memory.release([{ ...refund, cost }]);
    }
    return rest > 0 ? [{ ...refund, cost: rest }] : [];
  }
}

/** More than this would divide no policy into parts. */
const mostInstances = 1_000_000;

/** Whether a store is told what is known of a policy's keys: of borrowed units nothing is, and blocks are left alone. */
function isRepaired({ borrowed, algorithm }: CompiledPolicy): boolean {
  return borrowed === undefined && algorithm !== 'penalty';
}

function isComplete(answer: readonly Decision[] | undefined, charges: number): boolean {
  if (!Array.isArray(answer) || answer.length !== charges) return false;
  for (let i = 0; i < charges; i++) if (typeof answer[i]?.allowed !== 'boolean') return false;
  return true;
}
