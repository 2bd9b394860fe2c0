import Negotiator from 'negotiator';
import type { Decision } from '../decision.js';
import { formatDuration } from '../duration.js';
import { SluiceError, show } from '../errors.js';
import { checkNames } from '../options.js';
import type { CompiledPolicy } from '../policy.js';
import { type HeaderFields, retryAfterSeconds } from './headers.js';
import { Memo } from './memo.js';

/** What `onLimited` may answer with instead of the default body; what it leaves out stays as it is. */
export interface LimitedResponse {
  /** From 400 to 599. @default 429 */
  status?: number;
  headers?: Record<string, string>;
  /** A text is sent as `text/plain` and an object as JSON, unless `headers` says otherwise. */
  body?: string | object;
}

/** A Refusal is the response to a request that may not pass. */
export interface Refusal {
  readonly status: number;
  readonly headers: HeaderFields;
  readonly body: string;
}

type Format = 'json' | 'html' | 'text';

const contentTypes: Readonly<Record<Format, string>> = {
  json: 'application/problem+json',
  html: 'text/html; charset=utf-8',
  text: 'text/plain; charset=utf-8',
};

const title = 'Too many requests: the assigned quota is used up';
const problemType = 'https://iana.org/assignments/http-problem-types#quota-exceeded';

/** Writes refusals: problem details as of RFC 9457, or plain text or HTML for clients that accept nothing else. */
export class RefusalWriter {
  readonly #granted: ReadonlyMap<string, string>;
  readonly #formats = new Memo(formatFor, 1_000);

  constructor(policies: readonly CompiledPolicy[]) {
    this.#granted = new Map(
      policies.map(({ name, limit, windowMs }) => [
        name,
        `Policy '${name}' grants ${limit} ${limit === 1 ? 'unit' : 'units'} per ${formatDuration(windowMs)}.`,
      ]),
    );
  }

  /** Adds the fields of a refusal to `fields`. */
  write(fields: HeaderFields, decision: Decision, accept: string | string[] | undefined): Refusal {
    const format = this.#formats.get(String(accept ?? '*/*'));
    fields['Content-Type'] = contentTypes[format];
    return { status: 429, headers: fields, body: this.#body(format, decision) };
  }

  #body(format: Format, decision: Decision): string {
    const seconds = retryAfterSeconds(decision);
    const when =
      seconds === undefined
        ? 'A request of this cost can never pass.'
        : `Try again in ${seconds} ${seconds === 1 ? 'second' : 'seconds'}.`;
    const granted = this.#granted.get(decision.policy);
    const detail = granted === undefined ? when : `${granted} ${when}`;
    switch (format) {
      case 'text':
        return `${title}. ${detail}\n`;
      case 'html':
        // Nothing in it comes from the client, and policy names are plain words.
        return `<!doctype html><title>429</title><h1>${title}</h1><p>${detail}</p>\n`;
      case 'json':
        // Every part is known to need no escape.
        return `{"type":"${problemType}","title":"${title}","status":429,"detail":"${detail}","violated-policies":["${violated(decision)}"]}`;
    }
  }
}

function violated(decision: Decision): string {
  if (decision.policies === undefined) return decision.policy;
  const names = decision.policies.filter(({ allowed }) => !allowed).map(({ policy }) => policy);
  return names.join('","');
}

function formatFor(accept: string): Format {
  const accepted = new Negotiator({ headers: { accept } });
  if (accepted.mediaType(['application/problem+json', 'application/json'])) return 'json';
  if (accepted.mediaType(['text/html'])) return 'html';
  return accepted.mediaType(['text/plain']) ? 'text' : 'json';
}

/** Replaces what `onLimited` has replaced. */
export function customised(refusal: Refusal, response: LimitedResponse | undefined): Refusal {
  if (response === undefined) return refusal;
  checkNames(response, ['status', 'headers', 'body'], 'The answer of onLimited');
  const { status = refusal.status, body } = response;
  if (!Number.isInteger(status) || status < 400 || status > 599) {
    throw new SluiceError('INVALID_OPTION', `onLimited: 'status' must be from 400 to 599; got ${show(status)}.`);
  }
  const headers = { ...refusal.headers };
  if (body !== undefined) {
    headers['Content-Type'] = typeof body === 'string' ? contentTypes.text : 'application/json; charset=utf-8';
  }
  for (const [name, value] of Object.entries(response.headers ?? {})) {
    // Checked here, since not every framework survives what Node refuses to send.
    if (!/^[!#$%&'*+.^_`|~\w-]+$/.test(name) || typeof value !== 'string' || !/^[\t\x20-\x7e\x80-\xff]*$/.test(value)) {
      throw new SluiceError('INVALID_OPTION', `onLimited: the header ${show(name)} cannot be sent as ${show(value)}.`);
    }
    const present = Object.keys(headers).find((other) => other.toLowerCase() === name.toLowerCase());
    headers[present ?? name] = value;
  }
  const text = body === undefined ? refusal.body : typeof body === 'string' ? body : JSON.stringify(body);
  if (typeof text !== 'string') {
    throw new SluiceError('INVALID_OPTION', `onLimited: the body ${show(body)} has no JSON text.`);
  }
  return { status, headers, body: text };
}
