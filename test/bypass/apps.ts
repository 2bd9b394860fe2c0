import { createServer, type IncomingHttpHeaders, type RequestListener, type Server } from 'node:http';
import Router from '@koa/router';
import type { RateLimitOptions } from '@sluice/core';
import { rateLimit as expressRateLimit } from '@sluice/express';
import { rateLimit as fastifyRateLimit } from '@sluice/fastify';
import { rateLimit as koaRateLimit } from '@sluice/koa';
import express, { type Request, type Response } from 'express';
import express4 from 'express4';
import { type FastifyInstance, type FastifyServerOptions, fastify } from 'fastify';
import Koa, { type Context, type Middleware, type Next } from 'koa';
import Koa2 from 'koa2';

/** What the requests of all frameworks have in common. */
export interface AnyRequest {
  readonly headers: IncomingHttpHeaders;
}

export type Limits = RateLimitOptions<AnyRequest>;

/** The routes of every app under attack. */
export const routes = ['POST /login', 'GET /search', 'GET /users/:id', 'GET /health', 'GET /assets/:file'] as const;
export type Route = (typeof routes)[number];

export interface App {
  readonly limits: Limits;
  /** Which hops of X-Forwarded-For the framework is told to believe. */
  readonly proxies: 'none' | 'one' | 'all';
  /** Whether the app takes `/sign-in`, or `/log-in` below a mount, for another name of the login, before it limits. */
  readonly rewrites: boolean;
  /** Whether the app, or just its limiter, is mounted at `/api`. */
  readonly mount: 'limiter' | 'app' | undefined;
  /** Whether the server behind all takes the method from X-HTTP-Method-Override. */
  readonly overridesMethod: boolean;
  /** To be called by each route that is reached; says with which status it answers. */
  reach(route: Route): Promise<number>;
}

export interface Framework {
  readonly name: string;
  serve(app: App): Promise<Server>;
}

/** Stands in for an authentication that has found the user. */
function userOf({ 'x-user': id }: IncomingHttpHeaders): { id: string } | undefined {
  return typeof id === 'string' ? { id: decodeURIComponent(id) } : undefined;
}

function rewritten(url: string): string {
  return url.replace(/^\/sign-in/, '/login').replace(/^(http:\/\/[^/]*)?\/log-in/, '$1/api/login');
}

function listener({ overridesMethod }: App, handle: RequestListener): RequestListener {
  if (!overridesMethod) return handle;
  return (request, response) => {
    const method = request.headers['x-http-method-override'];
    if (typeof method === 'string') request.method = method;
    handle(request, response);
  };
}

function expressOf(name: string, create: typeof express): Framework {
  const trust = { none: false, one: 'loopback', all: true };
  return {
    name,
    async serve(setup) {
      const app = create();
      app.set('trust proxy', trust[setup.proxies]);
      app.use((req, _, next) => {
        Object.assign(req, { user: userOf(req.headers) });
        if (setup.rewrites) req.url = rewritten(req.url);
        next();
      });
      const below = setup.mount === 'app' ? create.Router() : app;
      below.use(setup.mount === 'limiter' ? '/api' : '/', expressRateLimit(setup.limits));
      for (const route of routes) {
        const [method, path] = route.split(' ') as [string, string];
        const whole = setup.mount === 'limiter' ? `/api${path}` : path;
        below[method.toLowerCase() as 'get'](whole, (_: Request, res: Response) => {
          void setup.reach(route).then((status) => res.status(status).end());
        });
      }
      if (below !== app) app.use('/api', below);
      return createServer(listener(setup, app));
    },
  };
}

/** Mounts as koa-mount does: what is below sees the rest of the path, and `ctx.mountPath`. */
function mounted(prefix: string, below: Middleware): Middleware {
  return async (ctx: Context, next: Next) => {
    const whole = ctx.path;
    const rest = whole.startsWith(prefix) ? whole.slice(prefix.length) || '/' : '';
    if (!rest.startsWith('/')) return next();
    ctx.mountPath = prefix;
    ctx.path = rest;
    await below(ctx, async () => {
      ctx.path = whole;
      await next();
      ctx.path = rest;
    });
    ctx.path = whole;
  };
}

function koaOf(name: string, create: typeof Koa): Framework {
  const trust = { none: {}, one: { proxy: true, maxIpsCount: 1 }, all: { proxy: true } };
  return {
    name,
    async serve(setup) {
      const app = new create(trust[setup.proxies]);
      app.silent = true;
      app.use((ctx, next) => {
        ctx.state.user = userOf(ctx.headers);
        if (setup.rewrites) ctx.url = rewritten(ctx.url);
        return next();
      });
      const limiter: Middleware = koaRateLimit(setup.limits);
      app.use(setup.mount === undefined ? limiter : mounted('/api', limiter));
      const router = new Router();
      for (const route of routes) {
        const [method, path] = route.split(' ') as [string, string];
        router.register(setup.mount === 'limiter' ? `/api${path}` : path, [method], async (ctx: Context) => {
          ctx.status = await setup.reach(route);
        });
      }
      const routed = router.routes() as Middleware;
      app.use(setup.mount === 'app' ? mounted('/api', routed) : routed);
      return createServer(listener(setup, app.callback()));
    },
  };
}

function fastifyOf(name: string, options: Pick<FastifyServerOptions, 'routerOptions'>): Framework {
  const trust = { none: false, one: 'loopback', all: true };
  return {
    name,
    async serve(setup) {
      const app = fastify({
        ...options,
        trustProxy: trust[setup.proxies],
        rewriteUrl: ({ url = '' }) => (setup.rewrites ? rewritten(url) : url),
        serverFactory: (handle) => createServer(listener(setup, handle)),
      });
      app.decorateRequest('user', undefined);
      app.addHook('onRequest', async (request) => void Object.assign(request, { user: userOf(request.headers) }));
      const serve = async (scope: FastifyInstance) => {
        scope.register(fastifyRateLimit, setup.limits);
        for (const route of routes) {
          const [method, url] = route.split(' ') as [string, string];
          scope.route({
            method,
            url,
            handler: async (_, reply) => reply.code(await setup.reach(route)).send(),
          });
        }
      };
      if (setup.mount === undefined) await serve(app);
      else app.register(serve, { prefix: '/api' });
      // A form would otherwise be refused for its type, before any route.
      app.addContentTypeParser('*', (_, payload, done) => {
        payload.resume();
        done(null);
      });
      await app.ready();
      return app.server as Server;
    },
  };
}

/** Its types do not know of all that the router takes. */
const lenient = {
  ignoreTrailingSlash: true,
  ignoreDuplicateSlashes: true,
  caseSensitive: false,
  useSemicolonDelimiter: true,
};

export const frameworks: readonly Framework[] = [
  expressOf('Express 4', express4),
  expressOf('Express 5', express),
  koaOf('Koa 2', Koa2),
  koaOf('Koa 3', Koa),
  fastifyOf('Fastify 5', {}),
  fastifyOf('Fastify 5 with a lenient router', { routerOptions: lenient }),
];
