import { isEnforced } from '../engine/enforcement.js';
import { type Limiting, limitingNames, type Rule } from '../engine/limiting.js';
import type { Plan } from '../engine/plan.js';
import { checkKeySource } from '../engine/planner.js';
import { Quota, type QuotaContext } from '../engine/quota.js';
import type { Screen } from '../engine/screen.js';
import { SluiceError, show } from '../errors.js';
import type { Reader } from '../http/reader.js';
import type { Lists } from '../identity/access-list.js';
import { lotOf } from '../identity/identifier.js';
import { checkNames, checkType } from '../options.js';
import { parsePattern } from './pattern.js';
import { type RouteEntry, RouteTable } from './route-table.js';

/** Which quotas a request is charged for, and which only count it. */
export interface Selection<R> {
  readonly enforced: readonly Quota<R>[];
  readonly shadows: readonly Quota<R>[];
}

/** What a rule means for a request that it matches. */
interface Applied<R> {
  readonly quota: Quota<R>;
  readonly selection: Selection<R>;
  /** The one tier that it is for. */
  readonly tier: string | undefined;
}

const nothing: readonly never[] = [];

/** What all rules of a limiter have in common. */
export interface RuleContext<R> extends Omit<QuotaContext<R>, 'where' | 'rule' | 'by' | 'screen'> {
  /** Compiles the lists of a rule. */
  readonly screenOf: (lists: Lists, where: string, rule: string) => Screen<R>;
}

/** A RuleSet finds what a request is charged for: by the first rule that matches, or as all others. */
export class RuleSet<R> {
  /** The quota of requests that no rule matches. */
  readonly others: Quota<R>;
  readonly #reader: Reader<R>;
  readonly #othersAlone: Selection<R>;
  readonly #quotas: readonly Quota<R>[];
  /** Absent where there are no rules. */
  readonly #table: RouteTable<Applied<R>> | undefined;
  /** Whether there are rules that refuse some or nobody, or are for some only. */
  readonly #hasTrials: boolean;

  constructor(reader: Reader<R>, rules: readonly Rule<R>[], others: Quota<R>, context: RuleContext<R>) {
    this.#reader = reader;
    this.others = others;
    this.#othersAlone = { enforced: [others], shadows: nothing };
    const entries = compileRules(reader, rules, others, context);
    this.#quotas = entries.map(({ value }) => value.quota);
    const active = entries.filter(({ value }) => value.quota.percent !== undefined);
    this.#hasTrials = active.some(({ isTrial, tier }) => isTrial || tier !== undefined);
    if (active.length > 0) this.#table = new RouteTable(active);
  }

  /**
   * What a request is charged for. A rule that is a shadow for this client is as if it were not there, but that it
   * counts. A path that could be read in several ways is charged for all of them, so that none is a way around.
   */
  select({ request, identity, tier }: Plan<R>): Selection<R> {
    const table = this.#table;
    if (table === undefined) return this.#othersAlone;
    const reader = this.#reader;
    const method = reader.method(request);
    const target = reader.target(request);
    const route = reader.route(request);
    if (!this.#hasTrials) return this.#sum(table.find(method, target, route), nothing);
    const lot = identity === undefined ? '' : lotOf(identity);
    const passed = new Set<Applied<R>>();
    const concerns = (applied: Applied<R>) => applied.tier === undefined || applied.tier === tier;
    const applies = ({ quota }: Applied<R>) => isEnforced(quota.percent!, lot);
    const found = table.find(method, target, route, { concerns, applies, passed });
    return this.#sum(
      found,
      [...passed].map(({ quota }) => quota),
    );
  }

  #sum(found: readonly (Applied<R> | undefined)[], shadows: readonly Quota<R>[]): Selection<R> {
    if (found.length === 1) {
      const selection = found[0]?.selection ?? this.#othersAlone;
      return shadows.length === 0 ? selection : { enforced: selection.enforced, shadows };
    }
    const enforced = new Set<Quota<R>>();
    for (const applied of found) {
      for (const quota of (applied?.selection ?? this.#othersAlone).enforced) enforced.add(quota);
    }
    return { enforced: [...enforced], shadows };
  }

  /** Every quota there is, also those that are off. */
  quotas(): readonly Quota<R>[] {
    return [this.others, ...this.#quotas];
  }
}

function compileRules<R>(
  reader: Reader<R>,
  rules: readonly Rule<R>[],
  others: Quota<R>,
  context: RuleContext<R>,
): readonly RouteEntry<Applied<R>>[] {
  if (!Array.isArray(rules)) {
    throw new SluiceError(
      'INVALID_OPTION',
      `rules takes a list, like [{ match: 'POST /login', limit: 5, window: '1m' }]; got ${show(rules)}.`,
    );
  }
  for (const [i, rule] of rules.entries()) checkRule(rule, `rules[${i}]`);
  const groups = groupsOf(rules);
  const names = namesOf(rules, reader);
  return rules.map(({ match, group, stack = false, priority = 0, tier, by, lists, name: _, ...own }, i) => {
    const where = `rules[${i}]`;
    const name = context.name === undefined ? names[i]! : `${context.name}-${names[i]}`;
    const shared = group === undefined ? {} : groups.get(group)!;
    const screen = lists === undefined ? undefined : context.screenOf(lists, `${where}: lists`, match);
    const quota = new Quota<R>({ ...shared, ...own }, { ...context, where, name, rule: match, by, screen });
    const selection = { enforced: stack ? [quota, others] : [quota], shadows: nothing };
    return { match, where, priority, tier, isTrial: quota.percent !== 100, value: { quota, selection, tier } };
  });
}

const ruleNames = [...limitingNames, 'match', 'priority', 'tier', 'group', 'stack', 'by', 'lists'] as const;

const highestPriority = 1_000;

function checkRule<R>(rule: Rule<R>, where: string): void {
  checkNames(rule, ruleNames, where, "{ match: 'POST /login', limit: 5, window: '1m' }");
  if (typeof rule.match !== 'string' || rule.match === '') {
    throw new SluiceError(
      'INVALID_OPTION',
      `${where}: 'match' names the route, like 'POST /login' or '/files/*'; got ${show(rule.match)}.`,
    );
  }
  parsePattern(rule.match, where);
  checkType(rule, 'name', 'string', where);
  checkType(rule, 'group', 'string', where);
  checkType(rule, 'stack', 'boolean', where);
  checkType(rule, 'tier', 'string', where);
  if (rule.tier !== undefined && rule.tiers !== undefined) {
    throw new SluiceError(
      'INVALID_OPTION',
      `${where}: 'tier' says that the rule is for one tier, and 'tiers' what each is granted. Leave out one of the two.`,
    );
  }
  const { priority = 0, lists } = rule;
  if (lists !== undefined) checkNames(lists, ['allow', 'block'], `${where}: lists`, "{ allow: ['203.0.113.0/24'] }");
  if (rule.stack && rule.limit === false && lists?.block === undefined) {
    throw new SluiceError(
      'INVALID_OPTION',
      `${where}: 'limit: false' is no limit, and 'stack: true' counts beside the limiter's own. Leave out the rule, or one of the two.`,
    );
  }
  if (!Number.isInteger(priority) || Math.abs(priority) > highestPriority) {
    throw new SluiceError(
      'INVALID_OPTION',
      `${where}: 'priority' must be an integer from -${highestPriority} to ${highestPriority}; got ${show(priority)}.`,
    );
  }
  checkKeySource(rule.by, `${where}: 'by'`);
  for (const name of ['limit', 'window', 'limits', 'tiers', 'tier', 'by', 'lists'] as const) {
    if (Object.hasOwn(rule, name) && rule[name] === undefined) {
      throw new SluiceError('INVALID_OPTION', `${where}: '${name}' is undefined. Give it a value, or leave it out.`);
    }
  }
}

const limits = ['limit', 'window', 'algorithm', 'burst', 'anchor', 'countRefused', 'limits', 'tiers'] as const;

/** The limits of each group: those of the one rule in it that has any. */
function groupsOf<R>(rules: readonly Rule<R>[]): ReadonlyMap<string, Limiting<R>> {
  const groups = new Map<string, { from: number; limits: Limiting<R> }>();
  for (const [i, rule] of rules.entries()) {
    const group = rule?.group;
    if (group === undefined) continue;
    const own: Record<string, unknown> = {};
    for (const name of limits) if (rule[name] !== undefined) own[name] = rule[name];
    const known = groups.get(group);
    if (known === undefined || Object.keys(known.limits).length === 0)
      groups.set(group, { from: i, limits: own as Limiting<R> });
    else if (Object.keys(own).length > 0) {
      throw new SluiceError(
        'INVALID_OPTION',
        `rules[${i}]: the group '${group}' has its limits from rules[${known.from}] already. Give them in one rule of the group only.`,
      );
    }
  }
  return new Map([...groups].map(([group, { limits }]) => [group, limits]));
}

/**
 * A name for each rule: `POST /api/users/:id` → `POST-api-users-id`. Those that would be cut off, or be the same, have a
 * digest behind the words.
 * @throws SluiceError `DUPLICATE_POLICY` for two rules of one name that do not count together.
 */
function namesOf<R>(rules: readonly Rule<R>[], reader: Reader<R>): readonly string[] {
  const matches = new Map<string, Set<string>>();
  for (const { match } of rules) {
    const words = wordsOf(match);
    matches.set(words, (matches.get(words) ?? new Set()).add(match));
  }
  const used = new Map<string, number>();
  const groups = groupNamesOf(rules);
  return rules.map(({ match, group, name: own }, i) => {
    const words = wordsOf(match);
    const isClear = words !== '' && words.length <= longestName && matches.get(words)!.size === 1;
    const derived = isClear ? words : `${words.slice(0, longestName)}-${reader.digest(match).slice(0, 6)}`;
    const name = (group === undefined ? own : groups.get(group)) ?? derived;
    const other = used.get(name);
    used.set(name, i);
    if (other === undefined || (group !== undefined && rules[other]!.group === group)) return name;
    throw new SluiceError(
      'DUPLICATE_POLICY',
      `rules[${i}]: it and rules[${other}] are both called ${show(name)}. Give one of them a 'name' of its own, or both the same 'group' to count together.`,
    );
  });
}

/** What the rules of each group are called: as one of them says, or as the group. */
function groupNamesOf<R>(rules: readonly Rule<R>[]): ReadonlyMap<string, string> {
  const given = new Map<string, { name: string; from: number }>();
  for (const [i, { group, name }] of rules.entries()) {
    if (group === undefined || name === undefined) continue;
    const known = given.get(group);
    if (known === undefined) given.set(group, { name, from: i });
    else if (known.name !== name) {
      throw new SluiceError(
        'INVALID_OPTION',
        `rules[${i}]: the group '${group}' is called ${show(known.name)} by rules[${known.from}], and ${show(name)} here, ` +
          "but its rules count together. Give it one 'name' only, or none.",
      );
    }
  }
  const named = rules.flatMap(({ group }) => (group === undefined ? [] : [group]));
  return new Map(named.map((group) => [group, given.get(group)?.name ?? group]));
}

function wordsOf(match: string): string {
  return match
    .replace(/(^|\s)\/$/, '$1root')
    .replace(/\*/g, 'all')
    .replace(/[^A-Za-z0-9]+/g, '-')
    .replace(/^-|-$/g, '');
}

/** Leaves room for the names of tiers and windows behind it. */
const longestName = 32;
