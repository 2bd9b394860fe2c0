import type { IncomingHttpHeaders } from 'node:http';
import type { RateLimitOptions } from '@sluice/core';

/** What the requests of Express, Koa and Fastify have in common. */
interface AnyRequest {
  readonly headers: IncomingHttpHeaders;
}

/** Stands in for a database of customers: the tier that each API key has paid for. */
const customers = new Map([
  ['key-of-bill', 'basic'],
  ['key-of-pat', 'premium'],
  ['key-of-eve', 'enterprise'],
]);

export const limits: RateLimitOptions<AnyRequest> = {
  // Everything that has no rule of its own, by customer; without an API key, by address.
  tiers: { free: '100/1h', basic: '1000/1h', premium: '10000/1h', enterprise: '100000/1h' },
  tier: ({ headers }) => customers.get(String(headers['x-api-key'])),
  defaultTier: 'free',
  identity: {
    verifyApiKey: (apiKey) => customers.has(apiKey) || apiKey === 'key-of-the-monitor',
    // One proxy, on this machine, writes X-Forwarded-For.
    trustedProxies: ['loopback'],
  },

  rules: [
    // Guessing passwords: by address, whatever else the request says about itself.
    { match: 'POST /login', limit: 5, window: '1m', algorithm: 'fixed-window', anchor: 'first', by: 'ip' },
    { match: 'GET /search', limit: 100, window: '1m' },
    { match: 'POST /upload', limit: 10, window: '1h', tiers: { enterprise: '500/1h' } },
    // To be enforced once the log says whom it would hit.
    { name: 'reports', match: '/reports/*', limit: 2, window: '1m', mode: 'shadow' },
    { match: '/health', limit: false },
  ],

  lists: { allow: ['api-key:key-of-the-monitor', '192.0.2.0/28'], block: ['203.0.113.0/24', '2001:db8:bad::/48'] },
  // Whoever sends API keys that do not exist is limited before they are looked up.
  beforeAuth: '600/1m',
  headers: ['legacy', 'draft-11'],
  logger: { warn: console.warn, info: console.log },
};
