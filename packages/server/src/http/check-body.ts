import ipaddr from 'ipaddr.js';
import type { Check } from '../decisions/check.js';
import type { ProblemPart } from '../problem.js';
import { invalid } from '../validation.js';

/** A check as it comes in JSON. */
export interface CheckBody {
  readonly user_id?: string;
  readonly api_key?: string;
  readonly ip?: string;
  readonly method?: string;
  readonly endpoint?: string;
  readonly tier?: string;
  readonly cost?: number;
}

/**
 * The check that a body of the right form says.
 * @throws Problem 400 for an address that is none, an id that no text is, and an endpoint that is no path.
 */
export function checkOf(body: CheckBody, pointer = ''): Check {
  const parts = partsOf(body, pointer);
  if (parts.length > 0) throw invalid(parts);
  const { user_id: userId, api_key: apiKey, ip, method, endpoint, tier, cost } = body;
  return { userId, apiKey, ip, method, endpoint, tier, cost };
}

function partsOf({ user_id, api_key, ip, endpoint }: CheckBody, pointer: string): readonly ProblemPart[] {
  const parts: ProblemPart[] = [];
  if (user_id !== undefined && !isUserId(user_id)) {
    parts.push({ pointer: `${pointer}/user_id`, detail: 'It must be text without control characters.' });
  }
  if (api_key !== undefined && !isUserId(api_key)) {
    parts.push({ pointer: `${pointer}/api_key`, detail: 'It must be text without control characters.' });
  }
  if (ip !== undefined && !isAddress(ip)) {
    parts.push({
      pointer: `${pointer}/ip`,
      detail: 'It must be an address, such as 203.0.113.7 or 2001:db8::1, without a port.',
    });
  }
  if (endpoint !== undefined && !/^(?:\/|https?:\/\/[^/])/i.test(endpoint)) {
    parts.push({ pointer: `${pointer}/endpoint`, detail: 'It must be a request target, such as /login?next=%2F.' });
  }
  return parts;
}

/** Whether it is text that has an encoding, and that a log can show. */
export function isUserId(id: string): boolean {
  return !/[\p{Surrogate}\p{Cc}]/u.test(id);
}

export function isAddress(text: string): boolean {
  return (
    ipaddr.IPv4.isValidFourPartDecimal(text) || (text.includes(':') && !text.includes('%') && ipaddr.IPv6.isValid(text))
  );
}
