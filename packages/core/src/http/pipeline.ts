import { checkCost } from '../charge.js';
import { charging } from '../charging.js';
import { type Clock, checkClock, systemClock } from '../clock.js';
import type { Decision } from '../decision.js';
import { Engine } from '../engine/engine.js';
import { type Explanation, explain } from '../engine/explanation.js';
import { blocked, isSlot, isSpent, type Judgement } from '../engine/judgement.js';
import { isSameState } from '../engine/line.js';
import { Plan } from '../engine/plan.js';
import { castShadows, type ShadowConclusion } from '../engine/shadows.js';
import { SluiceError } from '../errors.js';
import { isPromise, type MaybePromise } from '../maybe-promise.js';
import type { PolicyText } from '../policy.js';
import { Hold } from '../reservation.js';
import { optionsBeforeAuth } from './before-auth.js';
import { isClosed } from './closing.js';
import type { Exchange } from './exchange.js';
import type { HeaderFields } from './headers.js';
import { Ledger, type RequestDecision } from './ledger.js';
import { keyOf, Observers, rethrow } from './observers.js';
import { checkOptions, maxDelayOf, type RateLimitOptions } from './options.js';
import type { Outcome } from './outcome.js';
import type { HeaderSource, Reader, ResponseLike } from './reader.js';
import { Responder } from './responder.js';
import { Settling } from './settling.js';
import { hold, impatient } from './shaping.js';
import { Slots } from './slots.js';
import type { Verdict } from './verdict.js';

const skipped: Verdict = { action: 'skip' };
const gone: Verdict = { action: 'gone' };
const skippedOutcome: Outcome = {
  kind: 'skipped',
  decision: undefined,
  key: undefined,
  rule: undefined,
  tier: undefined,
};

/**
 * A Pipeline is the whole of a rate limiting middleware but for the framework. It answers at once where the store and
 * the callbacks do, and with a promise where they do not, or where a request is held.
 */
export class Pipeline<R, S = unknown> {
  readonly #early: Pipeline<R, S> | undefined;
  readonly #reader: Reader<R>;
  readonly #options: RateLimitOptions<R, S>;
  readonly #observers: Observers<R>;
  readonly #engine: Engine<R>;
  readonly #clock: Clock;
  readonly #maxDelay: number;
  readonly #responder: Responder<R, S>;
  readonly #settling: Settling<R, S>;
  readonly #slots: Slots;
  /** Requests that a phase before authentication has dealt with. */
  #seen: WeakSet<object> | undefined;

  /**
   * Whom a pipeline of the same `family` bans, this one refuses too.
   * @throws SluiceError for options that cannot work, with the remedy.
   */
  constructor(reader: Reader<R>, input: RateLimitOptions<R, S> | PolicyText = {}, family?: Pipeline<R, S>) {
    const given: RateLimitOptions<R, S> = typeof input === 'string' ? { limits: [input] } : input;
    checkOptions(given);
    // What is changed afterwards was not checked.
    const options = { ...given };
    this.#reader = reader;
    this.#options = options;
    this.#observers = new Observers(reader, options);
    this.#clock = checkClock(options.clock === undefined ? systemClock : options.clock, 'rateLimit');
    const maxDelay = maxDelayOf(options);
    this.#maxDelay = options.shape === false ? Number.POSITIVE_INFINITY : maxDelay;
    this.#settling = new Settling(options, (error) => this.#observers.failed('skipSuccessful or skipFailed', error));
    const ban = family === undefined ? undefined : family.#engine.ban;
    this.#engine = new Engine(reader, options, this.#clock, this.#observers.warn, ban);
    const lost = (error: unknown) => this.#observers.failed('Giving back the place of a request', error);
    this.#slots = new Slots(this.#engine.store, this.#clock, lost);
    this.#responder = new Responder(reader, options);
    if (this.property !== 'rateLimit') Ledger.keepElsewhere();
    const before = optionsBeforeAuth(options, this.#engine.store);
    if (before !== undefined) {
      this.#early = new Pipeline(reader, before, this);
      this.#early.#seen = new WeakSet();
    }
  }

  /** The name under which an adapter puts the decision on the request. */
  get property(): string {
    return this.#responder.response.property;
  }

  /**
   * Decides on a request. `headers` is where the framework collects the headers of the response.
   * Errors of callbacks are thrown, or reject the promise, and so are those of a store where `onStoreError` says so.
   */
  handle(request: R, response: ResponseLike, headers: S & HeaderSource): MaybePromise<Verdict> {
    try {
      const earlier = Ledger.on(request, this.#reader);
      const verdict = this.#begin({ request, response, headers, earlier, before: undefined });
      return isPromise(verdict) ? verdict.then(undefined, rethrow) : verdict;
    } catch (error) {
      return rethrow(error);
    }
  }

  /**
   * The phase before authentication. For a request that it has not seen, it runs as part of this one.
   * @throws SluiceError `INVALID_OPTION` without the option `beforeAuth`.
   */
  before(): Pipeline<R, S> {
    if (this.#early !== undefined) return this.#early;
    throw new SluiceError(
      'INVALID_OPTION',
      "rateLimit: there is no phase before authentication. Give it a limit by address, like beforeAuth: '300/1m'.",
    );
  }

  /**
   * Decides on a request without answering it; `take` says whether it is charged. Resolves with `undefined` for one
   * that is not limited. Nothing is held, and a place among the requests at work is not taken.
   */
  async decide(request: R, take: boolean): Promise<RequestDecision | undefined> {
    return (await this.judge(request, take)).decision;
  }

  /** As `decide`, and says also why a request passes that is not limited, or why one does not. */
  judge(request: R, take: boolean): MaybePromise<Outcome> {
    const skip = this.#options.skip?.(request);
    if (isPromise(skip)) return skip.then((yes) => (yes ? skippedOutcome : this.#judgeUnskipped(request, take)));
    return skip ? skippedOutcome : this.#judgeUnskipped(request, take);
  }

  /**
   * Charges what a request has cost, known only afterwards, to each limit it has: as far as the capacity goes, whether
   * the limit has it or not. The decision is as it is then, and refuses where a limit did not have it all; `undefined`
   * for a request that is not limited.
   * @throws SluiceError `INVALID_COST`; errors of a store that fails to charge, and whether it has is then not known.
   */
  async charge(request: R, cost: number): Promise<RequestDecision | undefined> {
    checkCost(cost);
    if ((await this.#options.skip?.(request)) ?? false) return undefined;
    const plan = new Plan(request);
    await this.#engine.planner.complete(plan);
    if (plan.listed !== undefined) return undefined;
    plan.demands = plan.demands.filter(({ line }) => line.kind === 'limit' || line.kind === 'ceiling');
    const { demands } = plan;
    if (demands.length === 0) return undefined;
    const { store, judge } = this.#engine;
    const charges = demands.map((demand) => ({ ...demand, policy: charging(demand.policy), cost }));
    // One by one: of several that are decided together, a refusal of one keeps the others from being charged.
    const answers = (await Promise.all(charges.map((one) => store.consume([one])))).flat();
    const judgement = judge.look(demands, answers);
    await this.#observers.decided(plan, judgement);
    return this.#ledger(undefined, plan, judgement, undefined);
  }

  /** The header fields that tell a client of a decision of this pipeline's, `Retry-After` among them. */
  headersOf(decision: RequestDecision): HeaderFields {
    return this.#responder.fields(decision as Ledger);
  }

  /** What a request would be told, and why; nothing is charged. Callbacks of the options are asked as for a request. */
  async explain(request: R): Promise<Explanation> {
    const skip = (await this.#options.skip?.(request)) ?? false;
    const plan = new Plan(request);
    if (!skip) {
      await this.#engine.planner.complete(plan);
      if (this.#early !== undefined) await this.#early.#precede(plan);
    }
    return explain(plan, skip, this.#engine.store, this.#clock);
  }

  /** The state of every policy from which the key has taken something, or that blocks it; or of `all` there are. */
  async get(key: string | readonly string[], all = false): Promise<readonly Decision[]> {
    const own = await this.#engine.get(key, all);
    const early = (await this.#early?.get(key, all)) ?? none;
    // A ban is of both phases.
    return [...early.filter(({ policy }) => own.every((other) => other.policy !== policy)), ...own];
  }

  /** Forgets what the key has taken, and whether it is blocked or banned. */
  async reset(key: string | readonly string[]): Promise<void> {
    await this.#early?.reset(key);
    await this.#engine.reset(key);
  }

  /** Lets the store go, and closes it if it is the limiter's own. */
  async close(): Promise<void> {
    await this.#early?.close();
    await this.#engine.close();
  }

  /** Puts what this phase would charge for a request before what the plan has for it. */
  async #precede(plan: Plan<R>): Promise<void> {
    const own = new Plan(plan.request);
    await this.#engine.planner.complete(own);
    plan.demands.unshift(...own.demands.filter((one) => !plan.demands.some((other) => isSameState(one, other))));
    if (own.shadows !== undefined) plan.shadows = [...own.shadows, ...(plan.shadows ?? none)];
    plan.isLimited ||= own.isLimited;
  }

  #judgeUnskipped(request: R, take: boolean): MaybePromise<Outcome> {
    const plan = new Plan(request);
    const completed = this.#engine.planner.complete(plan);
    if (isPromise(completed)) return completed.then(() => this.#judgePlan(plan, take));
    return this.#judgePlan(plan, take);
  }

  #judgePlan(plan: Plan<R>, take: boolean): MaybePromise<Outcome> {
    const { listed } = plan;
    if (listed?.list === 'allow') return this.#outcome(plan, 'allow-listed');
    if (listed !== undefined) return this.#judged(plan, this.#blocked(listed), take);
    plan.demands = plan.demands.filter((demand) => !isSlot(demand));
    const { demands } = plan;
    if (demands.length === 0) {
      if (take) this.#castRateShadows(plan);
      return this.#outcome(plan, unlimited(plan));
    }
    const { judge, store } = this.#engine;
    if (!take) {
      const answers = store.peek(demands);
      if (isPromise(answers)) return answers.then((later) => this.#judged(plan, judge.look(demands, later), take));
      return this.#judged(plan, judge.look(demands, answers), take);
    }
    const judgement = judge.judge(plan);
    if (isPromise(judgement)) return judgement.then((later) => this.#judged(plan, later, take));
    return this.#judged(plan, judgement, take);
  }

  #judged(plan: Plan<R>, judgement: Judgement, take: boolean): MaybePromise<Outcome> {
    const { refusal } = judgement;
    if (take && refusal === undefined) this.#castRateShadows(plan);
    // Only asked whether the client is banned.
    if (refusal === undefined && !plan.isLimited) return this.#outcome(plan, unlimited(plan));
    const kind = refusal ?? 'granted';
    const told = take ? this.#observers.decided(plan, judgement) : undefined;
    if (isPromise(told)) return told.then(() => this.#outcome(plan, kind, judgement));
    return this.#outcome(plan, kind, judgement);
  }

  #outcome(plan: Plan<R>, kind: Outcome['kind'], judgement?: Judgement): Outcome {
    const decision = judgement === undefined ? undefined : this.#ledger(undefined, plan, judgement, undefined);
    return { kind, decision, key: decision?.key ?? plan.identity?.key, rule: plan.rule, tier: plan.tier };
  }

  #begin(exchange: Exchange<R, S>): MaybePromise<Verdict> {
    const { request, response, headers } = exchange;
    // One that stands on the way of a request twice counts it once.
    if (Ledger.includes(exchange.earlier, this)) return skipped;
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
    const skip = this.#options.skip?.(exchange.request);
    if (isPromise(skip)) return skip.then((yes) => (yes ? this.#leaveAlone(exchange) : this.#plan(exchange)));
    return skip ? this.#leaveAlone(exchange) : this.#plan(exchange);
  }

  #plan(exchange: Exchange<R, S>): MaybePromise<Verdict> {
    // A client that has left has no address any more.
    if (isClosed(exchange.response)) return gone;
    const plan = new Plan(exchange.request);
    const completed = this.#engine.planner.complete(plan);
    return isPromise(completed) ? completed.then(() => this.#charge(exchange, plan)) : this.#charge(exchange, plan);
  }

  #charge(exchange: Exchange<R, S>, plan: Plan<R>): MaybePromise<Verdict> {
    const { demands, listed } = plan;
    if (listed?.list === 'allow') return this.#leaveAlone(exchange);
    if (listed !== undefined) return this.#tell(exchange, plan, this.#blocked(listed), undefined);
    if (demands.length === 0) return this.#leaveAlone(exchange, plan);
    const judgement = this.#engine.judge.judge(plan);
    if (isPromise(judgement)) return judgement.then((later) => this.#conclude(exchange, plan, later));
    return this.#conclude(exchange, plan, judgement);
  }

  #conclude(exchange: Exchange<R, S>, plan: Plan<R>, judgement: Judgement): MaybePromise<Verdict> {
    const { demands, answers, decision, refusal } = judgement;
    if (refusal !== undefined) return this.#tell(exchange, plan, judgement, undefined);
    // Only asked whether the client is banned.
    if (!plan.isLimited) return this.#leaveAlone(exchange, plan);
    const { request, response, headers } = exchange;
    const { store, judge, isPlain } = this.#engine;
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
    const told = this.#observers.decided(plan, judgement);
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
    const ledger = this.#ledger(exchange.earlier, plan, judgement, taken);
    Ledger.keep(request, ledger);
    if (refusal !== undefined) {
      Ledger.giveBack(ledger, 'refused');
      return this.#responder.refuse(exchange, ledger, decision, refusal);
    }
    const { delay } = decision;
    if (delay === 0 || this.#options.shape === false) return this.#pass(exchange, ledger);
    return hold(this.#clock, response, ledger, delay, () => this.#pass(exchange, ledger), gone);
  }

  #ledger(earlier: Ledger | undefined, plan: Plan<R>, judgement: Judgement, taken: Hold | undefined): Ledger {
    const { decision, demands, answers } = judgement;
    const { rule, tier } = plan;
    const key = keyOf(plan, judgement);
    return new Ledger(earlier, {
      decision,
      key,
      rule,
      tier,
      demands,
      answers,
      hold: taken,
      owner: this,
      voice: this.#responder.voice,
    });
  }

  #pass(exchange: Exchange<R, S>, ledger: Ledger): MaybePromise<Verdict> {
    const told: unknown = this.#options.onAllowed?.(exchange.request, ledger);
    if (isPromise(told)) return told.then(() => this.#responder.pass(exchange, ledger));
    return this.#responder.pass(exchange, ledger);
  }

  /**
   * A request that this limiter leaves alone, but for its shadows: with the headers of the phase before, if that ran as
   * part of it.
   */
  #leaveAlone(exchange: Exchange<R, S>, plan?: Plan<R>): Verdict {
    if (plan !== undefined) this.#castShadows(exchange, plan);
    return exchange.before === undefined ? skipped : this.#responder.pass(exchange, exchange.before);
  }

  #blocked({ entry }: NonNullable<Plan<R>['listed']>): Judgement {
    return blocked(entry.until, this.#clock.now() / 1_000);
  }

  #castShadows(exchange: Exchange<R, S>, plan: Plan<R>): void {
    if (plan.shadows === undefined) return;
    const { request, response, headers } = exchange;
    const { store } = this.#engine;
    const conclude: ShadowConclusion = (demand, decision) => {
      const { allowed, at } = decision;
      if (allowed && isSlot(demand)) this.#slots.freeWhenClosed(response, [demand], at);
      else if (allowed) this.#settling.watch(request, response, headers, new Hold(store, [demand], at));
      return this.#observers.shadowDecided(plan, demand, decision);
    };
    castShadows(store, plan.shadows, conclude, (error) => this.#observers.failed('A shadow', error));
  }

  /** The shadows of a request without a response: no place among those at work, which would never be free again. */
  #castRateShadows(plan: Plan<R>): void {
    if (plan.shadows === undefined) return;
    const shadows = plan.shadows.filter((demand) => !isSlot(demand));
    const conclude: ShadowConclusion = (demand, decision) => this.#observers.shadowDecided(plan, demand, decision);
    castShadows(this.#engine.store, shadows, conclude, (error) => this.#observers.failed('A shadow', error));
  }
}

/** Why a request that no limit is for passes. */
function unlimited({ exempt }: Plan<unknown>): Outcome['kind'] {
  return exempt === undefined ? 'unlimited' : 'allow-listed';
}

const none: readonly never[] = [];
