import type { FastifyRequest } from 'fastify';
import type { Expected } from '../configuration/configuration.js';
import { Problem } from '../problem.js';
import { invalidParameter } from '../validation.js';

export function etagOf(version: number): string {
  return `"${version}"`;
}

/**
 * What a write expects to find: by If-Match or If-None-Match, RFC 9110, section 13.1.
 * @throws Problem 400 for both of them, and for what is no entity tag.
 */
export function expectedOf({ headers }: FastifyRequest, otherwise: Expected): Expected {
  const { 'if-match': match, 'if-none-match': none } = headers;
  if (match !== undefined && none !== undefined)
    throw invalidParameter('If-None-Match', 'If-Match is given too. Send one of the two.');
  if (none !== undefined) {
    if (none.trim() === '*') return 'absent';
    throw invalidParameter('If-None-Match', 'Of a write it can only be *.');
  }
  if (match === undefined) return otherwise;
  return match.trim() === '*' ? 'present' : versionsOf(match);
}

/**
 * What a removal expects to find: something, and what If-Match says. No version is one that If-None-Match: * expects, so
 * that it refuses whatever is there.
 */
export function expectedOfRemoval(request: FastifyRequest): Expected {
  const expected = expectedOf(request, 'present');
  return expected === 'absent' ? [] : expected;
}

/** Whether the client has that version already: by If-None-Match of a read. */
export function isUnchanged({ headers }: FastifyRequest, etag: string): boolean {
  const tags = headers['if-none-match'];
  if (tags === undefined) return false;
  return tags.trim() === '*' || tags.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag);
}

/** The problem of a write that has found something else than its header fields expect; `found` is what is there. */
export function preconditionFailed({ headers }: FastifyRequest, found: object | null | undefined): Problem {
  return new Problem(412, 'Precondition failed', `It is not as expected: ${differenceOf(headers, found ?? null)}`);
}

function differenceOf(headers: FastifyRequest['headers'], found: object | null): string {
  if (headers['if-none-match'] !== undefined)
    return 'there is one already, and If-None-Match: * is for what is not there.';
  if (found === null) return 'there is none (any more), and If-Match is for what is there.';
  return 'somebody has written it since. Read it again, and send its ETag as If-Match.';
}

/** Who writes, as the audit log tells. */
export function actorOf({ caller, ip }: FastifyRequest): string {
  // A route that forgets to ask for a caller is a mistake of ours, and nobody must be able to write by it.
  if (caller === undefined) throw new TypeError('The route asks nobody who he is.');
  return `${caller.name} ${ip}`;
}

/** A weak tag never matches: RFC 9110, section 13.1.1. */
function versionsOf(match: string): readonly number[] {
  const tags = match.split(',').map((tag) => tag.trim());
  if (!tags.every((tag) => /^(?:W\/)?"[\x21\x23-\x7e]*"$/.test(tag))) {
    throw invalidParameter(
      'If-Match',
      'It must be the ETag that a read has answered with, such as "17", in its quotes; or *.',
    );
  }
  return tags.filter((tag) => /^"\d{1,15}"$/.test(tag)).map((tag) => Number(tag.slice(1, -1)));
}
