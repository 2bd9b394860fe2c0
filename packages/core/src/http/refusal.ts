import Negotiator from 'negotiator';
import type { Decision } from '../decision.js';
import type { RefusalKind } from '../engine/judgement.js';
import { SluiceError, show } from '../errors.js';
import { Memo } from '../memo.js';
import { checkNames } from '../options.js';
import type { HeaderFields, QuotaLine } from './headers.js';
import { type Format, ProblemWriter } from './problem.js';
import type { CompiledResponse } from './response.js';

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

const contentTypes: Readonly<Record<Format, string>> = {
  json: 'application/problem+json',
  html: 'text/html; charset=utf-8',
  text: 'text/plain; charset=utf-8',
};

/** Writes refusals: problem details as of RFC 9457, or plain text or HTML for clients that accept nothing else. */
export class RefusalWriter {
  readonly #problems: Readonly<Record<RefusalKind, ProblemWriter>>;
  readonly #body: CompiledResponse<never>['body'];
  readonly #formats = new Memo(formatFor, 1_000);

  constructor({ statusCode, body }: Pick<CompiledResponse<never>, 'statusCode' | 'body'>) {
    this.#problems = {
      quota: new ProblemWriter('quota', statusCode),
      banned: new ProblemWriter('banned'),
      unavailable: new ProblemWriter('unavailable'),
      blocked: new ProblemWriter('blocked'),
    };
    this.#body = body;
  }

  /**
   * Adds the fields of a refusal to `fields`. Of the `lines` those that refused are named, and what the one that decided
   * grants; where there are none, the names are the decision's.
   */
  write(
    kind: RefusalKind,
    fields: HeaderFields,
    decision: Decision,
    lines: readonly QuotaLine[],
    accept: string | string[] | undefined,
  ): Refusal {
    const problem = this.#problems[kind];
    if (kind === 'quota' && this.#body !== undefined) {
      fields['Content-Type'] = this.#body.contentType;
      return { status: problem.status, headers: fields, body: this.#body.text };
    }
    const format = this.#formats.get(String(accept ?? '*/*'));
    fields['Content-Type'] = contentTypes[format];
    return { status: problem.status, headers: fields, body: problem.body(format, decision, lines) };
  }
}

const mediaTypes = ['application/problem+json', 'application/json', 'text/html', 'text/plain'];

function formatFor(accept: string): Format {
  // One reading of what may be long and is the client's.
  const accepted = new Negotiator({ headers: { accept } }).mediaTypes(mediaTypes);
  if (accepted.some((type) => type.endsWith('json'))) return 'json';
  if (accepted.includes('text/html')) return 'html';
  return accepted.includes('text/plain') ? 'text' : 'json';
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
  const text = body === undefined ? restated(refusal, status) : typeof body === 'string' ? body : JSON.stringify(body);
  if (typeof text !== 'string') {
    throw new SluiceError('INVALID_OPTION', `onLimited: the body ${show(body)} has no JSON text.`);
  }
  return { status, headers, body: text };
}

/** The body, which may tell the status too. RFC 9457, 3.1.2: it must be the one that is sent. */
function restated({ body, status: told, headers }: Refusal, status: number): string {
  if (status === told) return body;
  const type = headers['Content-Type'];
  if (type === contentTypes.json) return body.replace(`"status":${told},`, `"status":${status},`);
  return type === contentTypes.html ? body.replace(`<title>${told}</title>`, `<title>${status}</title>`) : body;
}
