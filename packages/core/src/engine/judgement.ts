import { combine, type Decision } from '../decision.js';
import { isPromise, type MaybePromise } from '../maybe-promise.js';
import type { Store } from '../store.js';
import { type Answered, recordBreaches } from './breaches.js';
import { type Demand, isSameState, type Line } from './line.js';
import type { Plan } from './plan.js';

/**
 * Why a request may not pass: its `quota` is used up; its key is `banned` for a while after too many refusals; nothing
 * could be counted, and so it is `unavailable`; or the client is on the list of those that are `blocked`.
 */
export type RefusalKind = 'quota' | 'banned' | 'unavailable' | 'blocked';

/** A Judgement is what a store has to say to a plan. */
export interface Judgement {
  readonly demands: readonly Demand[];
  /** One for each demand. */
  readonly answers: readonly Decision[];
  /** All of them in one, as the client is told. */
  readonly decision: Decision;
  /** Why the request may not pass; `undefined` where it may. */
  readonly refusal: RefusalKind | undefined;
}

/** A Judge charges plans, and has what it learns about a client remembered. */
export class Judge {
  readonly #store: Store;
  readonly #ban: Line | undefined;
  readonly #punishes: boolean;
  readonly #isPlain: boolean;
  readonly #report: (error: unknown) => void;

  /** `punishes`: whether a breach has consequences; `isPlain`: whether there are only limits and ceilings. */
  constructor(
    store: Store,
    ban: Line | undefined,
    { punishes, isPlain }: { punishes: boolean; isPlain: boolean },
    report: (error: unknown) => void,
  ) {
    this.#report = report;
    this.#store = store;
    this.#ban = ban;
    this.#punishes = punishes;
    this.#isPlain = isPlain;
  }

  judge({ demands, wider }: Plan<unknown>): MaybePromise<Judgement> {
    const answers = this.#store.consume(demands);
    if (isPromise(answers)) return answers.then((later) => this.#weigh(demands, wider, later));
    return this.#weigh(demands, wider, answers);
  }

  /** What the judgement would be, as far as it can be told without charging. */
  look(demands: readonly Demand[], answers: readonly Decision[]): Judgement {
    if (answers.every(({ allowed }) => allowed)) {
      return { demands, answers, decision: combineVisible(demands, answers), refusal: undefined };
    }
    return this.refuse(demands, answers, refusalOf(demands, answers));
  }

  /** A judgement that turns out otherwise than the store has said. */
  refuse(demands: readonly Demand[], answers: readonly Decision[], refusal: RefusalKind = 'quota'): Judgement {
    if (this.#isPlain) return { demands, answers, decision: combine(answers), refusal };
    const told = answers.map((answer, i) => asTold(answer, demands[i]!, demands));
    return { demands, answers: told, decision: combineVisible(demands, told), refusal };
  }

  #weigh(demands: readonly Demand[], wider: string | undefined, answers: readonly Decision[]): MaybePromise<Judgement> {
    let allowed = true;
    for (let i = 0; i < answers.length; i++) if (!answers[i]!.allowed) allowed = false;
    if (allowed) {
      const decision = this.#isPlain ? combine(answers) : combineVisible(demands, answers);
      return { demands, answers, decision, refusal: undefined };
    }
    const refusal = refusalOf(demands, answers);
    if (!this.#punishes || refusal === 'unavailable') return this.refuse(demands, answers, refusal);
    const breaches = recordBreaches(this.#store, demands, answers, this.#ban, wider, this.#report);
    const conclude = (recorded: readonly Answered[]): Judgement => {
      const banned = recorded.some(({ demand }) => demand.line.kind === 'ban');
      // What a breach has changed is told as it is now, and once.
      const all = demands.map((demand, i) => ({ demand, answer: answers[i]! }));
      const told = [
        ...all.filter(({ demand }) => !recorded.some((other) => isSameState(other.demand, demand))),
        ...recorded,
      ];
      return this.refuse(
        told.map(({ demand }) => demand),
        told.map(({ answer }) => answer),
        banned ? 'banned' : refusal,
      );
    };
    return isPromise(breaches) ? breaches.then(conclude) : conclude(breaches);
  }
}

/** The judgement on a client on the block list, at `at` milliseconds: for ever, or until the entry expires. */
export function blocked(until: number | undefined, at: number): Judgement {
  const retryAfter = until === undefined ? Number.POSITIVE_INFINITY : Math.max(0, until - at);
  const decision: Decision = {
    allowed: false,
    policy: 'block-list',
    limit: 0,
    remaining: 0,
    resetAfter: retryAfter,
    retryAfter,
    delay: 0,
    at,
    source: 'store',
  };
  return { demands: [], answers: [], decision, refusal: 'blocked' };
}

/** Whether a demand is for a place among the requests at work. */
export function isSlot({ line }: Demand): boolean {
  return line.kind === 'slot';
}

/** Whether a demand goes back with the request's units: no place among those at work, and nothing only looked at. */
export function isSpent({ line, cost }: Demand): boolean {
  return line.kind !== 'slot' && cost > 0;
}

function refusalOf(demands: readonly Demand[], answers: readonly Decision[]): RefusalKind {
  let refusal: RefusalKind = 'quota';
  for (const [i, { allowed, source }] of answers.entries()) {
    if (allowed) continue;
    if (source === 'closed') return 'unavailable';
    if (demands[i]!.line.kind === 'ban') refusal = 'banned';
  }
  return refusal;
}

/** The decision that the client is told of: by its own limits and their ceilings, and what else has refused. */
function combineVisible(demands: readonly Demand[], answers: readonly Decision[]): Decision {
  const visible = answers.filter(({ allowed }, i) => {
    const { kind } = demands[i]!.line;
    return !allowed || kind === 'limit' || kind === 'ceiling';
  });
  return visible.length > 0 ? combine(visible) : boundless(answers[0]!);
}

/** The decision where nothing but the number of requests at work is limited, and there is a place. */
function boundless(decision: Decision): Decision {
  return { ...decision, limit: Number.POSITIVE_INFINITY, remaining: Number.POSITIVE_INFINITY, resetAfter: 0 };
}

/**
 * A refusal as the client is told of it. A place among the requests at work may be free at any moment; the log behind it
 * knows only when it surely is. A penalty has no limit but that of the client, and counts breaches.
 */
function asTold(answer: Decision, { line, key }: Demand, demands: readonly Demand[]): Decision {
  if (answer.allowed) return answer;
  switch (line.kind) {
    case 'slot':
      return answer.retryAfter === Number.POSITIVE_INFINITY ? answer : { ...answer, retryAfter: 1_000 };
    case 'block':
    case 'ban': {
      const limits = demands.filter((one) => one.line.kind === 'limit');
      const own = limits.find((one) => one.key === key) ?? limits[0];
      return own === undefined ? answer : { ...answer, limit: own.policy.limit };
    }
    default:
      return answer;
  }
}
