import { Pipeline, type RateLimitOptions, type Reader, type Rule } from '@sluice/core';
import type { RuleDocument } from '../configuration/configuration.js';
import { policyOf } from '../configuration/rule-document.js';
import { matchOf, RuleRoutes } from '../configuration/rule-routes.js';
import type { Check } from './check.js';

/** A Rulebook is one set of rules, ready to decide. */
export class Rulebook {
  readonly #rules: ReadonlyMap<string, RuleDocument>;
  readonly #idsByMatch = new Map<string, string>();
  readonly #tiers: ReadonlySet<string>;
  /** Of checks that name an endpoint, and of those that do not: only rules for any endpoint are about these. */
  readonly #byEndpoint: Pipeline<Check>;
  readonly #anywhere: Pipeline<Check>;
  readonly #countsByIdentity: boolean;

  /** What the rules in force are about, and the others. */
  readonly #routes = new RuleRoutes();
  readonly #unused = new RuleRoutes();

  /** Rules that are not in force, by their ids, and why: of two that cannot stand beside one another the later one. */
  readonly inactive: ReadonlyMap<string, string>;

  /** The earlier ones of the rules come first. */
  constructor(reader: Reader<Check>, options: RateLimitOptions<Check>, rules: readonly RuleDocument[]) {
    const inactive = new Map<string, string>();
    const active: RuleDocument[] = [];
    for (const rule of rules) {
      const conflict = this.#routes.conflictOf(rule);
      if (conflict !== undefined) {
        inactive.set(rule.id, conflict);
        this.#unused.add(rule);
        continue;
      }
      this.#routes.add(rule);
      if (rule.mode !== 'off') active.push(rule);
    }
    this.inactive = inactive;
    this.#countsByIdentity = active.some(({ identity }) => identity !== undefined);
    this.#rules = new Map(active.map((rule) => [rule.id, rule]));
    for (const rule of [...active].sort((a, b) => (a.priority ?? 0) - (b.priority ?? 0))) {
      this.#idsByMatch.set(matchOf(rule), rule.id);
    }
    this.#tiers = new Set(active.flatMap(({ tier }) => tier ?? []));
    this.#byEndpoint = createPipeline(reader, options, active);
    this.#anywhere = createPipeline(reader, options, active.filter(isAnywhere));
  }

  /** Why a rule cannot stand beside the others, be they in force or not; `undefined` where it can. */
  rivalOf(rule: RuleDocument): string | undefined {
    return this.#routes.rivalOf(rule) ?? this.#unused.rivalOf(rule);
  }

  /** Whether any rule says itself who is counted, so that a check may lack what it counts by. */
  get countsByIdentity(): boolean {
    return this.#countsByIdentity;
  }

  /** What decides on a check. */
  pipelineOf({ endpoint }: Check): Pipeline<Check> {
    return endpoint === undefined ? this.#anywhere : this.#byEndpoint;
  }

  /** What has all rules. */
  get pipeline(): Pipeline<Check> {
    return this.#byEndpoint;
  }

  /** The tier that the check is of, if there are rules for it. */
  tierOf({ tier }: Check): string | undefined {
    return tier !== undefined && this.#tiers.has(tier) ? tier : undefined;
  }

  /** The rule that a policy is of, or else the one that a pipeline names by its route. */
  ruleOf(policy: string | undefined, match: string | undefined): RuleDocument | undefined {
    const own =
      policy === undefined ? undefined : (this.#rules.get(policy) ?? this.#rules.get(policy.replace(/-ceiling$/, '')));
    if (own !== undefined || match === undefined) return own;
    return this.#rules.get(this.#idsByMatch.get(match) ?? '');
  }
}

function createPipeline(
  reader: Reader<Check>,
  options: RateLimitOptions<Check>,
  rules: readonly RuleDocument[],
): Pipeline<Check> {
  const hasTiers = rules.some(({ tier }) => tier !== undefined);
  const tier = ({ tier }: Check) => tier;
  return new Pipeline(reader, { ...options, ...(hasTiers && { tier }), rules: rules.map(toRule) });
}

function isAnywhere({ endpoint }: RuleDocument): boolean {
  return endpoint === '*' || endpoint === '/*';
}

function toRule(rule: RuleDocument): Rule<Check> {
  const { id, unlimited, mode, priority, tier, identity, lists } = rule;
  return {
    match: matchOf(rule),
    name: id,
    ...(unlimited ? { limit: false } : numbersOf(rule)),
    ...(mode !== undefined && { mode }),
    ...(priority !== undefined && { priority }),
    ...(tier !== undefined && { tier }),
    ...(identity !== undefined && { by: identity }),
    ...(lists !== undefined && { lists }),
  };
}

function numbersOf(rule: RuleDocument): Partial<Rule<Check>> {
  const { name: _, ...numbers } = policyOf(rule);
  return numbers;
}
