import Router from '@koa/router';
import { type AppSetup, hasEarlyPhase } from '@sluice/testing';
import type Koa from 'koa';
import type { Context } from 'koa';
import { rateLimit } from '../src/index.ts';

const trust = { none: {}, one: { proxy: true, maxIpsCount: 1 }, all: { proxy: true } };

/** Builds the app that `adapterSuite` asks for, with Koa 2 or 3. */
export function serveWith(create: typeof Koa) {
  return (setup: AppSetup<Context>) => {
    const app = new create(trust[setup.proxies]);
    app.on('error', setup.failed);
    const limiters = setup.limiters.map((limits) => rateLimit(limits));
    for (const [i, limiter] of limiters.entries()) {
      setup.made(limiter);
      if (hasEarlyPhase(setup.limiters[i])) app.use(limiter.beforeAuth);
    }
    app.use((ctx, next) => {
      ctx.state.user = setup.authenticate(ctx.headers);
      ctx.set(setup.earlierHeaders);
      return next();
    });
    for (const limiter of limiters) app.use(limiter);
    const router = new Router();
    const answer = async (ctx: Context) => {
      Object.assign(ctx, await setup.handle(ctx.state.rateLimit));
    };
    router.get('/', answer);
    if (setup.login === undefined) router.post('/login', answer);
    else router.post('/login', rateLimit(setup.login), answer);
    for (const { method, path } of setup.routes) router.register(path, [method], answer);
    app.use(router.routes());
    return app.callback();
  };
}
