import { isSlot, isSpent, type Judgement } from '../engine/judgement.js';
import type { Demand } from '../engine/line.js';
import { Plan } from '../engine/plan.js';
import { castShadows, type ShadowConclusion } from '../engine/shadows.js';
import { isPromise, type MaybePromise } from '../maybe-promise.js';
import { Hold } from '../reservation.js';
import { isClosed } from './closing.js';
import type { Exchange } from './exchange.js';
import { Ledger } from './ledger.js';
import { rethrow } from './observers.js';
import { judgementOn, ledgerOf, type Parts } from './parts.js';
import type { HeaderSource, ResponseLike } from './reader.js';
import { Settling } from './settling.js';
import { hold, impatient } from './shaping.js';
import { Slots } from './slots.js';
import type { Verdict } from './verdict.js';

const skipped: Verdict = { action: 'skip' };
const gone: Verdict = { action: 'gone' };
const none: readonly Demand[] = [];

/**
 * Handling takes a request from its arrival to what is to become of it, and stays by it until the response is through.
 * Where the store answers at once, so does every stage: no promise and no function is made on the way.
 */
export class Handling<R, S> {
  readonly #parts: Parts<R, S>;
  readonly #early: Handling<R, S> | undefined;
  readonly #maxDelay: number;
  readonly #settling: Settling<R, S>;
  readonly #slots: Slots;
  /** Requests that it has dealt with, if it is the phase before another. */
  #seen: WeakSet<object> | undefined;

  /** `early` is the phase before authentication. */
  constructor(parts: Parts<R, S>, early: Handling<R, S> | undefined) {
    const { options, maxDelay, observers, engine, clock } = parts;
    this.#parts = parts;
    this.#maxDelay = options.shape === false ? Number.POSITIVE_INFINITY : maxDelay;
    this.#settling = new Settling(options, (error) => observers.failed('skipSuccessful or skipFailed', error));
    const lost = (error: unknown) => observers.failed('Giving back the place of a request', error);
    this.#slots = new Slots(engine.store, clock, lost);
    this.#early = early;
    if (early !== undefined) early.#seen = new WeakSet();
  }

  /** Errors that are none are made such, for the frameworks. */
  handle(request: R, response: ResponseLike, headers: S & HeaderSource): MaybePromise<Verdict> {
    try {
      const earlier = Ledger.on(request, this.#parts.reader);
      const verdict = this.#begin({ request, response, headers, earlier, before: undefined });
      return isPromise(verdict) ? verdict.then(undefined, rethrow) : verdict;
    } catch (error) {
      return rethrow(error);
    }
  }

  #begin(exchange: Exchange<R, S>): MaybePromise<Verdict> {
    const { request, response, headers } = exchange;
    // One that stands on the way of a request twice counts it once.
    if (Ledger.includes(exchange.earlier, this.#parts)) return skipped;
    this.#seen?.add(request as object);
    const early = this.#early;
    if (early === undefined || early.#seen!.has(request as object)) return this.#skip(exchange);
    const goOn = (verdict: Verdict): MaybePromise<Verdict> => {
      if (verdict.action === 'pass') exchange.earlier = exchange.before = verdict.decision as Ledger;
      return verdict.action === 'pass' || verdict.action === 'skip' ? this.#skip(exchange) : verdict;
    };
    const verdict = early.handle(request, response, headers);
    return isPromise(verdict) ? verdict.then(goOn) : goOn(verdict);
  }

  #skip(exchange: Exchange<R, S>): MaybePromise<Verdict> {
    const skip = this.#parts.options.skip?.(exchange.request);
    if (isPromise(skip)) return skip.then((yes) => (yes ? this.#leaveAlone(exchange) : this.#plan(exchange)));
    return skip ? this.#leaveAlone(exchange) : this.#plan(exchange);
  }

  #plan(exchange: Exchange<R, S>): MaybePromise<Verdict> {
    // A client that has left has no address any more.
    if (isClosed(exchange.response)) return gone;
    const plan = new Plan(exchange.request);
    const completed = this.#parts.engine.planner.complete(plan);
    return isPromise(completed) ? completed.then(() => this.#charge(exchange, plan)) : this.#charge(exchange, plan);
  }

  #charge(exchange: Exchange<R, S>, plan: Plan<R>): MaybePromise<Verdict> {
    const { demands, listed } = plan;
    const { engine, clock } = this.#parts;
    if (listed?.list === 'allow') return this.#leaveAlone(exchange);
    if (listed !== undefined) return this.#tell(exchange, plan, judgementOn(listed, clock), undefined);
    if (demands.length === 0) return this.#leaveAlone(exchange, plan);
    const judgement = engine.judge.judge(plan);
    if (isPromise(judgement)) return judgement.then((later) => this.#conclude(exchange, plan, later));
    return this.#conclude(exchange, plan, judgement);
  }

  #conclude(exchange: Exchange<R, S>, plan: Plan<R>, judgement: Judgement): MaybePromise<Verdict> {
    const { demands, answers, decision, refusal } = judgement;
    if (refusal !== undefined) return this.#tell(exchange, plan, judgement, undefined);
    // Only asked whether the client is banned.
    if (!plan.isLimited) return this.#leaveAlone(exchange, plan);
    const { request, response, headers } = exchange;
    const { store, judge, isPlain } = this.#parts.engine;
    // Where nothing could be counted, nothing was taken.
    const counted = decision.source === 'open' ? none : demands;
    const taken = new Hold(store, isPlain ? counted : counted.filter(isSpent), decision.at);
    const slots = isPlain ? none : counted.filter(isSlot);
    if (decision.delay > this.#maxDelay) {
      taken.giveBack('refused');
      if (slots.length > 0) this.#slots.free(slots, decision.at);
      const refusals = answers.map((one) => impatient(one, this.#maxDelay));
      return this.#tell(exchange, plan, judge.refuse(demands, refusals), undefined);
    }
    if (slots.length > 0) this.#slots.freeWhenClosed(response, slots, decision.at);
    this.#settling.watch(request, response, headers, taken);
    this.#castShadows(exchange, plan);
    return this.#tell(exchange, plan, judgement, taken);
  }

  /** Tells the observers, then the client. */
  #tell(exchange: Exchange<R, S>, plan: Plan<R>, judgement: Judgement, taken: Hold | undefined): MaybePromise<Verdict> {
    const told = this.#parts.observers.decided(plan, judgement);
    // An observer should not be asynchronous; if it is all the same, its rejection must not end the process.
    if (isPromise(told)) return told.then(() => this.#answer(exchange, plan, judgement, taken));
    return this.#answer(exchange, plan, judgement, taken);
  }

  #answer(
    exchange: Exchange<R, S>,
    plan: Plan<R>,
    judgement: Judgement,
    taken: Hold | undefined,
  ): MaybePromise<Verdict> {
    const { request, response } = exchange;
    const { decision, refusal } = judgement;
    const { options, responder, clock } = this.#parts;
    const ledger = ledgerOf(this.#parts, exchange.earlier, plan, judgement, taken);
    Ledger.keep(request, ledger);
    if (refusal !== undefined) {
      Ledger.giveBack(ledger, 'refused');
      return responder.refuse(exchange, ledger, decision, refusal);
    }
    const { delay } = decision;
    if (delay === 0 || options.shape === false) return this.#pass(exchange, ledger);
    return hold(clock, response, ledger, delay, () => this.#pass(exchange, ledger), gone);
  }

  #pass(exchange: Exchange<R, S>, ledger: Ledger): MaybePromise<Verdict> {
    const { options, responder } = this.#parts;
    const told: unknown = options.onAllowed?.(exchange.request, ledger);
    if (isPromise(told)) return told.then(() => responder.pass(exchange, ledger));
    return responder.pass(exchange, ledger);
  }

  /**
   * A request that this limiter leaves alone, but for its shadows: with the headers of the phase before, if that ran as
   * part of it.
   */
  #leaveAlone(exchange: Exchange<R, S>, plan?: Plan<R>): Verdict {
    if (plan !== undefined) this.#castShadows(exchange, plan);
    return exchange.before === undefined ? skipped : this.#parts.responder.pass(exchange, exchange.before);
  }

  #castShadows(exchange: Exchange<R, S>, plan: Plan<R>): void {
    if (plan.shadows !== undefined) this.#cast(exchange, plan, plan.shadows);
  }

  #cast({ request, response, headers }: Exchange<R, S>, plan: Plan<R>, shadows: readonly Demand[]): void {
    const { engine, observers } = this.#parts;
    const { store } = engine;
    const conclude: ShadowConclusion = (demand, decision) => {
      const { allowed, at } = decision;
      if (allowed && isSlot(demand)) this.#slots.freeWhenClosed(response, [demand], at);
      else if (allowed) this.#settling.watch(request, response, headers, new Hold(store, [demand], at));
      return observers.shadowDecided(plan, demand, decision);
    };
    castShadows(store, shadows, conclude, observers.shadowFailed);
  }
}
