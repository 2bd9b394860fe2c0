import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyReply, FastifyRequest, HookHandlerDoneFunction } from 'fastify';
import ipaddr from 'ipaddr.js';
import { Problem } from '../problem.js';

/** What a caller may do: ask for decisions, or administer the service, which includes the former. */
export type Scope = 'check' | 'admin';

/** Who a caller is, as logs and the audit log tell. */
export interface Caller {
  /** `admin:3f9a1c`: the scope of the token, and how its SHA-256 digest begins; without one `loopback` or `anyone`. */
  readonly name: string;
  readonly scope: Scope;
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Who sent it, once that is known to be somebody who may. */
    caller: Caller | undefined;
  }
}

interface Token extends Caller {
  readonly digest: Buffer;
}

interface Credentials {
  readonly scheme: 'bearer' | 'basic';
  readonly token: string;
}

/** A hook that is called before the request is read. */
type Hook = (request: FastifyRequest, reply: FastifyReply, done: HookHandlerDoneFunction) => void;

/**
 * Access says who may do what, by bearer tokens (RFC 6750) or by tokens as the password of HTTP Basic (RFC 7617); where
 * a scope has none, by where a request comes from.
 */
export class Access {
  readonly #tokens: readonly Token[];
  readonly #isOpen: { readonly [scope in Scope]: boolean };

  constructor(tokens: { readonly admin: readonly string[]; readonly check: readonly string[] }) {
    this.#tokens = (['admin', 'check'] as const).flatMap((scope) =>
      tokens[scope].map((token): Token => {
        const digest = digestOf(token);
        return { name: `${scope}:${digest.toString('hex').slice(0, 6)}`, scope, digest };
      }),
    );
    this.#isOpen = { admin: tokens.admin.length === 0, check: tokens.check.length === 0 };
  }

  /** The hook of a route for callers of that scope: it answers 401 or 403, or sets `request.caller`. */
  requires(scope: Scope): Hook {
    return (request, _reply, done) => {
      request.caller = this.#authorise(request, scope);
      done();
    };
  }

  /** @throws Problem 401 or 403 for a caller that may not do what the scope allows. */
  #authorise(request: FastifyRequest, scope: Scope): Caller {
    const { authorization } = request.headers;
    const given = this.#tokens.length === 0 ? undefined : credentialsOf(authorization);
    const token = given && this.#find(given.token);
    if (token !== undefined) {
      if (scope === 'check') return token;
      if (token.scope !== 'admin') throw forbidden('This token is for checks. Administration needs an admin token.');
      // Browsers send a password that they know along with whatever any page asks for.
      if (given?.scheme === 'basic' && isOfOtherSite(request.headers)) throw forbidden(otherSite);
      return token;
    }
    // What else the header field says is not for us: gateways pass on what their clients send.
    if (this.#isOpen[scope]) return scope === 'check' ? anyone : fromLoopback(request);
    if (given !== undefined) throw unauthorised('There is no such token.');
    const missing = authorization === undefined ? '' : 'The header field Authorization has no token. ';
    throw unauthorised(`${missing}Send a token of the scope '${scope}': Authorization: Bearer ….`);
  }

  #find(given: string): Token | undefined {
    const digest = digestOf(given);
    let found: Token | undefined;
    // Each is compared, so that the time does not tell which one it is.
    for (const token of this.#tokens) if (timingSafeEqual(token.digest, digest)) found = token;
    return found;
  }
}

const anyone: Caller = { name: 'anyone', scope: 'check' };
const loopback: Caller = { name: 'loopback', scope: 'admin' };

/** Digests have one length, which `timingSafeEqual` needs, whatever was sent. */
function digestOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}

function credentialsOf(header: string | undefined): Credentials | undefined {
  const [, word = '', text = ''] = /^(bearer|basic) +([^\s,]+) *$/i.exec(header ?? '') ?? [];
  if (word.toLowerCase() === 'bearer') return { scheme: 'bearer', token: text };
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(text)) return undefined;
  const pair = Buffer.from(text, 'base64').toString('utf8');
  const colon = pair.indexOf(':');
  return colon === -1 ? undefined : { scheme: 'basic', token: pair.slice(colon + 1) };
}

// Basic is taken and not asked for: a browser would show a window, and keep what is typed there.
function unauthorised(detail: string): Problem {
  return new Problem(401, 'Unauthorized', detail, undefined, { 'www-authenticate': 'Bearer realm="sluice"' });
}

function forbidden(detail: string): Problem {
  return new Problem(403, 'Forbidden', detail);
}

const otherSite = 'The request comes from a page of another site.';

/** What only proxies set. */
const proxyFields = new Set([
  'cf-connecting-ip',
  'forwarded',
  'true-client-ip',
  'via',
  'x-client-ip',
  'x-envoy-external-address',
  'x-real-ip',
]);

/**
 * Without a token, administration is for this machine alone: not for what a proxy on it passes on, as far as that can
 * be seen, nor for what a page in a browser on it sends.
 */
function fromLoopback({ headers, raw, socket }: FastifyRequest): Caller {
  const refused = (what: string) =>
    forbidden(
      `${what} Without an admin token, administration is for this machine alone. Start with --admin-token-file.`,
    );
  if (!isLoopback(socket.remoteAddress)) throw refused('The request comes from another machine.');
  if (Object.keys(headers).some((name) => proxyFields.has(name) || name.startsWith('x-forwarded-'))) {
    throw refused('The request has come through a proxy.');
  }
  // As nginx sends it where nothing else is set.
  if (raw.httpVersionMajor === 1 && raw.httpVersionMinor === 0) {
    throw refused('The request is HTTP/1.0, as proxies send it.');
  }
  if (!isLoopbackHost(headers.host) || isOfOtherSite(headers)) throw refused(otherSite);
  return loopback;
}

function isOfOtherSite({ host, origin, 'sec-fetch-site': site }: IncomingHttpHeaders): boolean {
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return true;
  return origin !== undefined && origin !== `http://${host}`;
}

function isLoopback(address: string | undefined): boolean {
  return address !== undefined && ipaddr.isValid(address) && ipaddr.process(address).range() === 'loopback';
}

/** A page of another site can have its name resolve to this machine, but not call itself by these. */
function isLoopbackHost(host: string | undefined): boolean {
  const name = (host ?? '').replace(/:\d+$/, '').toLowerCase();
  return name === 'localhost' || isLoopback(name.replace(/^\[|\]$/g, ''));
}
