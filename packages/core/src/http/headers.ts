import type { Decision } from '../decision.js';
import { SluiceError, show } from '../errors.js';

/** Which header fields tell the client about its limits: `X-RateLimit-Limit`, `-Remaining` and `-Reset`, or none. */
export type HeaderStyle = 'legacy' | false;

export type HeaderFields = Record<string, string>;

/** Writes the fields of one style. */
export type HeaderWriter = (fields: HeaderFields, decision: Decision) => void;

const writers: Readonly<Record<Exclude<HeaderStyle, false>, HeaderWriter>> = {
  legacy(fields, decision) {
    fields['X-RateLimit-Limit'] = String(decision.limit);
    fields['X-RateLimit-Remaining'] = String(decision.remaining);
    // The store's own clock: epoch seconds that do not wobble from one response to the next.
    fields['X-RateLimit-Reset'] = String(Math.ceil((decision.at + decision.resetAfter) / 1_000));
  },
};

/** @throws SluiceError `INVALID_OPTION` for a style that does not exist. */
export function headerWriter(style: HeaderStyle): HeaderWriter | undefined {
  if (style === false) return undefined;
  if (Object.hasOwn(writers, style)) return writers[style];
  throw new SluiceError(
    'INVALID_OPTION',
    `'headers' must be ${Object.keys(writers).map(show).join(', ')} or false; got ${show(style)}.`,
  );
}

/** Retry-After in whole seconds, rounded up and at least 1; absent when the request can never pass. RFC 9110, 10.2.3. */
export function retryAfterSeconds(decision: Decision): number | undefined {
  if (decision.retryAfter === Number.POSITIVE_INFINITY) return undefined;
  return Math.max(1, Math.ceil(decision.retryAfter / 1_000));
}

/** `Access-Control-Expose-Headers` with `fields` added to what is `present`, so that scripts of other origins can read them. */
export function exposeHeaders(present: unknown, fields: readonly string[]): string {
  if (present === undefined) return fields.join(', ');
  const names = String(present)
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
  const known = new Set(names.map((name) => name.toLowerCase()));
  return [...names, ...fields.filter((name) => !known.has(name.toLowerCase()))].join(', ');
}
