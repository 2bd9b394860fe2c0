// What the types catch: checked by `pnpm types`, never run. A line after @ts-expect-error must not compile.
import { createLimiter, type Decision, type Limiter, MemoryStore, type Store } from '@sluice/core';
import { rateLimit as express } from '@sluice/express';
import { rateLimit as fastify } from '@sluice/fastify';
import { rateLimit as koa } from '@sluice/koa';
import type { Request } from 'express';
import Fastify from 'fastify';

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

const app = Fastify();
app.register(fastify, { limit: 5, key: (request) => request.ip, onDecision: ({ request }) => request?.log.info('') });
app.get('/', { config: { rateLimit: { limit: 1, window: 1_000 } } }, (request) => request.rateLimit?.remaining);
app.get('/text', { config: { rateLimit: '1/1s' } }, () => '');
app.get('/none', { config: { rateLimit: false } }, () => '');
// @ts-expect-error a route's limit as text
app.get('/wrong', { config: { rateLimit: { limit: '1' } } }, () => '');

export const onRequest = (req: Request): Decision | undefined => req.rateLimit;
