import { parsePattern } from '@sluice/core/toolkit';
import type { RuleDocument } from './configuration.js';

/** The route of a rule as core writes it. */
export function matchOf({ endpoint, methods = [] }: Pick<RuleDocument, 'endpoint' | 'methods'>): string {
  return methods.length === 0 ? endpoint : `${methods.join(',')} ${endpoint}`;
}

/** The requests that rules are about, to find two of which only one could apply. */
export class RuleRoutes {
  readonly #owners = new Map<string, RuleDocument>();
  readonly #ids = new Set<string>();

  /** Why the rule cannot stand beside those that are there; `undefined` where it can. */
  conflictOf(rule: RuleDocument): string | undefined {
    return this.#ids.has(rule.id) ? `There is another rule '${rule.id}'.` : this.rivalOf(rule);
  }

  /** As `conflictOf`, for a rule that takes the place of the one with its id. */
  rivalOf(rule: RuleDocument): string | undefined {
    for (const route of routesOf(rule)) {
      const other = this.#owners.get(route);
      if (other === undefined || other.id === rule.id) continue;
      return (
        `The rule '${other.id}' (${matchOf(other)}) matches the same requests, with the same tier and priority; names of ` +
        'parameters make no difference. Change that rule, or give this one another endpoint, method, tier or priority.'
      );
    }
    return undefined;
  }

  add(rule: RuleDocument): void {
    this.#ids.add(rule.id);
    for (const route of routesOf(rule)) this.#owners.set(route, rule);
  }
}

/** One text for each method of its pattern; the same for rules of which only one could apply. */
function routesOf(rule: RuleDocument): readonly string[] {
  const { tier, priority = 0, mode } = rule;
  if (mode === 'off') return [];
  const { segments, methods } = parsePattern(matchOf(rule), 'endpoint');
  // A shadow is on trial beside the rule that is enforced.
  const route = `${segments.join('/')} ${tier ?? '*'} ${priority} ${mode === 'shadow' ? 'shadow' : 'enforce'}`;
  return methods.length === 0 ? [` ${route}`] : methods.map((method) => `${method} ${route}`);
}
