import {
  type Clock,
  type Decision,
  type Explanation,
  type HeaderFields,
  isPromise,
  type Logger,
  type MaybePromise,
  type Outcome,
  type Pipeline,
  type RateLimitOptions,
  type Reader,
  type RequestDecision,
  type RequestEvent,
  SluiceError,
  type Store,
} from '@sluice/core';
import { cleanReading } from '@sluice/core/toolkit';
import type { Configuration, ListName, RuleDocument } from '../configuration/configuration.js';
import { keyNames } from '../digest.js';
import type { DefaultLimits } from '../settings/settings.js';
import type { UserDirectory } from '../users/user.js';
import { type Answer, answerOf } from './answer.js';
import type { Check } from './check.js';
import { ClientLists } from './client-lists.js';
import { type Limited, OwnLimits } from './own-limits.js';
import { createReader } from './reader.js';
import { Rulebook } from './rulebook.js';
import { ServiceStore, type StoreObserver } from './service-store.js';

/** What is told of each decision. */
export interface Observation {
  readonly outcome: 'allowed' | 'refused' | 'shadow-refused';
  readonly source: Decision['source'];
  readonly rule: string | undefined;
  readonly endpoint: string | undefined;
  readonly tier: string | undefined;
  readonly key: string;
  /** Whether at least 80 % of the limit is used, and none of it refused. */
  readonly near: boolean;
}

export interface DeciderOptions {
  readonly store: Store;
  readonly users: UserDirectory;
  readonly defaults: DefaultLimits;
  /** Rules and entries of lists that nobody can change while the service runs. */
  readonly rules: readonly RuleDocument[];
  readonly lists: { readonly [list in ListName]: readonly string[] };
  readonly headers: NonNullable<RateLimitOptions<Check>['headers']>;
  readonly clock: Clock;
  readonly observe: (observation: Observation) => void;
  readonly observeStore: StoreObserver;
  readonly logger: Logger;
}

/** An answer, and the header fields that tell the same. */
export interface Answered {
  readonly answer: Answer;
  readonly headers: HeaderFields;
}

/** Decisions of a batch that are under way together: their store answers the last of them within its deadline, too. */
const atOnce = 64;
const noFields: HeaderFields = {};
const looks = 300;
/** An address of documentation, RFC 5737. */
const nobody: Check = { ip: '192.0.2.0', method: 'GET', endpoint: '/' };
/** A Decider decides on checks, by the rules and lists of the configuration that was applied last. */
export class Decider {
  readonly #options: DeciderOptions;
  readonly #reader: Reader<Check>;
  readonly #own: OwnLimits;
  readonly #lists: ClientLists;
  #rules: ReadonlyMap<string, { readonly version: number }> | undefined;
  #book: Rulebook;
  #isWarmingUp = false;

  constructor(options: DeciderOptions) {
    const { clock, lists, logger } = options;
    this.#options = options;
    this.#reader = createReader((message) => logger.warn(message));
    this.#own = new OwnLimits(options.users, clock);
    this.#lists = new ClientLists(lists, clock);
    this.#book = this.#compile([]);
  }

  /**
   * Decides by that configuration from now on. Counts of rules that it leaves as they are go on. A rule that cannot
   * stand beside an earlier one is `inactive`.
   * @throws SluiceError for rules that cannot be read; all is then as it was.
   */
  apply(configuration: Configuration): void {
    if (!isSame(this.#rules, configuration.rules)) {
      const stored = [...configuration.rules.values()].sort((a, b) => a.version - b.version);
      this.#book = this.#compile(stored.map(({ rule }) => rule));
      this.#rules = configuration.rules;
      for (const [id, why] of this.inactive) this.#options.logger.warn(`The rule '${id}' is not in force. ${why}`);
    }
    this.#lists.apply(configuration);
  }

  /** Rules that are not in force, by their ids, and why. */
  get inactive(): ReadonlyMap<string, string> {
    return this.#book.inactive;
  }

  /** Why a rule cannot stand beside the others; `undefined` where it can. */
  rivalOf(rule: RuleDocument): string | undefined {
    return this.#book.rivalOf(rule);
  }

  /**
   * Looks at what nobody has taken, until the store has told its time and the code is compiled: the first requests would
   * wait for both, and a late answer is taken for a store that is slow. How long the store takes meanwhile is not told.
   */
  async warmUp(): Promise<void> {
    this.#isWarmingUp = true;
    try {
      for (let i = 0; i < looks; i++) await this.#book.pipelineOf(nobody).judge(nobody, false);
    } finally {
      this.#isWarmingUp = false;
    }
  }

  /** Decides, and charges. */
  check(check: Check): MaybePromise<Answered> {
    const user = this.#own.see(check);
    return isPromise(user) ? user.then(() => this.#check(check)) : this.#check(check);
  }

  /**
   * The first of the checks that a rule counts by an address it does not have, if there is one: it cannot be decided on,
   * and nothing is charged to find out.
   */
  async uncountable(checks: readonly Check[]): Promise<number | undefined> {
    if (!this.#book.countsByIdentity) return undefined;
    for (const [i, check] of checks.entries()) {
      if (check.ip !== undefined) continue;
      try {
        await this.#book.pipelineOf(check).judge(check, false);
      } catch (error) {
        if (error instanceof SluiceError && error.code === 'NO_IDENTITY') return i;
        throw error;
      }
    }
    return undefined;
  }

  /** Decides on all, each as `check` would, the first ones first. */
  async checkAll(checks: readonly Check[]): Promise<readonly Answered[]> {
    const users = new Map(checks.map((check) => [check.userId, check]));
    await inParts([...users.values()], (check) => this.#own.see(check));
    return inParts(checks, (check) => this.#check(check));
  }

  /** Charges what is known to have cost so much, as far as the limits go. */
  async report(check: Check, cost: number): Promise<Answered> {
    await this.#own.see(check);
    const book = this.#book;
    const pipeline = book.pipelineOf(check);
    const decision = await pipeline.charge(check, cost);
    if (decision === undefined) return this.#answer(book, pipeline, check, await pipeline.judge(check, false));
    const { key, rule, tier, allowed } = decision;
    const kind = allowed ? 'granted' : decision.source === 'closed' ? 'unavailable' : 'quota';
    return this.#answer(book, pipeline, check, { kind, decision, key, rule, tier });
  }

  /** What `check` would answer, and why; nothing is charged. */
  async simulate(check: Check): Promise<{ readonly answer: Answer; readonly explanation: Explanation }> {
    await this.#own.look(check);
    const book = this.#book;
    const pipeline = book.pipelineOf(check);
    const explanation = await pipeline.explain(check);
    const outcome = await pipeline.judge(check, false);
    return { answer: this.#answer(book, pipeline, check, outcome).answer, explanation };
  }

  /** The state of every policy for a user, each with the id of its rule; `user` has the limits that go for him. */
  async status(user: Limited): Promise<readonly { readonly rule: string | undefined; readonly state: Decision }[]> {
    this.#own.set(user);
    const book = this.#book;
    const states = await book.pipeline.get(keyNames.user(user.id), true);
    const told = states.filter(({ policy, resetAfter }) => {
      // For who has limits of his own, those of everybody say nothing.
      if (policy === 'default' && user.limits !== undefined) return false;
      const { identity = 'user' } = book.ruleOf(policy, undefined) ?? {};
      // Others count addresses and API keys; so do ceilings, and users only where API keys came with them.
      return resetAfter > 0 || (identity === 'user' && !policy.endsWith('-ceiling'));
    });
    return told.map((state) => ({ rule: book.ruleOf(state.policy, undefined)?.id, state }));
  }

  /** Forgets what the user has taken from every policy. */
  async reset(user: Limited): Promise<void> {
    this.#own.set(user);
    await this.#book.pipeline.reset(keyNames.user(user.id));
  }

  #check(check: Check): MaybePromise<Answered> {
    const book = this.#book;
    const pipeline = book.pipelineOf(check);
    const outcome = pipeline.judge(check, true);
    if (isPromise(outcome)) return outcome.then((later) => this.#conclude(book, pipeline, check, later));
    return this.#conclude(book, pipeline, check, outcome);
  }

  #conclude(book: Rulebook, pipeline: Pipeline<Check>, check: Check, outcome: Outcome): Answered {
    const answered = this.#answer(book, pipeline, check, outcome);
    const { allowed, source } = answered.answer;
    const rule = answered.answer.rule ?? undefined;
    this.#options.observe({
      outcome: allowed ? 'allowed' : 'refused',
      source,
      rule,
      endpoint: endpointOf(book.ruleOf(rule, undefined), check),
      tier: book.tierOf(check),
      key: outcome.key ?? '',
      near: allowed && isNear(outcome.decision as RequestDecision | undefined),
    });
    return answered;
  }

  #answer(book: Rulebook, pipeline: Pipeline<Check>, check: Check, outcome: Outcome): Answered {
    const rule = book.ruleOf(outcome.decision?.policy, outcome.rule)?.id;
    const headers =
      outcome.decision === undefined || outcome.kind === 'blocked'
        ? noFields
        : pipeline.headersOf(outcome.decision as RequestDecision);
    return { answer: answerOf(outcome, rule, book.tierOf(check)), headers };
  }

  #compile(stored: readonly RuleDocument[]): Rulebook {
    const { store, defaults, headers, clock, rules, observeStore, logger } = this.#options;
    const options: RateLimitOptions<Check> = {
      ...defaults,
      overrides: this.#own.overrides,
      lists: { allow: this.#lists.allow, block: this.#lists.block },
      identity: { apiKey: (check) => check.apiKey, user: (check) => check.userId },
      cost: (check) => check.cost ?? 1,
      headers,
      clock,
      // One of its own for each set of rules: a rule may have other numbers in the next.
      store: new ServiceStore(store, (ms, failed) => {
        if (!this.#isWarmingUp) observeStore(ms, failed);
      }),
      onDecision: (event) => this.#observeShadow(event),
      logger,
    };
    return new Rulebook(this.#reader, options, [...rules, ...stored]);
  }

  #observeShadow({ mode, decision, rule, request, key }: RequestEvent<Check>): void {
    if (mode !== 'shadow' || decision.allowed) return;
    const book = this.#book;
    const found = book.ruleOf(decision.policy, rule);
    this.#options.observe({
      outcome: 'shadow-refused',
      source: decision.source,
      rule: found?.id,
      endpoint: endpointOf(found, request),
      tier: book.tierOf(request),
      key,
      near: false,
    });
  }
}

/** The results in order, of which some are under way together. Those that are there at once are not waited for. */
async function inParts<T, R>(all: readonly T[], work: (one: T) => MaybePromise<R>): Promise<readonly R[]> {
  const results: R[] = [];
  for (let i = 0; i < all.length; i += atOnce) {
    const part = all.slice(i, i + atOnce).map(work);
    results.push(...(part.some(isPromise) ? await Promise.all(part) : (part as R[])));
  }
  return results;
}

function isSame(
  a: ReadonlyMap<string, { readonly version: number }> | undefined,
  b: ReadonlyMap<string, { readonly version: number }>,
): boolean {
  if (a === undefined || a.size !== b.size) return false;
  for (const [id, { version }] of b) if (a.get(id)?.version !== version) return false;
  return true;
}

/** Whether at least 80 % of what can be taken at once is taken. */
function isNear(decision: RequestDecision | undefined): boolean {
  return decision !== undefined && decision.used >= 4 * decision.remaining;
}

/** What a decision is counted under: the endpoint of its rule, else the path that was asked for. */
function endpointOf(rule: RuleDocument | undefined, { endpoint }: Check): string | undefined {
  if (rule !== undefined) return rule.endpoint;
  return endpoint === undefined ? undefined : (cleanReading(endpoint) ?? '(unusual)');
}
