import { isIPv4 } from 'node:net';
import ipaddr from 'ipaddr.js';
import type { Check } from '../decisions/check.js';
import type { ProblemPart } from '../problem.js';
import { invalid } from '../validation.js';

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

type Checked = 'user_id' | 'api_key' | 'ip' | 'endpoint';

/** Where a part of a check stands. */
type PlaceOf = (field: Checked) => Pick<ProblemPart, 'pointer' | 'parameter'>;

const longest = { user_id: 256, api_key: 4_096 } as const;

/**
 * The check that a body of the right form says.
 * @throws Problem 400 for an address that is none, an id that no text is, and an endpoint that is no path.
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
  const { ip, endpoint } = body;
  const parts: ProblemPart[] = [];
  for (const field of ['user_id', 'api_key'] as const) {
    const id = body[field];
    if (id === undefined) continue;
    if (!isUserId(id)) parts.push({ ...placeOf(field), detail: 'It must be text without control characters.' });
    else if (id.length > longest[field]) {
      parts.push({ ...placeOf(field), detail: `It must have at most ${longest[field]} characters.` });
    }
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

/** Whether it is text that has an encoding, and that a log can show. */
export function isUserId(id: string): boolean {
  return !/[\p{Surrogate}\p{Cc}]/u.test(id);
}

export function isAddress(text: string): boolean {
  return isIPv4(text) || (text.includes(':') && !text.includes('%') && ipaddr.IPv6.isValid(text));
}
