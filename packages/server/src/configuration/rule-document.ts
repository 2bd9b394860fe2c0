import { compilePolicies, type Duration, type LimitPolicy, type Policy, SluiceError } from '@sluice/core';
import { parseDuration, parsePattern } from '@sluice/core/toolkit';
import { Problem, type ProblemPart } from '../problem.js';
import { checkForm, compileSchema, invalid } from '../validation.js';
import type { ListName, RuleDocument } from './configuration.js';
import { entryOf } from './list-entry.js';
import { RuleRoutes } from './rule-routes.js';
import { ruleSchema } from './rule-schema.js';

const validate = compileSchema(ruleSchema, 'body');

/** Ids that are the names of other policies. */
const taken: readonly string[] = ['default', 'override', 'block-list'];

/**
 * Checks a rule as it was written; `pointer` is where it stands.
 * @throws Problem 400 that names each part that is wrong, by its JSON pointer.
 */
export function parseRule(value: unknown, pointer = ''): RuleDocument {
  checkForm(validate, value, pointer);
  const rule = value as RuleDocument;
  const parts = partsOfRule(rule).map((part) => ({ ...part, pointer: pointer + part.pointer }));
  if (parts.length > 0) throw invalid(parts);
  return kept(rule);
}

/**
 * Checks a list of rules, each of which has an id.
 * @throws Problem 400 that names every part that is wrong.
 */
export function parseRules(values: unknown, pointer = ''): readonly RuleDocument[] {
  if (!Array.isArray(values)) throw invalid([{ pointer, detail: 'It must be a list of rules.' }]);
  const parts: ProblemPart[] = [];
  const rules: RuleDocument[] = [];
  const routes = new RuleRoutes();
  for (const [i, value] of values.entries()) {
    try {
      const rule = parseRule(value, `${pointer}/${i}`);
      const conflict = rule.id === undefined ? undefined : routes.conflictOf(rule);
      if (rule.id === undefined) parts.push({ pointer: `${pointer}/${i}/id`, detail: 'This field is missing.' });
      else if (conflict !== undefined) parts.push({ pointer: `${pointer}/${i}`, detail: conflict });
      else routes.add(rule);
      rules.push(rule);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      parts.push(...(error.errors ?? []));
    }
  }
  if (parts.length > 0) throw invalid(parts);
  return rules;
}

/** The policy of a rule that has one. It says its algorithm: that of the default limits is not for rules. */
export function policyOf({ id, algorithm, limit, window, burst }: RuleDocument): LimitPolicy {
  return {
    name: id,
    algorithm: algorithm ?? (burst === undefined ? 'sliding-window-counter' : 'token-bucket'),
    limit: limit!,
    window: window as LimitPolicy['window'],
    ...(burst !== undefined && { burst }),
  };
}

function partsOfRule(rule: RuleDocument): readonly ProblemPart[] {
  const parts: ProblemPart[] = [];
  if (taken.includes(rule.id) || rule.id?.endsWith('-ceiling')) {
    parts.push({ pointer: '/id', detail: `'${rule.id}' is the name of another policy. Choose another id.` });
  }
  parts.push(...routeParts(rule), ...limitParts(rule));
  for (const list of ['allow', 'block'] satisfies ListName[]) {
    for (const [i, entry] of (rule.lists?.[list] ?? []).entries()) {
      parts.push(...attempt(`/lists/${list}/${i}`, () => entryOf(entry)));
    }
  }
  return parts;
}

function routeParts({ endpoint, methods = [] }: RuleDocument): readonly ProblemPart[] {
  if (endpoint !== '*' && !endpoint.startsWith('/')) {
    const detail =
      'It must be a path that begins with a slash, such as /login or /files/*, or * for any; methods stand apart.';
    return [{ pointer: '/endpoint', detail }];
  }
  const parts = attempt('/endpoint', () => parsePattern(endpoint, 'endpoint'));
  if (parts.length > 0) return parts;
  return methods.flatMap((method, i) => {
    if (!/^[A-Za-z-]+$/.test(method))
      return [{ pointer: `/methods/${i}`, detail: 'It must be one word, such as GET.' }];
    // Beside others, HEAD is no mistake.
    if (method.toUpperCase() === 'HEAD' && methods.length > 1) return [];
    return attempt(`/methods/${i}`, () => parsePattern(`${method} ${endpoint}`, 'endpoint'));
  });
}

function limitParts(rule: RuleDocument): readonly ProblemPart[] {
  const { burst, algorithm } = rule;
  if (rule.unlimited) {
    const given = (['limit', 'window', 'burst', 'algorithm'] as const).filter((name) => rule[name] !== undefined);
    return given.map((name) => ({
      pointer: `/${name}`,
      detail: `The rule is unlimited, so '${name}' says nothing. Leave out one of the two.`,
    }));
  }
  const missing = (['limit', 'window'] as const).filter((name) => rule[name] === undefined);
  if (missing.length > 0) {
    return missing.map((name) => ({
      pointer: `/${name}`,
      detail: 'This field is missing: a rule has a limit and a window, or "unlimited": true.',
    }));
  }
  const window = attempt('/window', () => parseDuration(rule.window as Duration, 'window'));
  if (window.length > 0) return window;
  // The rest can only be wrong together with the other numbers.
  const pointer = burst !== undefined ? '/burst' : algorithm !== undefined ? '/algorithm' : '/limit';
  return attempt(pointer, () => compilePolicies([policyOf(rule) as Policy], 'rule'));
}

function attempt(pointer: string, action: () => unknown): readonly ProblemPart[] {
  try {
    action();
    return [];
  } catch (error) {
    if (!(error instanceof SluiceError)) throw error;
    // Messages of core begin with the place in the configuration, which the pointer tells.
    return [{ pointer, detail: error.message.replace(/^(?:endpoint|rule|window|The list): /, '') }];
  }
}

/** The rule as it is kept: methods in capitals; of API keys in its lists, only the digests. */
function kept(rule: RuleDocument): RuleDocument {
  const { methods, lists } = rule;
  return {
    ...rule,
    ...(methods && { methods: [...new Set(methods.map((method) => method.toUpperCase()))] }),
    ...(lists && {
      lists: Object.fromEntries(Object.entries(lists).map(([list, entries]) => [list, entries.map(entryOf)])),
    }),
  };
}
