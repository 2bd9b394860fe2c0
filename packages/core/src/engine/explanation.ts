import type { Clock } from '../clock.js';
import type { Decision } from '../decision.js';
import { masked } from '../identity/entry.js';
import type { IdentitySource } from '../identity/identifier.js';
import type { Store } from '../store.js';
import type { LineKind } from './line.js';
import type { Plan } from './plan.js';

/** One policy of an explanation. */
export interface ExplainedPolicy {
  readonly policy: string;
  readonly kind: LineKind;
  /** The rule it is of, as written. */
  readonly rule: string | undefined;
  readonly tier: string | undefined;
  readonly mode: 'enforce' | 'shadow';
  /** Whom it counts, as the store knows him. */
  readonly key: string;
  readonly cost: number;
  /** What it would decide now. */
  readonly decision: Decision;
}

/** An Explanation says what a request would be told, and why. */
export interface Explanation {
  readonly outcome: 'skipped' | 'unlimited' | 'allow-listed' | 'blocked' | 'allowed' | 'refused';
  readonly identity: { readonly key: string; readonly from: IdentitySource } | undefined;
  /** The entry of a list that settled the matter, be it for one rule alone. */
  readonly entry: string | undefined;
  /** The rule that applies, as it is written; `undefined` for the limiter's own limits. */
  readonly rule: string | undefined;
  readonly tier: string | undefined;
  readonly policies: readonly ExplainedPolicy[];
  /** When the request would pass: now, later, or never (`undefined`). */
  readonly passesAt: Date | undefined;
  /** All that in a sentence. */
  readonly summary: string;
}

export async function explain<R>(plan: Plan<R>, skip: boolean, store: Store, clock: Clock): Promise<Explanation> {
  const { demands, shadows = [] } = plan;
  const counted = plan.listed === undefined ? [...demands, ...shadows] : [];
  const decisions = counted.length === 0 ? [] : await store.peek(counted);
  const policies = counted.map(({ line, key, cost }, i): ExplainedPolicy => {
    const mode = i < demands.length ? 'enforce' : 'shadow';
    return {
      policy: line.policy.name,
      kind: line.kind,
      rule: line.rule,
      tier: line.tier,
      mode,
      key,
      cost,
      decision: decisions[i]!,
    };
  });
  const now = clock.now() / 1_000;
  const wait = policies
    .filter(({ mode, decision }) => mode === 'enforce' && !decision.allowed)
    .reduce((longest, { decision }) => Math.max(longest, decision.retryAfter), 0);
  const { outcome, until } = outcomeOf(plan, skip, now, wait);
  const passesAt = until === Number.POSITIVE_INFINITY ? undefined : new Date(Math.ceil(until));
  const { identity } = plan;
  const listed = plan.listed ?? plan.exempt;
  const known = {
    outcome,
    entry: listed && masked(listed.entry.entry),
    rule: plan.rule,
    tier: plan.tier,
    policies,
    passesAt,
  };
  return {
    ...known,
    identity: identity && { key: identity.key, from: identity.from },
    summary: summaryOf({ ...known, identity }, listed?.rule),
  };
}

function outcomeOf<R>(
  { listed, exempt, isLimited }: Plan<R>,
  skip: boolean,
  now: number,
  wait: number,
): { outcome: Explanation['outcome']; until: number } {
  if (skip) return { outcome: 'skipped', until: now };
  if (listed?.list === 'allow') return { outcome: 'allow-listed', until: now };
  if (listed !== undefined) return { outcome: 'blocked', until: listed.entry.until ?? Number.POSITIVE_INFINITY };
  if (!isLimited && wait === 0) return { outcome: exempt === undefined ? 'unlimited' : 'allow-listed', until: now };
  return { outcome: wait > 0 ? 'refused' : 'allowed', until: now + wait };
}

const sources: Readonly<Record<IdentitySource, string>> = {
  'api-key': 'by its API key',
  user: 'by its user',
  ip: 'by its address',
  key: "by the 'key' option",
};

/** `owner` is the rule whose list has the entry. */
function summaryOf(
  { outcome, identity, entry, rule, tier, policies, passesAt }: Omit<Explanation, 'summary'>,
  owner: string | undefined,
): string {
  const who = identity === undefined ? 'The request' : `${identity.key} (known ${sources[identity.from]})`;
  if (outcome === 'skipped') return "The request is not limited: 'skip' says so.";
  const ofRule = owner === undefined ? '' : ` of the rule '${owner}'`;
  if (outcome === 'allow-listed') return `${who} is not limited: '${entry}' is on the allow list${ofRule}.`;
  if (outcome === 'blocked') return `${who} is refused: '${entry}' is on the block list${ofRule}.`;
  if (outcome === 'unlimited')
    return `${who} is not limited${rule === undefined ? '' : `: the rule '${rule}' has no limit`}.`;
  const applies = rule === undefined ? 'no rule applies' : `the rule '${rule}' applies`;
  const ofTier = tier === undefined ? '' : `, tier '${tier}'`;
  const exempt = entry === undefined ? '' : `, and '${entry}' is on the allow list${ofRule}`;
  const where = `${applies}${ofTier}${exempt}`;
  const refusing = policies.filter(({ mode, decision }) => mode === 'enforce' && !decision.allowed);
  if (refusing.length === 0) return `${who} passes: ${where}.`;
  const names = refusing.map(({ policy }) => `'${policy}'`).join(' and ');
  const when = passesAt === undefined ? 'it can never pass' : `it would pass at ${passesAt.toISOString()}`;
  return `${who} is refused by ${names}: ${where}; ${when}.`;
}
