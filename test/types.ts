// What the types catch: checked by `pnpm types`, never run. A line after @ts-expect-error must not compile.
import {
  createLimiter,
  type Decision,
  type Limiter,
  MemoryStore,
  type RequestDecision,
  type Reservation,
  type Store,
} from '@sluice/core';
import { rateLimit as express, fromExpressRateLimitStore } from '@sluice/express';
import { rateLimit as fastify } from '@sluice/fastify';
import { rateLimit as koa } from '@sluice/koa';
import type { Request } from 'express';
import { MemoryStore as ExpressRateLimitMemory } from 'express-rate-limit';
import Fastify, { type FastifyRequest } from 'fastify';
import type { Context } from 'koa';

declare const remote: Store;

// @ts-expect-error a misspelt option
express({ limt: 5 });
// @ts-expect-error a limit as text
express({ limit: '5' });
// @ts-expect-error a window in words
express({ limit: 5, window: '1 minute' });
// @ts-expect-error an algorithm that does not exist
koa({ limit: 5, algorithm: 'sliding' });
// @ts-expect-error a short form without a window
express({ limits: ['100'] });
// @ts-expect-error a key that is a number
express({ key: () => 42 });
// @ts-expect-error a cost as text
express({ cost: async () => '1' });
// @ts-expect-error an answer with an unknown field
koa({ onLimited: () => ({ statusCode: 503 }) });
// @ts-expect-error a rule without a route
express({ rules: [{ limit: 5, window: '1m' }] });
// @ts-expect-error an option that rules do not have
koa({ rules: [{ match: '/login', limit: 5, window: '1m', headers: false }] });
// @ts-expect-error a misspelt option of a rule
express({ rules: [{ match: '/login', limit: 5, window: '1m', stacks: true }] });
// @ts-expect-error a part of the identity that does not exist
express({ rules: [{ match: '/login', limit: 5, window: '1m', by: 'apikey' }] });
// @ts-expect-error a tier in words
express({ tiers: { free: '100 per hour' }, tier: () => 'free', defaultTier: 'free' });
// @ts-expect-error a tier that is a number
koa({ tiers: { free: 100 }, tier: () => 'free', defaultTier: 'free' });
// @ts-expect-error the tier of a request as an object
express({ tiers: { free: '100/1h' }, tier: () => ({ name: 'free' }), defaultTier: 'free' });
// @ts-expect-error a mode that does not exist
express({ mode: 'dry-run' });
// @ts-expect-error a misspelt mode of a policy
express({ limits: [{ limit: 5, window: '1m', mode: 'shadows' }] });
// @ts-expect-error a version of the drafts that has no serialiser
express({ headers: 'draft-9' });
// @ts-expect-error a style among others that does not exist
koa({ headers: ['legacy', 'draft-12'] });
// @ts-expect-error styles for one outcome only
express({ headers: { passed: 'legacy' } });
// @ts-expect-error a list that is not one
express({ lists: { block: '203.0.113.0/24' } });
// @ts-expect-error a list that is called otherwise
express({ lists: { deny: ['203.0.113.0/24'] } });
// @ts-expect-error a penalty in words
koa({ penalty: '15 minutes' });
// @ts-expect-error a penalty that is called otherwise
koa({ penalty: { blockDuration: '15m' } });
// @ts-expect-error a concurrency as text
express({ concurrency: '20' });
// @ts-expect-error what becomes of a request when the store fails, in another word
express({ onStoreError: 'open' });
// @ts-expect-error a status as text
express({ response: { statusCode: '429' } });
// @ts-expect-error a trust of every proxy
express({ identity: { trustedProxies: true } });
// @ts-expect-error a store of express-rate-limit that is not wrapped
express({ store: new ExpressRateLimitMemory() });
// @ts-expect-error an answer that is neither a response, nor an error, nor 'answered'
express({ onLimited: () => 'done' });
// @ts-expect-error a store of network latency cannot answer at once
createLimiter({ policies: '5/1s', store: remote }).consumeSync('key');
// @ts-expect-error a limiter without policies
createLimiter({});

export const allowed: boolean = createLimiter({ policies: '5/1s' }).consumeSync('key').allowed;
export const held: number = createLimiter({ policies: ['5/1s'], store: new MemoryStore() }).consumeSync('key').delay;
export const limiter: Limiter = createLimiter({ policies: { limit: 5, window: '1s' }, store: remote });

// Callbacks know the framework's own request.
express({ key: (req: Request) => req.params.tenant as string, skip: (req) => req.path === '/health' });
express({ cost: async (req) => Number(req.query.pages), onLimited: (req) => ({ body: { path: req.originalUrl } }) });
koa({ key: (ctx) => ctx.get('x-tenant'), skip: (ctx) => ctx.path === '/health' });
express({ onLimited: () => {} });
express({ onLimited: async () => {} });
express('100/1m burst 20');
express({ rules: [{ match: '/a', limit: 5, window: '1m', by: (req) => req.get('x-tenant') ?? false }] });
koa({ rules: [{ match: '/a', limit: 5, window: '1m', by: async (ctx) => [ctx.get('x-tenant'), ctx.path] }] });
express({ limit: (req) => Number(req.query.limit), window: async (req) => (req.secure ? '1m' : 60_000) });
express({ onLimited: (_req, { used, resetAt }, res) => void res.status(429).json([used, resetAt?.getTime()]) });
express({ onLimited: (_req, { rule }) => new Error(rule), onBanned: async () => 'answered' as const });
koa({ onLimited: (ctx, { retryAfter }, res) => void ctx.set('x-sent', `${retryAfter} ${res.headersSent}`) });
express({ skipFailed: async (req, res) => req.method === 'POST' && res.locals.failed === true });
express({ tiers: { free: '100/1h', pro: ['10/1s', { limit: 9, window: '1m' }], staff: false }, defaultTier: 'free' });
express({ store: fromExpressRateLimitStore(new ExpressRateLimitMemory()) });
// @ts-expect-error Koa's context is not Express' request
koa({ skip: (ctx: Request) => ctx.secure });
// @ts-expect-error a field that Express' request does not have
express({ rules: [{ match: '/a', limit: 5, window: '1m', by: (req) => req.state.user }] });

const reserving = createLimiter({ policies: '5/1s' });
export const reserved: Promise<Reservation> = reserving.reserve('key', 3);
// @ts-expect-error a cost as text
reserving.reserve('key', '3');
// @ts-expect-error what a reservation came to, as text
reserved.then((reservation) => reservation.commit('2'));
// @ts-expect-error a reservation is not one before it has been awaited
reserving.reserve('key', 3).cancel();

// The middleware is its own control.
const limiting = express({ beforeAuth: '300/1m' });
export const early = limiting.beforeAuth;
export const why = (req: Request) => limiting.explain(req).then(({ outcome }) => outcome);
export const taken = async (): Promise<number | undefined> => (await limiting.get('user:42'))[0]?.remaining;
// @ts-expect-error Koa's context is no request of Express
export const wrong = (ctx: Context) => limiting.explain(ctx);

const app = Fastify();
app.register(fastify, { limit: 5, key: (request) => request.ip, onDecision: ({ request }) => request?.log.info('') });
app.get('/', { config: { rateLimit: { limit: 1, window: 1_000 } } }, (request) => request.rateLimit?.remaining);
app.get('/text', { config: { rateLimit: '1/1s' } }, () => '');
app.get('/none', { config: { rateLimit: false } }, () => '');
app.get('/group', { config: { rateLimit: { limit: 5, window: '1m', group: 'otp' } } }, () => '');
app.get('/hook', { preHandler: app.rateLimit({ limit: 5, window: '1m' }) }, () => '');
app.get('/early', { onRequest: app.rateLimit('5/1m'), preParsing: app.rateLimit('5/1m') }, () => '');
const check = app.createRateLimit({ limit: 5, window: '1m' });
export const left = async (request: FastifyRequest) => (await check(request))?.remaining;
export const looked: (request: FastifyRequest) => Promise<RequestDecision | undefined> = check.peek;
export const explained = (request: FastifyRequest) => app.rateLimiter.explain(request);
app.register(fastify, {
  hook: 'preHandler',
  global: false,
  onLimited: (_request, _decision, reply) => void reply.send(),
});
// @ts-expect-error a hook that has no answer to give any more
app.register(fastify, { hook: 'onSend' });
// @ts-expect-error a misspelt option of the plugin
app.register(fastify, { globl: false });
// @ts-expect-error what is left may be nothing: a request need not be limited
export const surely = async (request: FastifyRequest): Promise<number> => (await check(request)).remaining;
// @ts-expect-error a route's limit as text
app.get('/wrong', { config: { rateLimit: { limit: '1' } } }, () => '');

export const onRequest = (req: Request): Decision | undefined => req.rateLimit;
