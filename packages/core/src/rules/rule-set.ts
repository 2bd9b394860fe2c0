import { SluiceError, show } from '../errors.js';
import { isEnforced } from '../http/enforcement.js';
import { type Limiting, limitingNames, type Rule } from '../http/limiting.js';
import type { Plan } from '../http/plan.js';
import { checkKeySource } from '../http/planner.js';
import { Quota, type QuotaContext } from '../http/quota.js';
import type { Reader } from '../http/reader.js';
import { checkNames, checkType } from '../options.js';
import { orderOf, parsePattern } from './pattern.js';
import { RouteTable } from './route-table.js';

/** Which quotas a request is charged for, and which only count it. */
export interface Selection<R> {
  readonly enforced: readonly Quota<R>[];
  readonly shadows: readonly Quota<R>[];
}

/** What a rule means for a request that it matches. */
interface Applied<R> {
  /** The lower, the more specific; of rules that match the same request. */
  readonly order: string;
  readonly quota: Quota<R>;
  readonly selection: Selection<R>;
}

type Matches<R> = readonly (Applied<R> | undefined)[];

const nothing: readonly never[] = [];
const unmatched: readonly undefined[] = [undefined];

/** A RuleSet finds what a request is charged for: by the most specific rule that matches, or as all others. */
export class RuleSet<R> {
  /** The quota of requests that no rule matches. */
  readonly others: Quota<R>;
  readonly #reader: Reader<R>;
  readonly #othersAlone: Selection<R>;
  readonly #quotas: readonly Quota<R>[];
  /** The rules that refuse everybody, and those that refuse some or nobody; absent where there are none. */
  readonly #strict: RouteTable<Applied<R>> | undefined;
  readonly #trials: RouteTable<Applied<R>> | undefined;

  constructor(
    reader: Reader<R>,
    rules: readonly Rule<R>[],
    others: Quota<R>,
    context: Omit<QuotaContext<R>, 'where' | 'rule' | 'by' | 'stack'>,
  ) {
    this.#reader = reader;
    this.others = others;
    this.#othersAlone = { enforced: [others], shadows: nothing };
    if (!Array.isArray(rules)) {
      throw new SluiceError(
        'INVALID_OPTION',
        `rules takes a list, like [{ match: 'POST /login', limit: 5, window: '1m' }]; got ${show(rules)}.`,
      );
    }
    const groups = groupsOf(rules);
    const names = namesOf(rules, reader);
    const named = new Map<string, string>();
    const compiled = rules.map((rule, i) => {
      const where = `rules[${i}]`;
      checkRule(rule, where);
      const { match, group, stack = false, by, name: given, ...own } = rule;
      const shared = group === undefined ? {} : groups.get(group)!;
      const name = given ?? group ?? names.get(match)!;
      if (group === undefined) {
        const other = named.get(name);
        if (other !== undefined) {
          throw new SluiceError(
            'DUPLICATE_POLICY',
            `${where}: the rules '${other}' and '${match}' are both called ${show(name)}. Give one of them a 'name', or both the same 'group' to count together.`,
          );
        }
        named.set(name, match);
      }
      const prefixed = context.name === undefined ? name : `${context.name}-${name}`;
      const quota = new Quota<R>({ ...shared, ...own }, { ...context, where, name: prefixed, rule: match, by, stack });
      const enforced = stack ? [quota, others] : [quota];
      return {
        match,
        where,
        value: { order: orderOf(parsePattern(match, where)), quota, selection: { enforced, shadows: nothing } },
      };
    });
    this.#quotas = compiled.map(({ value }) => value.quota);
    const strict = compiled.filter(({ value }) => value.quota.percent === 100);
    const trials = compiled.filter(({ value }) => value.quota.percent !== undefined && value.quota.percent < 100);
    // A rule that is off can be wrong, but in nobody's way.
    for (const entry of compiled) if (entry.value.quota.percent === undefined) new RouteTable([entry]);
    if (strict.length > 0) this.#strict = new RouteTable(strict);
    if (trials.length > 0) this.#trials = new RouteTable(trials);
  }

  /**
   * What a request is charged for. A rule that is a shadow for this client is as if it were not there, but that it
   * counts. A path that could be read in several ways is charged for all of them, so that none is a way around.
   */
  select({ request, identity }: Plan<R>): Selection<R> {
    if (this.#strict === undefined && this.#trials === undefined) return this.#othersAlone;
    const reader = this.#reader;
    const method = reader.method(request);
    const target = reader.target(request);
    const route = reader.route(request);
    const found = this.#strict?.find(method, target, route) ?? unmatched;
    if (this.#trials === undefined && found.length === 1) return found[0]?.selection ?? this.#othersAlone;
    const trials = this.#trials?.find(method, target, route) ?? unmatched;
    return this.#weigh(found, trials, identity?.key ?? '');
  }

  #weigh(found: Matches<R>, trials: Matches<R>, key: string): Selection<R> {
    const enforced = new Set<Quota<R>>();
    const shadows = new Set<Quota<R>>();
    let replaced = false;
    for (const trial of trials) {
      // One that a more specific rule is before would not apply if it were enforced.
      if (trial === undefined || !found.some((other) => other === undefined || trial.order <= other.order)) continue;
      if (isEnforced(trial.quota.percent!, key)) {
        for (const quota of trial.selection.enforced) enforced.add(quota);
        replaced = found.length === 1 && trials.length === 1;
      } else shadows.add(trial.quota);
    }
    if (!replaced) {
      for (const applied of found) {
        for (const quota of (applied?.selection ?? this.#othersAlone).enforced) enforced.add(quota);
      }
    }
    return { enforced: [...enforced], shadows: [...shadows] };
  }

  /** Every quota there is, also those that are off. */
  quotas(): readonly Quota<R>[] {
    return [this.others, ...this.#quotas];
  }
}

const ruleNames = [...limitingNames, 'match', 'group', 'stack', 'by'] as const;

function checkRule<R>(rule: Rule<R>, where: string): void {
  checkNames(rule, ruleNames, where, "{ match: 'POST /login', limit: 5, window: '1m' }");
  if (typeof rule.match !== 'string' || rule.match === '') {
    throw new SluiceError(
      'INVALID_OPTION',
      `${where}: 'match' names the route, like 'POST /login' or '/files/*'; got ${show(rule.match)}.`,
    );
  }
  checkType(rule, 'name', 'string', where);
  checkType(rule, 'group', 'string', where);
  checkType(rule, 'stack', 'boolean', where);
  checkKeySource(rule.by, `${where}: 'by'`);
  for (const name of ['limit', 'window', 'limits', 'tiers', 'by'] as const) {
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
 */
function namesOf<R>(rules: readonly Rule<R>[], reader: Reader<R>): ReadonlyMap<string, string> {
  const matches = new Set(rules.map((rule) => rule?.match).filter((match) => typeof match === 'string'));
  const words = new Map<string, string>();
  const uses = new Map<string, number>();
  for (const match of matches) {
    const text = match
      .replace(/\*/g, 'all')
      .replace(/[^A-Za-z0-9]+/g, '-')
      .replace(/^-|-$/g, '');
    words.set(match, text);
    uses.set(text, (uses.get(text) ?? 0) + 1);
  }
  const names = new Map<string, string>();
  for (const [match, text] of words) {
    const isClear = text !== '' && text.length <= longestName && uses.get(text) === 1;
    names.set(match, isClear ? text : `${text.slice(0, longestName)}-${reader.digest(match).slice(0, 6)}`);
  }
  return names;
}

/** Leaves room for the names of tiers and windows behind it. */
const longestName = 32;
