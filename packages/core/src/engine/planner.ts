import { checkCost } from '../charge.js';
import { SluiceError, show } from '../errors.js';
import { type Identifier, type Identity, lotOf } from '../identity/identifier.js';
import { abandon, isPromise, type MaybePromise } from '../maybe-promise.js';
import type { RuleSet } from '../rules/rule-set.js';
import { isEnforced } from './enforcement.js';
import type { KeySource } from './limiting.js';
import type { Limits } from './limits.js';
import { isSameState, type Line } from './line.js';
import type { OverriddenLimits } from './overridden.js';
import type { Plan } from './plan.js';
import type { Quota } from './quota.js';
import type { Screen } from './screen.js';

export interface PlannerParts<R> {
  readonly identifier: Identifier<R>;
  readonly key: KeySource<R> | undefined;
  readonly screen: Screen<R> | undefined;
  readonly rules: RuleSet<R>;
  readonly overrides: OverriddenLimits | undefined;
  readonly tier: ((request: R) => MaybePromise<string | undefined>) | undefined;
  readonly tiers: readonly string[];
  readonly defaultTier: string | undefined;
  readonly ban: Line | undefined;
}

/** A Planner works out who sends a request, and what it is to be charged for. */
export class Planner<R> {
  readonly #parts: PlannerParts<R>;

  constructor(parts: PlannerParts<R>) {
    this.#parts = parts;
  }

  /** Completes the plan: at once, unless a callback takes its time. */
  complete(plan: Plan<R>): MaybePromise<void> {
    const identity = this.#identify(plan, this.#parts.key);
    if (isPromise(identity)) return identity.then((later) => this.#screen(plan, later));
    return this.#screen(plan, identity);
  }

  #identify({ request, identity }: Plan<R>, by: KeySource<R> | undefined): MaybePromise<Identity | undefined> {
    const { identifier } = this.#parts;
    if (by === undefined) return identifier.identify(request);
    if (by === 'ip') return identifier.address(request);
    if (by === 'user') return identifier.user(request);
    if (by === 'api-key') {
      // Whose key was verified, or found wanting, is known already.
      if (this.#parts.key === undefined && identity !== undefined) {
        return identity.from === 'api-key' ? identity : identifier.address(request);
      }
      const found = identifier.identify(request);
      const conclude = (one: Identity) => (one.from === 'api-key' ? one : identifier.address(request));
      return isPromise(found) ? found.then(conclude) : conclude(found);
    }
    const named = by(request);
    if (isPromise(named)) return named.then((later) => (later === false ? undefined : identifier.named(later)));
    return named === false ? undefined : identifier.named(named);
  }

  #screen(plan: Plan<R>, identity: Identity | undefined): MaybePromise<void> {
    plan.identity = identity;
    const { screen, tier } = this.#parts;
    if (screen !== undefined) {
      plan.listed = screen.find(plan.request, identity);
      if (plan.listed !== undefined) return undefined;
    }
    if (tier === undefined) return this.#select(plan, undefined);
    const named = tier(plan.request);
    return isPromise(named) ? named.then((later) => this.#select(plan, later)) : this.#select(plan, named);
  }

  #select(plan: Plan<R>, tier: unknown): MaybePromise<void> {
    const { rules, tiers, defaultTier } = this.#parts;
    plan.tier = tier !== undefined && tiers.includes(tier as string) ? (tier as string) : defaultTier;
    const { enforced, shadows } = rules.select(plan);
    // One reading of a path may be of a rule, and another of none.
    for (let i = 0; i < enforced.length && plan.rule === undefined; i++) plan.rule = enforced[i]!.rule;
    return this.#ask(plan, enforced, shadows, 0);
  }

  /** Asks one quota after another, from `next` on. */
  #ask(plan: Plan<R>, enforced: readonly Quota<R>[], shadows: readonly Quota<R>[], next: number): MaybePromise<void> {
    const all = enforced.length + shadows.length;
    for (let i = next; i < all; i++) {
      const isShadow = i >= enforced.length;
      const asked = this.#askOne(plan, isShadow ? shadows[i - enforced.length]! : enforced[i]!, isShadow);
      if (isPromise(asked)) return asked.then(() => this.#ask(plan, enforced, shadows, i + 1));
      if (plan.listed !== undefined) return undefined;
    }
    this.#watch(plan);
    return undefined;
  }

  #askOne(plan: Plan<R>, quota: Quota<R>, isShadow: boolean): MaybePromise<void> {
    const { by, screen } = quota;
    if (screen === undefined && this.#isIdle(quota)) return undefined;
    const identity = by === undefined ? plan.identity : this.#identify(plan, by);
    if (screen === undefined) return this.#askLimits(plan, quota, isShadow, identity);
    if (!isPromise(identity)) return this.#screenOne(plan, quota, isShadow, screen, identity);
    return identity.then((later) => this.#screenOne(plan, quota, isShadow, screen, later));
  }

  /** Whether a quota has nothing to charge for. */
  #isIdle(quota: Quota<R>): boolean {
    return quota.isEmpty && (quota.rule !== undefined || quota.percent === undefined || !this.#parts.overrides);
  }

  /** Goes by where the client stands in the lists of a rule. */
  #screenOne(
    plan: Plan<R>,
    quota: Quota<R>,
    isShadow: boolean,
    screen: Screen<R>,
    identity: Identity | undefined,
  ): MaybePromise<void> {
    const listed = screen.find(plan.request, plan.identity, identity);
    if (listed === undefined) return this.#isIdle(quota) ? undefined : this.#askLimits(plan, quota, isShadow, identity);
    // It refuses nobody, and would not count whom its lists name.
    if (isShadow) return undefined;
    if (listed.list === 'allow') {
      plan.exempt ??= listed;
      return undefined;
    }
    plan.listed = listed;
    plan.rule = listed.rule;
    return undefined;
  }

  #askLimits(
    plan: Plan<R>,
    quota: Quota<R>,
    isShadow: boolean,
    identity: MaybePromise<Identity | undefined>,
  ): MaybePromise<void> {
    const { fixed } = quota;
    if (!isPromise(identity) && fixed !== undefined && typeof quota.cost === 'number') {
      return this.#charge(plan, quota, isShadow, identity, fixed, quota.cost);
    }
    const { request } = plan;
    let limits: MaybePromise<Limits> | undefined;
    let cost: MaybePromise<number>;
    try {
      limits = fixed ?? quota.limitsOf(request, plan.tier);
      cost = typeof quota.cost === 'number' ? quota.cost : quota.cost(request);
    } catch (error) {
      abandon(identity);
      abandon(limits);
      throw error;
    }
    if (!isPromise(identity) && !isPromise(limits) && !isPromise(cost)) {
      return this.#charge(plan, quota, isShadow, identity, limits, cost);
    }
    return Promise.all([identity, limits, cost]).then(([identity, limits, cost]) =>
      this.#charge(plan, quota, isShadow, identity, limits, cost),
    );
  }

  #charge(
    plan: Plan<R>,
    quota: Quota<R>,
    isShadow: boolean,
    identity: Identity | undefined,
    limits: Limits,
    cost: number,
  ): void {
    if (identity === undefined) return;
    checkCost(cost);
    const { key, ceilings, wider } = identity;
    if (wider !== undefined) plan.wider = wider;
    const lot = lotOf(identity);
    const shadow = isShadow || (quota.rule === undefined && !isEnforced(quota.percent!, lot));
    const charged = quota.rule === undefined ? (this.#parts.overrides?.find(key) ?? limits) : limits;
    const { own } = charged;
    for (const line of own) this.#add(plan, line, key, cost, shadow || !isEnforced(line.percent, lot));
    for (const ceiling of ceilings) {
      for (const line of charged.ceilings)
        this.#add(plan, line, ceiling, cost, shadow || !isEnforced(line.percent, lot));
    }
    if (quota.slot !== undefined && quota.rule !== undefined) this.#add(plan, quota.slot, key, 1, shadow);
    if (own.length === 0 && quota.slot === undefined) return;
    plan.isCounted = true;
    if (shadow) return;
    plan.isLimited = true;
    if (quota.block === undefined || own.length === 0) return;
    this.#add(plan, quota.block, key, 0, false);
    // Another identity of the same neighbourhood is no way around a block, or a ban.
    for (const ceiling of ceilings) this.#add(plan, quota.block, ceiling, 0, false);
  }

  #add(plan: Plan<R>, line: Line, key: string, cost: number, shadow: boolean): void {
    const demand = { policy: line.policy, key, cost, line };
    if (shadow) {
      plan.shadows ??= [];
      plan.shadows.push(demand);
      return;
    }
    const { demands } = plan;
    if (demands.length === 0) {
      // Most requests have one: a list that grows takes room for sixteen more.
      plan.demands = [demand];
      return;
    }
    // Several readings of a path, or rules of one group, ask the same policy once.
    for (let i = 0; i < demands.length; i++) {
      const other = demands[i]!;
      if (!isSameState(other, demand)) continue;
      if (cost > other.cost) demands[i] = demand;
      return;
    }
    demands.push(demand);
  }

  /** What goes for every request: how many are at work, if it is limited at all; and whether the client is banned. */
  #watch(plan: Plan<R>): void {
    const { ban, rules } = this.#parts;
    const { identity } = plan;
    const { slot, percent } = rules.others;
    if (slot !== undefined && percent !== undefined && plan.isCounted && identity !== undefined) {
      this.#add(plan, slot, identity.key, 1, !isEnforced(percent, lotOf(identity)));
    }
    if (ban === undefined) return;
    const { demands } = plan;
    const charged = demands.length;
    for (let i = 0; i < charged; i++) {
      const { key, line } = demands[i]!;
      if (line.kind === 'limit' || line.kind === 'ceiling') this.#add(plan, ban, key, 0, false);
    }
    if (identity === undefined) return;
    this.#add(plan, ban, identity.key, 0, false);
    for (const ceiling of identity.ceilings) this.#add(plan, ban, ceiling, 0, false);
  }
}

/** @throws SluiceError `INVALID_OPTION` for what names nobody. */
export function checkKeySource(by: unknown, where: string): void {
  if (by === undefined || typeof by === 'function' || by === 'ip' || by === 'user' || by === 'api-key') return;
  throw new SluiceError(
    'INVALID_OPTION',
    `${where} must be a function of the request, 'ip', 'user' or 'api-key', not ${show(by)}.`,
  );
}
