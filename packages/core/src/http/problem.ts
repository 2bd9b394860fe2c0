import type { Decision } from '../decision.js';
import { formatDuration } from '../duration.js';
import type { RefusalKind } from '../engine/judgement.js';
import type { QuotaUnit } from '../engine/line.js';
import { LineTexts } from './headers/line-texts.js';
import { type QuotaLine, retryAfterSeconds } from './headers.js';

export type Format = 'json' | 'html' | 'text';

interface Problem {
  readonly status: number;
  readonly type: string;
  readonly title: string;
}

const registry = 'https://iana.org/assignments/http-problem-types#';

/**
 * The problem types of draft-ietf-httpapi-ratelimit-headers-11, section 5, and `about:blank` of RFC 9457, 4.2.1, whose
 * title is the phrase of the status.
 */
const problems: Readonly<Record<RefusalKind, Problem>> = {
  quota: {
    status: 429,
    type: `${registry}quota-exceeded`,
    title: 'Too many requests: the assigned quota is used up',
  },
  banned: {
    status: 403,
    type: `${registry}abnormal-usage-detected`,
    title: 'Request not satisfied due to detection of abnormal request pattern',
  },
  unavailable: {
    status: 503,
    type: `${registry}temporary-reduced-capacity`,
    title: 'Request cannot be satisfied due to temporary server capacity constraints',
  },
  blocked: { status: 403, type: 'about:blank', title: 'Forbidden' },
};

/** A ProblemWriter writes the bodies of one kind of refusal; what does not change is put together once. */
export class ProblemWriter {
  readonly status: number;
  readonly #kind: RefusalKind;
  readonly #heads: Readonly<Record<Format, string>>;
  readonly #granted = new LineTexts(granted);

  /** `status` is sent in place of the usual one of the kind. */
  constructor(kind: RefusalKind, status: number = problems[kind].status) {
    const { type, title } = problems[kind];
    this.status = status;
    this.#kind = kind;
    this.#heads = {
      json: `{"type":"${type}","title":"${title}","status":${status},"detail":"`,
      html: `<!doctype html><title>${status}</title><h1>${title}</h1><p>`,
      text: `${title}. `,
    };
  }

  /** Nothing in it comes from the client, policy names are plain words, and no part needs an escape. */
  body(format: Format, decision: Decision, lines: readonly QuotaLine[]): string {
    const text = this.#heads[format] + this.#detail(decision, lines);
    if (format === 'text') return `${text}\n`;
    if (format === 'html') return `${text}</p>\n`;
    return this.#kind === 'blocked' ? `${text}"}` : `${text}","violated-policies":${violated(decision, lines)}}`;
  }

  #detail(decision: Decision, lines: readonly QuotaLine[]): string {
    switch (this.#kind) {
      case 'quota': {
        const line = lines.find(({ name, decision: own }) => name === decision.policy && !own.allowed);
        const when = again(decision, line?.unit) ?? 'A request of this cost can never pass.';
        return line === undefined ? when : `${this.#granted.of(line)} ${when}`;
      }
      case 'banned':
        return `Too many requests have been refused. ${again(decision) ?? 'No further ones are accepted.'}`;
      case 'unavailable':
        return `The request could not be counted. ${decision.retryAfter > 0 ? (again(decision) ?? later) : later}`;
      case 'blocked':
        return 'Requests of this client are not accepted.';
    }
  }
}

const later = 'Try again later.';

/** `undefined` where it is of no use. When a place among the requests at work becomes free is not known. */
function again(decision: Decision, unit?: QuotaUnit): string | undefined {
  const seconds = retryAfterSeconds(decision);
  if (seconds === undefined) return undefined;
  if (unit === 'concurrent-requests') return 'Try again when one of them has ended.';
  return `Try again in ${seconds} ${seconds === 1 ? 'second' : 'seconds'}.`;
}

function granted({ name, limit, windowMs, unit, isPenalty }: QuotaLine): string {
  if (isPenalty) return `Policy '${name}' blocks who has been refused.`;
  if (unit === 'concurrent-requests' || windowMs === undefined) {
    return `Policy '${name}' grants at most ${limit} ${limit === 1 ? 'request' : 'requests'} at a time.`;
  }
  const noun = unit === 'content-bytes' ? 'byte' : 'unit';
  return `Policy '${name}' grants ${limit} ${limit === 1 ? noun : `${noun}s`} per ${formatDuration(windowMs)}.`;
}

/** The names, as JSON, of all policies that refused. */
function violated(decision: Decision, lines: readonly QuotaLine[]): string {
  const refusing = lines.filter(({ decision: own }) => !own.allowed).map(({ name }) => name);
  if (refusing.length > 0) return `["${refusing.join('","')}"]`;
  const names = (decision.policies ?? [decision]).filter(({ allowed }) => !allowed).map(({ policy }) => policy);
  return names.length > 0 ? `["${names.join('","')}"]` : '[]';
}
