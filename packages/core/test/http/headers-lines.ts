import type { Decision } from '../../src/decision.ts';
import type { HeaderFields, HeaderOptions, QuotaLine } from '../../src/http/headers.ts';
import { HeaderWriter } from '../../src/http/headers.ts';

export function decision(policy: string, part: Partial<Decision> = {}): Decision {
  const { limit = 100, allowed = true } = part;
  return {
    allowed,
    policy,
    limit,
    remaining: allowed ? limit - 1 : 0,
    resetAfter: 30_000,
    retryAfter: allowed ? 0 : 30_000,
    delay: 0,
    at: 1_700_000_000_000,
    source: 'store',
    ...part,
  };
}

/** A line as a policy of that name, limit and window would have, and what is said otherwise. */
export function line(
  name: string,
  limit: number,
  windowMs: number | undefined,
  part: Partial<Decision> = {},
): QuotaLine {
  const unit = windowMs === undefined ? 'concurrent-requests' : 'requests';
  return {
    name,
    key: `of ${name}`,
    limit,
    windowMs,
    unit,
    isPenalty: false,
    decision: decision(name, { limit, ...part }),
  };
}

export function written(
  headers: HeaderOptions,
  tightest: Decision,
  lines: readonly QuotaLine[] = [],
  partition?: string,
): HeaderFields {
  const fields: HeaderFields = {};
  new HeaderWriter(headers).write(fields, tightest, lines, partition === undefined ? undefined : () => partition);
  return fields;
}
