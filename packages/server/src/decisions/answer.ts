import type { Decision, Outcome } from '@sluice/core';

/** Why a check is answered as it is. */
export type Reason = 'granted' | 'unlimited' | 'allow-list' | 'quota' | 'block-list' | 'unavailable';

/** An Answer says whether a request may pass. Without a limit, what is told of one is `null`. */
export interface Answer {
  readonly allowed: boolean;
  readonly reason: Reason;
  /** The id of the rule; `null` for the default limits. */
  readonly rule: string | null;
  readonly policy: string | null;
  readonly limit: number | null;
  readonly remaining: number | null;
  /** When the key is as fresh as new; `null` for never. */
  readonly reset_at: string | null;
  /** Whole seconds; 0 where it passed, `null` for never. */
  readonly retry_after: number | null;
  /** Milliseconds to wait before the request goes on, of a leaky bucket. */
  readonly delay_ms: number;
  /** Who is counted, as the store knows him: API keys are digests. */
  readonly key: string | null;
  readonly tier: string | null;
  readonly source: Decision['source'];
}

const reasons: Readonly<Record<Outcome['kind'], Reason>> = {
  skipped: 'unlimited',
  unlimited: 'unlimited',
  'allow-listed': 'allow-list',
  granted: 'granted',
  quota: 'quota',
  banned: 'quota',
  blocked: 'block-list',
  unavailable: 'unavailable',
};

/** The last instant that a Date can hold. */
const latest = 8.64e15;

/** Many a decision is followed by one that resets in the same second: to write an instant takes longer than to decide. */
let lastSecond = Number.NaN;
let lastText = '';

/** `rule` is the id of the rule that decided. */
export function answerOf(outcome: Outcome, rule: string | undefined, tier: string | undefined): Answer {
  const { kind, decision, key } = outcome;
  const reason = reasons[kind];
  const about = { rule: rule ?? null, key: key ?? null, tier: tier ?? null };
  if (decision === undefined) {
    const none = { policy: null, limit: null, remaining: null, reset_at: null, retry_after: 0, delay_ms: 0 };
    return { allowed: true, reason, ...none, ...about, source: 'store' };
  }
  const { allowed, policy, limit, remaining, delay, source } = decision;
  return {
    allowed,
    reason,
    rule: about.rule,
    policy,
    limit,
    remaining,
    reset_at: resetAt(decision),
    retry_after: retryAfter(decision),
    delay_ms: delay,
    key: about.key,
    tier: about.tier,
    source,
  };
}

/** When the key is as fresh as new, in RFC 3339. */
export function resetAt({ at, resetAfter }: Decision): string | null {
  const ms = Math.ceil(at + resetAfter);
  if (!(ms <= latest)) return null;
  const second = Math.floor(ms / 1_000);
  if (second !== lastSecond) {
    lastSecond = second;
    // Without its milliseconds and the Z.
    lastText = new Date(second * 1_000).toISOString().slice(0, -4);
  }
  const rest = ms - second * 1_000;
  return `${lastText}${rest < 10 ? '00' : rest < 100 ? '0' : ''}${rest}Z`;
}

/** Whole seconds, as in Retry-After. */
export function retryAfter({ allowed, retryAfter }: Decision): number | null {
  if (allowed) return 0;
  return retryAfter === Number.POSITIVE_INFINITY ? null : Math.max(1, Math.ceil(retryAfter / 1_000));
}
