import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import ipaddr from 'ipaddr.js';
import { Problem } from '../problem.js';

/** What a caller may do: ask for decisions, or administer the service, which includes the former. */
export type Scope = 'check' | 'admin';

/** Who a caller is, as logs and the audit log tell. */
export interface Caller {
  /** `admin-1`, `check-2`: the token by its place among those of its scope; `loopback` without one. */
  readonly name: string;
  readonly scope: Scope;
}

interface Token extends Caller {
  readonly digest: Buffer;
}

/** Access says who may do what, by bearer tokens (RFC 6750); where a scope has none, by where a request comes from. */
export class Access {
  readonly #tokens: readonly Token[];
  readonly #isOpen: { readonly [scope in Scope]: boolean };

  constructor(tokens: { readonly admin: readonly string[]; readonly check: readonly string[] }) {
    const all = (['admin', 'check'] as const).flatMap((scope) =>
      tokens[scope].map((token, i): Token => ({ name: `${scope}-${i + 1}`, scope, digest: digestOf(token) })),
    );
    this.#tokens = all;
    this.#isOpen = { admin: tokens.admin.length === 0, check: tokens.check.length === 0 };
  }

  /** @throws Problem 401 or 403 for a caller that may not do what the scope allows. */
  authorise(request: FastifyRequest, scope: Scope): Caller {
    const given = bearerOf(request.headers.authorization);
    const token = given === undefined ? undefined : this.#find(given);
    if (token !== undefined) {
      if (token.scope === 'admin' || scope === 'check') return token;
      throw new Problem(403, 'Forbidden', 'This token is for checks. Administration needs an admin token.');
    }
    if (given !== undefined && !(this.#isOpen.admin && this.#isOpen.check))
      throw unauthorised('There is no such token.');
    if (scope === 'check' && this.#isOpen.check) return { name: 'anyone', scope };
    if (scope === 'admin' && this.#isOpen.admin) return fromLoopback(request);
    throw unauthorised(`Send a token of the scope '${scope}': Authorization: Bearer ….`);
  }

  #find(given: string): Token | undefined {
    const digest = digestOf(given);
    let found: Token | undefined;
    // Each is compared, so that the time does not tell which one it is.
    for (const token of this.#tokens) if (timingSafeEqual(token.digest, digest)) found = token;
    return found;
  }
}

/** Digests have one length, which `timingSafeEqual` needs, whatever was sent. */
function digestOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}

function bearerOf(header: string | undefined): string | undefined {
  const [, token] = /^bearer +([^\s,]+) *$/i.exec(header ?? '') ?? [];
  if (token !== undefined || header === undefined) return token;
  throw unauthorised('The header Authorization has no bearer token. Write: Authorization: Bearer ….');
}

function unauthorised(detail: string): Problem {
  return new Problem(401, 'Unauthorized', detail, undefined, { 'www-authenticate': 'Bearer realm="sluice"' });
}

/**
 * Without a token, administration is for this machine alone: not for what a proxy on it passes on, nor for what a page
 * in a browser on it sends.
 */
function fromLoopback(request: FastifyRequest): Caller {
  const { headers, socket } = request;
  const detail = (what: string) =>
    new Problem(
      403,
      'Forbidden',
      `${what} Without an admin token, administration is for this machine alone. Start with --admin-token-file.`,
    );
  if (!isLoopback(socket.remoteAddress)) throw detail('The request comes from another machine.');
  if (['forwarded', 'x-forwarded-for', 'x-real-ip', 'via'].some((name) => headers[name] !== undefined)) {
    throw detail('The request has come through a proxy.');
  }
  const site = headers['sec-fetch-site'];
  if (!isLoopbackHost(headers.host) || (site !== undefined && site !== 'same-origin' && site !== 'none')) {
    throw detail('The request comes from a page of another site.');
  }
  if (headers.origin !== undefined && headers.origin !== `http://${headers.host}`) {
    throw detail('The request comes from a page of another site.');
  }
  return { name: 'loopback', scope: 'admin' };
}

function isLoopback(address: string | undefined): boolean {
  return address !== undefined && ipaddr.isValid(address) && ipaddr.process(address).range() === 'loopback';
}

/** A page of another site can have its name resolve to this machine, but not call itself by these. */
function isLoopbackHost(host: string | undefined): boolean {
  const name = (host ?? '').replace(/:\d+$/, '').toLowerCase();
  return name === 'localhost' || isLoopback(name.replace(/^\[|\]$/g, ''));
}
