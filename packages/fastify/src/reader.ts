import { hash } from 'node:crypto';
import type { Reader } from '@sluice/core';
import type { FastifyRequest } from 'fastify';

/** Two addresses of nobody (RFC 5737), to ask whether the server would believe one about the other. */
const stranger = '203.0.113.1';
const claimed = '203.0.113.2';
/** Longer than any number of proxies that a server may be told to count. */
const hops = [claimed, ...Array<string>(64).fill(stranger)].join(', ');

/** Reads Fastify's requests. One per registration: whom a server trusts is settled when it is created. */
export function createReader(): Reader<FastifyRequest> {
  let trusts: boolean | undefined;
  let warned = false;
  return {
    ip: (request) => request.ip,
    header: (request, name) => request.headers[name],
    user: (request) => (request as { user?: unknown }).user,
    earlier: (request) => request.rateLimit,
    proxies: {
      trustsAnyone: (request) => (trusts ??= believesStrangers(request)),
      forwarded: (request) => request.headers['x-forwarded-for'],
      peer: (request) => request.socket.remoteAddress,
      remedy: 'Set trustProxy to the addresses of your proxies instead of true.',
    },
    digest: (text) => hash('sha256', text, 'base64url').slice(0, 22),
    // The routes of a registration that have limits of their own would each warn.
    warn(message) {
      if (!warned) process.emitWarning(message, { code: 'SLUICE_TRUST_PROXY' });
      warned = true;
    },
  };
}

/** Fastify does not tell its setting, but a request of its own making shows it. */
function believesStrangers(request: FastifyRequest): boolean {
  const probe = Object.create(Object.getPrototypeOf(request), {
    raw: { value: { headers: { 'x-forwarded-for': hops }, socket: { remoteAddress: stranger } } },
  }) as FastifyRequest;
  return probe.ip === claimed;
}
