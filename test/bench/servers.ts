// What do the servers look like whose requests are timed: bare, with three headers by hand, with ours, with the peer's limiter?
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';

const require = createRequire(import.meta.url);

export const frameworks = ['express', 'koa', 'fastify'] as const;
export type Framework = (typeof frameworks)[number];

export const variants = ['bare', 'headers', 'sluice', 'full', 'peer'] as const;
export type Variant = (typeof variants)[number];

export const peerOf = {
  express: 'express-rate-limit',
  koa: 'koa-ratelimit',
  fastify: '@fastify/rate-limit',
} as const;

const limit = 100_000_000;
const windowMs = 3_600_000;
const body = { hello: 'world' };

const grant = { limit, window: windowMs } as const;

/** Much of what there is at once: every request is of a rule, a tier and a key, on no list, and neither blocked nor banned. */
const full = {
  rules: [
    { match: 'POST /login', limit: 5, window: '1m' },
    { match: '/users/:id', limit: 100, window: '1m' },
    { match: '/files/*', limit: 10, window: '1h' },
    { match: 'GET /', tiers: { free: grant, pro: grant }, stack: true },
  ],
  tiers: { free: grant, pro: grant },
  tier: () => 'pro',
  defaultTier: 'free',
  lists: { allow: ['192.0.2.0/24'], block: ['198.51.100.0/24', 'user:42'] },
  penalty: { blockFor: '1m', banAfter: 5 },
  headers: ['legacy', 'draft-11'],
} as const;

/** The least that any limiter of the kind must do: three headers, one of which counts down. */
const names = ['X-RateLimit-Limit', 'X-RateLimit-Remaining', 'X-RateLimit-Reset'] as const;
let remaining = limit;
function values(): readonly [string, string, string] {
  return [String(limit), String(--remaining), '1800000000'];
}

/** Starts a server on the loopback interface; resolves to its port. */
export async function start(framework: Framework, variant: Variant): Promise<number> {
  switch (framework) {
    case 'express':
      return startExpress(variant);
    case 'koa':
      return startKoa(variant);
    case 'fastify':
      return startFastify(variant);
  }
}

async function startExpress(variant: Variant): Promise<number> {
  const { default: express } = await import('express');
  const app = express();
  if (variant === 'headers') {
    app.use((_req, res, next) => {
      const all = values();
      for (let i = 0; i < names.length; i++) res.setHeader(names[i]!, all[i]!);
      next();
    });
  } else if (variant === 'sluice' || variant === 'full') {
    const { rateLimit } = await import('@sluice/express');
    app.use(rateLimit(variant === 'full' ? full : grant));
  } else if (variant === 'peer') {
    const { rateLimit } = await import('express-rate-limit');
    app.use(rateLimit({ limit, windowMs, legacyHeaders: true, standardHeaders: false }));
  }
  app.get('/', (_req, res) => void res.json(body));
  return listening(app.listen(0, '127.0.0.1'));
}

async function startKoa(variant: Variant): Promise<number> {
  const { default: Koa } = await import('koa');
  const app = new Koa();
  if (variant === 'headers') {
    app.use((ctx, next) => {
      const all = values();
      for (let i = 0; i < names.length; i++) ctx.res.setHeader(names[i]!, all[i]!);
      return next();
    });
  } else if (variant === 'sluice' || variant === 'full') {
    const { rateLimit } = await import('@sluice/koa');
    app.use(rateLimit(variant === 'full' ? full : grant));
  } else if (variant === 'peer') {
    const ratelimit = require('koa-ratelimit') as (options: object) => Parameters<typeof app.use>[0];
    app.use(ratelimit({ driver: 'memory', db: new Map(), max: limit, duration: windowMs }));
  }
  app.use((ctx) => {
    ctx.body = body;
  });
  return listening(app.listen(0, '127.0.0.1'));
}

async function startFastify(variant: Variant): Promise<number> {
  const { default: Fastify } = await import('fastify');
  const app = Fastify();
  if (variant === 'headers') {
    app.addHook('onRequest', (_request, reply, done) => {
      const all = values();
      for (let i = 0; i < names.length; i++) reply.header(names[i]!, all[i]!);
      done();
    });
  } else if (variant === 'sluice' || variant === 'full') {
    const { rateLimit } = await import('@sluice/fastify');
    await app.register(rateLimit, variant === 'full' ? full : grant);
  } else if (variant === 'peer') {
    const { default: rateLimit } = await import('@fastify/rate-limit');
    await app.register(rateLimit, { max: limit, timeWindow: windowMs });
  }
  app.get('/', (_request, reply) => reply.send(body));
  await app.listen({ port: 0, host: '127.0.0.1' });
  return (app.server.address() as AddressInfo).port;
}

function listening(server: import('node:http').Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.once('listening', () => resolve((server.address() as AddressInfo).port));
  });
}
