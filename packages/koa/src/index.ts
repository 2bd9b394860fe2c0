import type { ServerResponse } from 'node:http';
import {
  type ControlledMiddleware,
  controlled,
  isPromise,
  Pipeline,
  type PolicyText,
  type RateLimitOptions,
  type RequestDecision,
  type Verdict,
} from '@sluice/core';
import type { Middleware, Next } from 'koa';
import { type Context, reader } from './reader.js';

export type { Decision, Explanation, LimitedResponse, RequestDecision, RequestEvent, Rule, Store } from '@sluice/core';
export {
  AccessList,
  fromExpressRateLimitStore,
  ipKey,
  MemoryStore,
  Overrides,
  RateLimitError,
  SluiceError,
} from '@sluice/core';

declare module 'koa' {
  interface DefaultState {
    /** What the rate limiters on this request have decided so far: the tightest of them. */
    rateLimit?: RequestDecision;
  }
}

/** Options of {@link rateLimit}; every callback is given Koa's context. */
export type KoaRateLimitOptions = RateLimitOptions<Context, ServerResponse>;

/** The middleware, and what an operator can do with it while it runs. */
export type RateLimit = ControlledMiddleware<Middleware, Context>;

/**
 * Koa middleware that limits requests: for a whole app, `app.use(rateLimit())`, or for a route,
 * `router.post('/login', rateLimit({ limit: 5, window: '1m' }), …)`. The decision is on `ctx.state.rateLimit`.
 * @throws SluiceError for options that cannot work, with the remedy.
 */
export function rateLimit(options?: KoaRateLimitOptions | PolicyText): RateLimit {
  return controlled(new Pipeline<Context, ServerResponse>(reader, options), middleware);
}

function middleware(pipeline: Pipeline<Context, ServerResponse>): Middleware {
  const { property } = pipeline;
  return function rateLimit(ctx, next) {
    const verdict = pipeline.handle(ctx, ctx.res, ctx.res);
    return isPromise(verdict)
      ? verdict.then((later) => apply(later, property, ctx, next))
      : apply(verdict, property, ctx, next);
  };
}

function apply(verdict: Verdict, property: string, ctx: Context, next: Next): Promise<unknown> | undefined {
  if (verdict.action === 'skip') return next();
  if (verdict.action === 'gone') return undefined;
  (ctx.state as Record<string, unknown>)[property] = verdict.decision;
  if (verdict.action === 'answered') return undefined;
  writeHeaders(ctx.res, verdict.headers);
  if (verdict.action === 'pass') {
    return next().catch((error) => {
      keepHeaders(ctx.res, verdict.headers);
      throw error;
    });
  }
  if (verdict.action === 'fail') {
    keepHeaders(ctx.res, verdict.headers);
    return Promise.reject(verdict.error);
  }
  ctx.status = verdict.status;
  ctx.body = verdict.body;
  return undefined;
}

/** As Koa does it, whose own way asks more of each header than these need: headers that come too late are left out. */
function writeHeaders(res: ServerResponse, headers: Readonly<Record<string, string>>): void {
  if (res.headersSent) return;
  for (const name in headers) res.setHeader(name, headers[name]!);
}

/** Koa removes every header before it answers an error. Ours stay, on this response. */
function keepHeaders(res: ServerResponse, headers: Readonly<Record<string, string>>): void {
  const kept = new Set(Object.keys(headers).map((name) => name.toLowerCase()));
  const { removeHeader } = res;
  res.removeHeader = (name) => {
    if (!kept.has(name.toLowerCase())) removeHeader.call(res, name);
  };
}
