import { type Clock, checkClock, systemClock } from '../clock.js';
import type { Decision } from '../decision.js';
import { Engine } from '../engine/engine.js';
import { type Explanation, explain } from '../engine/explanation.js';
import { isSameState } from '../engine/line.js';
import { Plan } from '../engine/plan.js';
import { SluiceError } from '../errors.js';
import type { MaybePromise } from '../maybe-promise.js';
import type { PolicyText } from '../policy.js';
import { optionsBeforeAuth } from './before-auth.js';
import { Handling } from './handling.js';
import type { HeaderFields } from './headers.js';
import { Judging } from './judging.js';
import { Ledger, type RequestDecision } from './ledger.js';
import { Observers } from './observers.js';
import { checkOptions, maxDelayOf, type RateLimitOptions } from './options.js';
import type { Outcome } from './outcome.js';
import type { Parts } from './parts.js';
import type { HeaderSource, Reader, ResponseLike } from './reader.js';
import { Responder } from './responder.js';
import type { Verdict } from './verdict.js';

/**
 * A Pipeline is the whole of a rate limiting middleware but for the framework. It answers at once where the store and
 * the callbacks do, and with a promise where they do not, or where a request is held.
 */
export class Pipeline<R, S = unknown> {
  /** The name under which an adapter puts the decision on the request. */
  readonly property: string;
  readonly #early: Pipeline<R, S> | undefined;
  readonly #options: RateLimitOptions<R, S>;
  readonly #clock: Clock;
  readonly #engine: Engine<R>;
  readonly #responder: Responder<R, S>;
  readonly #handling: Handling<R, S>;
  readonly #judging: Judging<R, S>;

  /**
   * Whom a pipeline of the same `family` bans, this one refuses too.
   * @throws SluiceError for options that cannot work, with the remedy.
   */
  constructor(reader: Reader<R>, input: RateLimitOptions<R, S> | PolicyText = {}, family?: Pipeline<R, S>) {
    const given: RateLimitOptions<R, S> = typeof input === 'string' ? { limits: [input] } : input;
    checkOptions(given);
    // What is changed afterwards was not checked.
    const options = { ...given };
    const observers = new Observers(reader, options);
    const clock = checkClock(options.clock === undefined ? systemClock : options.clock, 'rateLimit');
    const maxDelay = maxDelayOf(options);
    const ban = family === undefined ? undefined : family.#engine.ban;
    const engine = new Engine(reader, options, clock, observers.warn, ban);
    const responder = new Responder(reader, options);
    const { voice } = responder;
    const parts: Parts<R, S> = { reader, options, maxDelay, engine, clock, observers, responder, voice };
    this.property = responder.response.property;
    if (this.property !== 'rateLimit') Ledger.keepElsewhere();
    this.#options = options;
    this.#clock = clock;
    this.#engine = engine;
    this.#responder = responder;
    const before = optionsBeforeAuth(options, engine.store);
    const early = before && new Pipeline(reader, before, this);
    this.#early = early;
    this.#handling = new Handling(parts, early === undefined ? undefined : early.#handling);
    this.#judging = new Judging(parts);
  }

  /**
   * Decides on a request. `headers` is where the framework collects the headers of the response.
   * Errors of callbacks are thrown, or reject the promise, and so are those of a store where `onStoreError` says so.
   */
  handle(request: R, response: ResponseLike, headers: S & HeaderSource): MaybePromise<Verdict> {
    return this.#handling.handle(request, response, headers);
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
    return this.#judging.judge(request, take);
  }

  /**
   * Charges what a request has cost, known only afterwards, to each limit it has: as far as the capacity goes, whether
   * the limit has it or not. The decision is as it is then, and refuses where a limit did not have it all; `undefined`
   * for a request that is not limited.
   * @throws SluiceError `INVALID_COST`; errors of a store that fails to charge, and whether it has is then not known.
   */
  charge(request: R, cost: number): Promise<RequestDecision | undefined> {
    return this.#judging.charge(request, cost);
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
}

const none: readonly never[] = [];
