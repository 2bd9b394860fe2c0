import { checkCost } from '../charge.js';
import { charging } from '../charging.js';
import { isSlot, type Judgement } from '../engine/judgement.js';
import { Plan } from '../engine/plan.js';
import { castShadows, type ShadowConclusion } from '../engine/shadows.js';
import { isPromise, type MaybePromise } from '../maybe-promise.js';
import type { RequestDecision } from './ledger.js';
import type { Outcome } from './outcome.js';
import { judgementOn, ledgerOf, type Parts } from './parts.js';

const skipped: Outcome = {
  kind: 'skipped',
  decision: undefined,
  key: undefined,
  rule: undefined,
  tier: undefined,
};

/** Judging decides on requests whose response is somebody else's: nothing is held, and no place at work is taken. */
export class Judging<R, S> {
  readonly #parts: Parts<R, S>;

  constructor(parts: Parts<R, S>) {
    this.#parts = parts;
  }

  /** `take` says whether the request is charged. */
  judge(request: R, take: boolean): MaybePromise<Outcome> {
    const skip = this.#parts.options.skip?.(request);
    if (isPromise(skip)) return skip.then((yes) => (yes ? skipped : this.#plan(request, take)));
    return skip ? skipped : this.#plan(request, take);
  }

  /**
   * Charges what a request has cost, known only afterwards, to each limit it has: as far as the capacity goes, whether
   * the limit has it or not.
   */
  async charge(request: R, cost: number): Promise<RequestDecision | undefined> {
    checkCost(cost);
    const { options, engine, observers } = this.#parts;
    if ((await options.skip?.(request)) ?? false) return undefined;
    const plan = new Plan(request);
    await engine.planner.complete(plan);
    if (plan.listed !== undefined) return undefined;
    plan.demands = plan.demands.filter(({ line }) => line.kind === 'limit' || line.kind === 'ceiling');
    const { demands } = plan;
    if (demands.length === 0) return undefined;
    const { store, judge } = engine;
    const charges = demands.map((demand) => ({ ...demand, policy: charging(demand.policy), cost }));
    // One by one: of several that are decided together, a refusal of one keeps the others from being charged.
    const answers = (await Promise.all(charges.map((one) => store.consume([one])))).flat();
    const judgement = judge.look(demands, answers);
    await observers.decided(plan, judgement);
    return ledgerOf(this.#parts, undefined, plan, judgement, undefined);
  }

  #plan(request: R, take: boolean): MaybePromise<Outcome> {
    const plan = new Plan(request);
    const completed = this.#parts.engine.planner.complete(plan);
    if (isPromise(completed)) return completed.then(() => this.#ask(plan, take));
    return this.#ask(plan, take);
  }

  #ask(plan: Plan<R>, take: boolean): MaybePromise<Outcome> {
    const { listed } = plan;
    const { engine, clock } = this.#parts;
    if (listed?.list === 'allow') return this.#outcome(plan, 'allow-listed');
    if (listed !== undefined) return this.#conclude(plan, judgementOn(listed, clock), take);
    plan.demands = plan.demands.filter((demand) => !isSlot(demand));
    const { demands } = plan;
    if (demands.length === 0) {
      if (take) this.#castShadows(plan);
      return this.#outcome(plan, unlimited(plan));
    }
    const { judge, store } = engine;
    if (!take) {
      const answers = store.peek(demands);
      if (isPromise(answers)) return answers.then((later) => this.#conclude(plan, judge.look(demands, later), take));
      return this.#conclude(plan, judge.look(demands, answers), take);
    }
    const judgement = judge.judge(plan);
    if (isPromise(judgement)) return judgement.then((later) => this.#conclude(plan, later, take));
    return this.#conclude(plan, judgement, take);
  }

  #conclude(plan: Plan<R>, judgement: Judgement, take: boolean): MaybePromise<Outcome> {
    const { refusal } = judgement;
    if (take && refusal === undefined) this.#castShadows(plan);
    // Only asked whether the client is banned.
    if (refusal === undefined && !plan.isLimited) return this.#outcome(plan, unlimited(plan));
    const kind = refusal ?? 'granted';
    const told = take ? this.#parts.observers.decided(plan, judgement) : undefined;
    if (isPromise(told)) return told.then(() => this.#outcome(plan, kind, judgement));
    return this.#outcome(plan, kind, judgement);
  }

  #outcome(plan: Plan<R>, kind: Outcome['kind'], judgement?: Judgement): Outcome {
    const decision = judgement && ledgerOf(this.#parts, undefined, plan, judgement, undefined);
    return { kind, decision, key: decision?.key ?? plan.identity?.key, rule: plan.rule, tier: plan.tier };
  }

  /** The shadows but for places among the requests at work, which would never be free again. */
  #castShadows(plan: Plan<R>): void {
    if (plan.shadows === undefined) return;
    const { engine, observers } = this.#parts;
    const shadows = plan.shadows.filter((demand) => !isSlot(demand));
    const conclude: ShadowConclusion = (demand, decision) => observers.shadowDecided(plan, demand, decision);
    castShadows(engine.store, shadows, conclude, observers.shadowFailed);
  }
}

/** Why a request that no limit is for passes. */
function unlimited({ exempt }: Plan<unknown>): Outcome['kind'] {
  return exempt === undefined ? 'unlimited' : 'allow-listed';
}
