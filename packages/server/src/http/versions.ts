import type { FastifyRequest } from 'fastify';
import type { Expected } from '../configuration/configuration.js';
import { Problem } from '../problem.js';
import type { Caller } from './access.js';

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
    throw badHeader('If-None-Match', 'If-Match is given too. Send one of the two.');
  if (none !== undefined) {
    if (none.trim() === '*') return 'absent';
    throw badHeader('If-None-Match', 'Of a write it can only be *.');
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

export function preconditionFailed(): Problem {
  return new Problem(
    412,
    'Precondition failed',
    'It is not as expected: somebody has written it since. Read it again, and send its ETag as If-Match.',
  );
}

/** Who writes, as the audit log tells. */
export function actorOf({ name }: Caller, { ip }: FastifyRequest): string {
  return `${name} ${ip}`;
}

/** A weak tag never matches: RFC 9110, section 13.1.1. */
function versionsOf(match: string): readonly number[] {
  const tags = match.split(',').map((tag) => tag.trim());
  if (!tags.every((tag) => /^(?:W\/)?"[\x21\x23-\x7e]*"$/.test(tag))) {
    throw badHeader(
      'If-Match',
      'It must be the ETag that a read has answered with, such as "17", in its quotes; or *.',
    );
  }
  return tags.filter((tag) => /^"\d{1,15}"$/.test(tag)).map((tag) => Number(tag.slice(1, -1)));
}

function badHeader(parameter: string, detail: string): Problem {
  return new Problem(400, 'Invalid request', `${parameter}: ${detail}`, [{ parameter, detail }]);
}
