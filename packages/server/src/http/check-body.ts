import { isIPv4 } from 'node:net';
import ipaddr from 'ipaddr.js';
import type { Check } from '../decisions/check.js';
import type { ProblemPart } from '../problem.js';
import { invalid } from '../validation.js';
import { isLonger, isText, userIdFault } from './user-id.js';

/** A check as it comes in JSON. */
export interface CheckBody {
  readonly user_id?: string | undefined;
  readonly api_key?: string | undefined;
  readonly ip?: string | undefined;
  readonly method?: string | undefined;
  readonly endpoint?: string | undefined;
  readonly tier?: string | undefined;
  readonly cost?: number | undefined;
}

type Checked = 'user_id' | 'api_key' | 'ip' | 'endpoint' | 'tier';

/** Where a part of a check stands. */
type PlaceOf = (field: Checked) => Pick<ProblemPart, 'pointer' | 'parameter'>;

const longest = { api_key: 4_096, tier: 48 } as const;

/**
 * The check that a body of the right form says.
 * @throws Problem 400 for an address that is none, an id that names nobody, and an endpoint that is no path.
 */
export function checkOf(body: CheckBody, placeOf: PlaceOf = inBody): Check {
  const parts = partsOf(body, placeOf);
  if (parts.length > 0) throw invalid(parts);
  const { user_id: userId, api_key: apiKey, ip, method, endpoint, tier, cost } = body;
  return { userId, apiKey, ip, method, endpoint, tier, cost };
}

function inBody(field: Checked): Pick<ProblemPart, 'pointer'> {
  return { pointer: `/${field}` };
}

function partsOf(body: CheckBody, placeOf: PlaceOf): readonly ProblemPart[] {
  const { user_id: userId, api_key: apiKey, ip, endpoint } = body;
  const parts: ProblemPart[] = [];
  const fault = userId === undefined ? undefined : userIdFault(userId);
  if (fault !== undefined) parts.push({ ...placeOf('user_id'), detail: fault });
  if (apiKey !== undefined && !isText(apiKey)) {
    parts.push({ ...placeOf('api_key'), detail: 'It must be text without control characters.' });
  }
  // Bodies have been held to their schema; what gateways send in header fields has not.
  for (const field of ['api_key', 'tier'] as const) {
    const text = body[field];
    if (text === undefined || !isLonger(text, longest[field])) continue;
    parts.push({ ...placeOf(field), detail: `It must have at most ${longest[field]} characters.` });
  }
  if (ip !== undefined && !isAddress(ip)) {
    parts.push({
      ...placeOf('ip'),
      detail: 'It must be an address, such as 203.0.113.7 or 2001:db8::1, without a port.',
    });
  }
  if (endpoint !== undefined && !/^(?:\/|https?:\/\/[^/])/i.test(endpoint)) {
    parts.push({ ...placeOf('endpoint'), detail: 'It must be a request target, such as /login?next=%2F.' });
  }
  return parts;
}

export function isAddress(text: string): boolean {
  return isIPv4(text) || (text.includes(':') && !text.includes('%') && ipaddr.IPv6.isValid(text));
}
