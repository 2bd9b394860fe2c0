import { createHmac, hash } from 'node:crypto';
import type { ProxyTrust, Reader } from '@sluice/core';
import type { FastifyRequest } from 'fastify';

/** Two addresses of nobody (RFC 5737), to ask whether the server would believe one about the other. */
const stranger = '203.0.113.1';
const claimed = '203.0.113.2';
/** Longer than any number of proxies that a server may be told to count. */
const hops = [claimed, ...Array<string>(64).fill(stranger)].join(', ');

/** Reads Fastify's requests. One per registration: whom a server trusts is settled when it is created. */
export function createReader(): Reader<FastifyRequest> {
  let trust: ReturnType<ProxyTrust<FastifyRequest>['trust']> | undefined;
  const told = new Set<string>();
  return {
    ip: (request) => request.ip,
    peer: (request) => request.socket.remoteAddress,
    header: (request, name) => request.headers[name],
    method: (request) => request.method,
    target: (request) => request.url,
    route: (request) => request.routeOptions?.url,
    user: (request) => (request as { user?: unknown }).user,
    earlier: (request) => request.rateLimit,
    proxies: {
      trust: (request) => (trust ??= trustOf(request)),
      forwarded: (request) => request.headers['x-forwarded-for'],
      remedy: 'Set trustProxy to the addresses of your proxies.',
    },
    digest: (text) => hash('sha256', text, 'base64url').slice(0, 22),
    sign: (secret, text) => createHmac('sha256', secret).update(text).digest().subarray(0, 16).toString('base64'),
    // The routes of a registration that have limits of their own would each warn.
    warn(message) {
      if (!told.has(message)) process.emitWarning(message, { code: 'SLUICE_WARNING' });
      told.add(message);
    },
  };
}

/** Fastify does not tell its setting, but a request of its own making shows it. */
function trustOf(request: FastifyRequest): 'nobody' | 'some' | 'anyone' {
  // Only a server that trusts somebody knows of hops.
  if (!('ips' in request)) return 'nobody';
  const probe = Object.create(Object.getPrototypeOf(request), {
    raw: { value: { headers: { 'x-forwarded-for': hops }, socket: { remoteAddress: stranger } } },
  }) as FastifyRequest;
  return probe.ip === claimed ? 'anyone' : 'some';
}
