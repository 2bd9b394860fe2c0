import { type Clock, checkClock, systemClock } from '../clock.js';
import type { Decision } from '../decision.js';
import { SluiceError } from '../errors.js';
import { isPromise, type MaybePromise } from '../maybe-promise.js';
import type { PolicyText } from '../policy.js';
import { Hold } from '../reservation.js';
import { Engine } from './engine.js';
import type { Exchange } from './exchange.js';
import { type Explanation, explain } from './explanation.js';
import { blocked, isSlot, isSpent, type Judgement } from './judgement.js';
import { Ledger, type RequestDecision } from './ledger.js';
import { keyOf, Observers, rethrow } from './observers.js';
import { checkOptions, maxDelayOf, type RateLimitOptions } from './options.js';
import { Plan } from './plan.js';
import type { HeaderSource, Reader, ResponseLike } from './reader.js';
import { Responder } from './responder.js';
import { Settling } from './settling.js';
import { castShadows, freeWhenClosed } from './shadows.js';
import { hold, impatient } from './shaping.js';
import type { Verdict } from './verdict.js';

const skipped: Verdict = { action: 'skip' };
const gone: Verdict = { action: 'gone' };

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

  /**
   * Whom a pipeline of the same `family` bans, this one refuses too.
   * @throws SluiceError for options that cannot work, with the remedy.
   */
  constructor(reader: Reader<R>, input: RateLimitOptions<R, S> | PolicyText = {}, family?: Pipeline<R, S>) {
    const options: RateLimitOptions<R, S> = typeof input === 'string' ? { limits: [input] } : input;
    checkOptions(options);
    this.#reader = reader;
    this.#options = options;
    this.#observers = new Observers(reader, options);
    this.#clock = checkClock(options.clock === undefined ? systemClock : options.clock, 'rateLimit');
    const maxDelay = maxDelayOf(options);
    this.#maxDelay = options.shape === false ? Number.POSITIVE_INFINITY : maxDelay;
    this.#settling = new Settling(options, (error) => this.#observers.failed('skipSuccessful or skipFailed', error));
    const ban = family === undefined ? undefined : family.#engine.ban;
    this.#engine = new Engine(reader, options, this.#clock, this.#observers.warn, ban);
    this.#responder = new Responder(reader, options);
    if (this.property !== 'rateLimit') Ledger.keepElsewhere();
    this.#early = this.#earlyPhase();
  }

  /** The name under which an adapter puts the decision on the request. */
  get property(): string {
    return this.#responder.response.property;
  }

  /**
   * Decides on a request. `headers` is where the framework collects the headers of the response.
   * Errors of callbacks and of the store are thrown, or reject the promise.
   */
  handle(request: R, response: ResponseLike, headers: S & HeaderSource): MaybePromise<Verdict> {
    try {
      const verdict = this.#begin({ request, response, headers });
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
    if ((await this.#options.skip?.(request)) ?? false) return undefined;
    const plan = new Plan(request);
    await this.#engine.planner.complete(plan);
    if (plan.listed?.list === 'allow') return undefined;
    plan.demands = plan.demands.filter((demand) => !isSlot(demand));
    const { demands, listed } = plan;
    let judgement: Judgement;
    if (listed !== undefined) judgement = this.#blocked(listed);
    else if (demands.length === 0) return undefined;
    else if (take) judgement = await this.#engine.judge.judge(plan);
    else judgement = this.#engine.judge.look(demands, await this.#engine.store.peek(demands));
    if (judgement.refusal === undefined && !plan.isLimited) return undefined;
    if (take) await this.#observers.decided(plan, judgement);
    return this.#ledger(undefined, plan, judgement, undefined);
  }

  /** What a request would be told, and why; nothing is charged. Callbacks of the options are asked as for a request. */
  async explain(request: R): Promise<Explanation> {
    const skip = (await this.#options.skip?.(request)) ?? false;
    const plan = new Plan(request);
    if (!skip) await this.#engine.planner.complete(plan);
    return explain(plan, skip, this.#engine.store, this.#clock);
  }

  /** The state of every policy from which the key has taken something, or that blocks it. */
  get(key: string): Promise<readonly Decision[]> {
    return this.#engine.get(key);
  }

  /** Forgets what the key has taken, and whether it is blocked or banned. */
  reset(key: string): Promise<void> {
    return this.#engine.reset(key);
  }

  /** Lets the store go, and closes it if it is the limiter's own. */
  async close(): Promise<void> {
    await this.#early?.close();
    await this.#engine.close();
  }

  #begin(exchange: Exchange<R, S>): MaybePromise<Verdict> {
    const { request, response, headers } = exchange;
    const early = this.#early;
    if (early === undefined || Ledger.includes(Ledger.on(request, this.#reader), early)) return this.#skip(exchange);
    const goOn = (verdict: Verdict): MaybePromise<Verdict> => {
      if (verdict.action === 'pass') exchange.before = verdict.decision as Ledger;
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
    if (exchange.response.destroyed) return gone;
    const plan = new Plan(exchange.request);
    const completed = this.#engine.planner.complete(plan);
    return isPromise(completed) ? completed.then(() => this.#charge(exchange, plan)) : this.#charge(exchange, plan);
  }

  #charge(exchange: Exchange<R, S>, plan: Plan<R>): MaybePromise<Verdict> {
    const { demands, listed, shadows } = plan;
    if (listed?.list === 'allow') return this.#leaveAlone(exchange);
    if (listed !== undefined) return this.#tell(exchange, plan, this.#blocked(listed), undefined);
    if (demands.length === 0) {
      if (shadows !== undefined) this.#castShadows(exchange, plan);
      return this.#leaveAlone(exchange);
    }
    const judgement = this.#engine.judge.judge(plan);
    if (isPromise(judgement)) return judgement.then((later) => this.#conclude(exchange, plan, later));
    return this.#conclude(exchange, plan, judgement);
  }

  #conclude(exchange: Exchange<R, S>, plan: Plan<R>, judgement: Judgement): MaybePromise<Verdict> {
    const { demands, answers, decision, refusal } = judgement;
    if (refusal !== undefined) return this.#tell(exchange, plan, judgement, undefined);
    if (!plan.isLimited) {
      // Only asked whether the client is banned.
      if (plan.shadows !== undefined) this.#castShadows(exchange, plan);
      return this.#leaveAlone(exchange);
    }
    const { request, response, headers } = exchange;
    const { store, judge } = this.#engine;
    const taken = new Hold(store, this.#engine.isPlain ? demands : demands.filter(isSpent), decision.at);
    const slots = this.#engine.isPlain ? none : demands.filter(isSlot);
    if (decision.delay > this.#maxDelay) {
      taken.giveBack('refused');
      if (slots.length > 0) new Hold(store, slots, decision.at).giveBack('refused');
      const refusals = answers.map((one) => impatient(one, this.#maxDelay));
      return this.#tell(exchange, plan, judge.refuse(demands, refusals), undefined);
    }
    if (slots.length > 0) freeWhenClosed(response, new Hold(store, slots, decision.at));
    if (this.#settling.isNeeded) this.#settling.watch(request, response, headers, taken);
    if (plan.shadows !== undefined) this.#castShadows(exchange, plan);
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
    const earlier = exchange.before ?? Ledger.on(request, this.#reader);
    const ledger = this.#ledger(earlier, plan, judgement, taken);
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
    return new Ledger(earlier, { decision, key, rule, tier, demands, answers, hold: taken, owner: this });
  }

  #pass(exchange: Exchange<R, S>, ledger: Ledger): MaybePromise<Verdict> {
    const told: unknown = this.#options.onAllowed?.(exchange.request, ledger);
    if (isPromise(told)) return told.then(() => this.#responder.pass(exchange, ledger));
    return this.#responder.pass(exchange, ledger);
  }

  /** A request that this limiter leaves alone: with the headers of the phase before, if that ran as part of it. */
  #leaveAlone(exchange: Exchange<R, S>): Verdict {
    return exchange.before === undefined ? skipped : this.#responder.pass(exchange, exchange.before);
  }

  #blocked({ entry }: NonNullable<Plan<R>['listed']>): Judgement {
    return blocked(entry.until, this.#clock.now() / 1_000);
  }

  #castShadows(exchange: Exchange<R, S>, plan: Plan<R>): void {
    castShadows(
      this.#engine.store,
      plan.shadows!,
      exchange.response,
      (demand, decision) => this.#observers.shadowDecided(plan, demand, decision),
      (error) => this.#observers.failed('A shadow', error),
    );
  }

  /** The phase before authentication counts by address, and knows nobody but by it. */
  #earlyPhase(): Pipeline<R, S> | undefined {
    const { beforeAuth, name } = this.#options;
    if (beforeAuth === undefined) return undefined;
    const { identity, lists, headers, response, onLimited, onBanned, onDecision, logger, clock, skip, penalty, mode } =
      this.#options;
    const shared = {
      identity,
      lists,
      headers,
      response,
      onLimited,
      onBanned,
      onDecision,
      logger,
      clock,
      skip,
      penalty,
      mode,
    };
    const given = Object.fromEntries(Object.entries(shared).filter(([, value]) => value !== undefined));
    return new Pipeline(
      this.#reader,
      {
        ...(given as RateLimitOptions<R, S>),
        name: name === undefined ? 'before-auth' : `${name}-before-auth`,
        limits: (Array.isArray(beforeAuth) ? beforeAuth : [beforeAuth]) as NonNullable<RateLimitOptions<R>['limits']>,
        key: 'ip',
        store: this.#engine.store,
      },
      this,
    );
  }
}

const none: readonly never[] = [];
