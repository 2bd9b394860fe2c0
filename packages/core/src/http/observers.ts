import type { Decision } from '../decision.js';
import type { Judgement } from '../engine/judgement.js';
import type { Demand } from '../engine/line.js';
import type { Plan } from '../engine/plan.js';
import { messageOf, SluiceError, show } from '../errors.js';
import { isPromise } from '../maybe-promise.js';
import type { RateLimitOptions } from './options.js';
import type { Reader } from './reader.js';

/** Observers are told what a limiter decides, and what goes wrong with it. */
export class Observers<R> {
  readonly #onDecision: RateLimitOptions<R>['onDecision'];
  readonly #info: ((message: string) => void) | undefined;
  /** Tells the operator something. */
  readonly warn: (message: string) => void;

  constructor(reader: Reader<R>, { onDecision, logger }: RateLimitOptions<R, never>) {
    this.#onDecision = onDecision;
    this.#info = logger?.info === undefined ? undefined : guarded((message) => logger.info!(`rateLimit ${message}`));
    this.warn = guarded(logger === undefined ? (message) => reader.warn(message) : (message) => logger.warn(message));
  }

  /** Answers with what an observer returns: one that takes its time is waited for, and may fail the request. */
  decided(plan: Plan<R>, judgement: Judgement): unknown {
    const { decision, demands } = judgement;
    if (!decision.allowed) this.#info?.(`refused ${keyOf(plan, judgement)}: ${sentence(decision, plan.rule)}`);
    if (this.#onDecision === undefined) return undefined;
    const { request, rule, tier } = plan;
    const cost = demands[0]?.cost ?? 0;
    return this.#onDecision({ decision, key: keyOf(plan, judgement), cost, request, mode: 'enforce', rule, tier });
  }

  shadowDecided(plan: Plan<R>, { key, cost, line }: Demand, decision: Decision): unknown {
    if (!decision.allowed) this.#info?.(`would have refused ${key}: ${sentence(decision, line.rule)} (shadow)`);
    const rule = line.rule ?? plan.rule;
    const tier = line.tier ?? plan.tier;
    return this.#onDecision?.({ decision, key, cost, request: plan.request, mode: 'shadow', rule, tier });
  }

  /** Tells that the store has failed to count for a shadow, which is no failure of the request. */
  readonly shadowFailed = (error: unknown): void => this.failed('A shadow', error);

  failed(what: string, error: unknown): void {
    this.warn(`${what} failed: ${messageOf(error)}`);
  }
}

/** A log that fails is no reason to fail a request, let alone the process. */
function guarded(log: (message: string) => unknown): (message: string) => void {
  return (message) => {
    try {
      const logged = log(message);
      if (isPromise(logged)) logged.then(undefined, () => {});
    } catch {}
  };
}

/** Whom a judgement is about: whom the policy that decided counts. */
export function keyOf<R>({ identity }: Plan<R>, { demands, decision }: Judgement): string {
  const first = demands[0];
  if (first === undefined) return identity?.key ?? '';
  if (first.policy.name === decision.policy) return first.key;
  return (demands.find(({ policy }) => policy.name === decision.policy) ?? first).key;
}

function sentence({ policy, retryAfter, source }: Decision, rule: string | undefined): string {
  const when = retryAfter === Number.POSITIVE_INFINITY ? 'for good' : `for ${Math.ceil(retryAfter)} ms`;
  return `policy '${policy}'${rule === undefined ? '' : ` of rule '${rule}'`}, ${when}, by ${source}`;
}

/** Frameworks take some of what is no error, `undefined` above all, for the sign to go on. */
export function rethrow(error: unknown): never {
  if (typeof error === 'object' && error !== null) throw error;
  throw new SluiceError('INVALID_ERROR', `A callback of rateLimit threw ${show(error)}; let it throw an Error.`, {
    cause: error,
  });
}
