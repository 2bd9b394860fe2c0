import { createHmac, hash } from 'node:crypto';
import { type ProxyTrust, type Reader, SluiceError } from '@sluice/core';
import type { Application, Request } from 'express';
import { DecisionProperty } from './decision-property.js';

type Trust = ReturnType<ProxyTrust<Request>['trust']>;

/** Whom an app's proxy setting believes: one answer per setting, not per request. */
const answers = new WeakMap<object, Trust>();

function trustOf(app: Application): Trust {
  const trust: ((address: string, hop: number) => boolean) | undefined = app.get('trust proxy fn');
  if (trust === undefined) return 'nobody';
  const known = answers.get(trust);
  if (known !== undefined) return known;
  // A stranger, farther away than any number of proxies that an app may be told to count.
  const answer = trust('203.0.113.1', 64) ? 'anyone' : app.get('trust proxy') === false ? 'nobody' : 'some';
  answers.set(trust, answer);
  return answer;
}

/**
 * Scheme and authority of an absolute target, if everybody sees them end in the same place, and nothing follows that
 * Node's `url.parse` rewrites: Express cuts by the length of what has been rewritten.
 */
const origin =
  /^[a-z][a-z\d+.-]*:\/\/(?:[\w.~:-]*@)?(?:[\w.-]*|\[[\da-f:.]*\])(?::\d*)?(?=(?:\/[^\\^`{}|<>"'#?\s]*)?(?:\?|$))/i;

/**
 * The whole target inside a mount, which takes its path away behind the authority, and puts it back there.
 * @throws SluiceError where Express and others begin the path in different places: what the mount has then taken away,
 * and what it will put back, cannot be told.
 */
function wholeTarget({ baseUrl, url, originalUrl }: Request): string {
  if (baseUrl === '') return url;
  if (originalUrl.charCodeAt(0) !== 0x2f && !origin.test(originalUrl)) throw unreadable();
  if (url.charCodeAt(0) === 0x2f || url.charCodeAt(0) === 0x3f) return baseUrl + url;
  const found = origin.exec(url)?.[0];
  if (found === undefined) throw unreadable();
  return found + baseUrl + url.slice(found.length);
}

function unreadable(): SluiceError {
  const error = new SluiceError(
    'INVALID_OPTION',
    'The request target is no absolute URL of which everybody reads the same path. Refuse it: no client sends one.',
  );
  return Object.assign(error, { status: 400, statusCode: 400 });
}

const decisions = DecisionProperty.of('rateLimit');

/** Reads Express' requests. */
export const reader: Reader<Request> = {
  ip: (req) => req.ip,
  peer: (req) => req.socket.remoteAddress,
  header: (req, name) => req.headers[name],
  method: (req) => req.method,
  // Not the original URL: what has been rewritten is routed as it is now.
  target: wholeTarget,
  route: (req) => (typeof req.route?.path === 'string' ? req.baseUrl + req.route.path : undefined),
  user: (req) => (req as { user?: unknown }).user,
  earlier: (req) => decisions.get(req),
  proxies: {
    trust: (req) => trustOf(req.app),
    forwarded: (req) => req.headers['x-forwarded-for'],
    remedy: "Set app.set('trust proxy', …) to the number or the addresses of your proxies.",
  },
  digest: (text) => hash('sha256', text, 'base64url').slice(0, 22),
  sign: (secret, text) => createHmac('sha256', secret).update(text).digest().subarray(0, 16).toString('base64'),
  warn: (message) => process.emitWarning(message, { code: 'SLUICE_WARNING' }),
};
