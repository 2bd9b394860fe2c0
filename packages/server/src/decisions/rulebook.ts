import { Pipeline, type RateLimitOptions, type Reader, type Rule } from '@sluice/core';
import { parsePattern } from '@sluice/core/toolkit';
import type { RuleDocument } from '../configuration/configuration.js';
import { policyOf } from '../configuration/rule-document.js';
import { matchOf, RuleRoutes } from '../configuration/rule-routes.js';
import type { Check } from './check.js';

/** The pipelines of one tier. */
interface Routed {
  /** Of checks that name an endpoint, and of those that do not: only rules for any endpoint are about these. */
  readonly byEndpoint: Pipeline<Check>;
  readonly anywhere: Pipeline<Check>;
}

/**
 * A Rulebook is one set of rules, ready to decide. Each tier has pipelines of its own, with the rules that are for it
 * and those for all; they share the store, and so the counts of the rules for all.
 */
export class Rulebook {
  readonly #rules: ReadonlyMap<string, RuleDocument>;
  readonly #idsByMatch = new Map<string, string>();
  readonly #tiers = new Map<string, Routed>();
  readonly #untiered: Routed;
  readonly #countsByIdentity: boolean;

  /** Rules that are not in force, by their ids, and why: of two that cannot stand beside one another the later one. */
  readonly inactive: ReadonlyMap<string, string>;

  /** The earlier ones of the rules come first. */
  constructor(reader: Reader<Check>, options: RateLimitOptions<Check>, rules: readonly RuleDocument[]) {
    const routes = new RuleRoutes();
    const inactive = new Map<string, string>();
    const active: RuleDocument[] = [];
    for (const rule of rules) {
      const conflict = routes.conflictOf(rule);
      if (conflict !== undefined) {
        inactive.set(rule.id, conflict);
        continue;
      }
      routes.add(rule);
      if (rule.mode !== 'off') active.push(rule);
    }
    this.inactive = inactive;
    this.#countsByIdentity = active.some(({ identity }) => identity !== undefined);
    this.#rules = new Map(active.map((rule) => [rule.id, rule]));
    for (const rule of [...active].sort((a, b) => (a.priority ?? 0) - (b.priority ?? 0))) {
      this.#idsByMatch.set(matchOf(rule), rule.id);
    }
    const routed = (own: readonly RuleDocument[]): Routed => ({
      byEndpoint: new Pipeline(reader, { ...options, rules: own.map(toRule) }),
      anywhere: new Pipeline(reader, { ...options, rules: own.filter(isAnywhere).map(toRule) }),
    });
    const untiered = active.filter(({ tier }) => tier === undefined);
    this.#untiered = routed(untiered);
    for (const tier of new Set(active.flatMap(({ tier }) => tier ?? []))) {
      const own = active.filter((rule) => rule.tier === tier);
      this.#tiers.set(tier, routed([...own, ...untiered.flatMap((rule) => besides(rule, own))]));
    }
  }

  /** Whether any rule says itself who is counted, so that a check may lack what it counts by. */
  get countsByIdentity(): boolean {
    return this.#countsByIdentity;
  }

  /** What decides on a check. */
  pipelineOf({ tier, endpoint }: Check): Pipeline<Check> {
    const routed = (tier === undefined ? undefined : this.#tiers.get(tier)) ?? this.#untiered;
    return endpoint === undefined ? routed.anywhere : routed.byEndpoint;
  }

  /** The tier that the check is of, if there are rules for it. */
  tierOf({ tier }: Check): string | undefined {
    return tier !== undefined && this.#tiers.has(tier) ? tier : undefined;
  }

  /** One pipeline of each tier, with all rules for it. */
  *pipelines(): Iterable<Pipeline<Check>> {
    yield this.#untiered.byEndpoint;
    for (const { byEndpoint } of this.#tiers.values()) yield byEndpoint;
  }

  /** The rule that a policy is of, or else the one that a pipeline names by its route. */
  ruleOf(policy: string | undefined, match: string | undefined): RuleDocument | undefined {
    const own = policy === undefined ? undefined : this.#rules.get(policy.replace(/-ceiling$/, ''));
    if (own !== undefined || match === undefined) return own;
    return this.#rules.get(this.#idsByMatch.get(match) ?? '');
  }
}

function isAnywhere({ endpoint }: RuleDocument): boolean {
  return endpoint === '*' || endpoint === '/*';
}

function toRule(rule: RuleDocument): Rule<Check> {
  const { id, unlimited, mode, priority, identity, lists } = rule;
  return {
    match: matchOf(rule),
    name: id,
    ...(unlimited ? { limit: false } : numbersOf(rule)),
    ...(mode !== undefined && { mode }),
    ...(priority !== undefined && { priority }),
    ...(identity !== undefined && { by: identity }),
    ...(lists !== undefined && { lists }),
  };
}

function numbersOf(rule: RuleDocument): Partial<Rule<Check>> {
  const { name: _, ...numbers } = policyOf(rule);
  return numbers;
}

/**
 * What is left of a rule for all beside those of a tier: of two for the same path, method and priority, the one of the
 * tier applies. A shadow takes nothing from a rule that is enforced.
 */
function besides(rule: RuleDocument, ofTier: readonly RuleDocument[]): readonly RuleDocument[] {
  const { segments, methods } = parsePattern(matchOf(rule), 'endpoint');
  const path = segments.join('/');
  const rivals = ofTier
    .filter((other) => (other.priority ?? 0) === (rule.priority ?? 0) && isShadow(other) === isShadow(rule))
    .map((other) => parsePattern(matchOf(other), 'endpoint'))
    .filter((other) => other.segments.join('/') === path);
  if (rivals.length === 0) return [rule];
  if (methods.length === 0) return rivals.some((other) => other.methods.length === 0) ? [] : [rule];
  const left = methods.filter((method) => !rivals.some((other) => other.methods.includes(method)));
  return left.length === 0 ? [] : [{ ...rule, methods: left }];
}

function isShadow({ mode }: RuleDocument): boolean {
  return mode === 'shadow';
}
