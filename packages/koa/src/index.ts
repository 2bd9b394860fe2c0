import { hash } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import {
  type Decision,
  isPromise,
  Pipeline,
  type PolicyText,
  type RateLimitOptions,
  type Reader,
  type Verdict,
} from '@sluice/core';
import type { DefaultContext, DefaultState, Middleware, Next, ParameterizedContext } from 'koa';

export { ipKey, SluiceError } from '@sluice/core';

declare module 'koa' {
  interface DefaultState {
    /** What the rate limiters on this request have decided so far: the tightest of them. */
    rateLimit?: Decision;
  }
}

type Context = ParameterizedContext<DefaultState, DefaultContext>;

/** Options of {@link rateLimit}; every callback is given Koa's context. */
export type KoaRateLimitOptions = RateLimitOptions<Context>;

const reader: Reader<Context> = {
  ip: (ctx) => ctx.ip,
  header: (ctx, name) => ctx.headers[name],
  user: (ctx) => ctx.state.user,
  earlier: (ctx) => ctx.state.rateLimit,
  proxies: {
    // Without a count of proxies, Koa takes the first address in the header, which is the client's to write.
    trustsAnyone: (ctx) => ctx.app.proxy && !(ctx.app.maxIpsCount > 0),
    forwarded: (ctx) => ctx.get(ctx.app.proxyIpHeader),
    peer: (ctx) => ctx.req.socket.remoteAddress,
    remedy: 'Give Koa the number of your proxies: new Koa({ proxy: true, maxIpsCount: 1 }).',
  },
  digest: (text) => hash('sha256', text, 'base64url').slice(0, 22),
  warn: (message) => process.emitWarning(message, { code: 'SLUICE_TRUST_PROXY' }),
};

/**
 * Koa middleware that limits requests: for a whole app, `app.use(rateLimit())`, or for a route,
 * `router.post('/login', rateLimit({ limit: 5, window: '1m' }), …)`. The decision is on `ctx.state.rateLimit`.
 * @throws SluiceError for options that cannot work, with the remedy.
 */
export function rateLimit(options?: KoaRateLimitOptions | PolicyText): Middleware {
  const pipeline = new Pipeline(reader, options);
  return function rateLimit(ctx, next) {
    const verdict = pipeline.handle(ctx, ctx.res, ctx.res);
    return isPromise(verdict) ? verdict.then((later) => apply(later, ctx, next)) : apply(verdict, ctx, next);
  };
}

function apply(verdict: Verdict, ctx: Context, next: Next): Promise<unknown> | undefined {
  if (verdict.action === 'skip') return next();
  if (verdict.action === 'gone') return undefined;
  ctx.state.rateLimit = verdict.decision;
  ctx.set(verdict.headers);
  if (verdict.action === 'pass') {
    return next().catch((error) => {
      keepHeaders(ctx.res, verdict.headers);
      throw error;
    });
  }
  ctx.status = verdict.status;
  ctx.body = verdict.body;
  return undefined;
}

/** Koa removes every header before it answers an error. Ours stay, on this response. */
function keepHeaders(res: ServerResponse, headers: Readonly<Record<string, string>>): void {
  const kept = new Set(Object.keys(headers).map((name) => name.toLowerCase()));
  const { removeHeader } = res;
  res.removeHeader = (name) => {
    if (!kept.has(name.toLowerCase())) removeHeader.call(res, name);
  };
}
