import { type AppSetup, hasEarlyPhase } from '@sluice/testing';
import type express from 'express';
import type { NextFunction, Request, Response } from 'express';
import { rateLimit } from '../src/index.ts';

const trust = { none: false, one: 'loopback', all: true };

/** Builds the app that `adapterSuite` asks for, with Express 4 or 5. */
export function serveWith(create: typeof express) {
  return (setup: AppSetup<Request>) => {
    const app = create();
    app.set('trust proxy', trust[setup.proxies]);
    const limiters = setup.limiters.map((limits) => rateLimit(limits));
    for (const [i, limiter] of limiters.entries()) {
      setup.made(limiter);
      if (hasEarlyPhase(setup.limiters[i])) app.use(limiter.beforeAuth);
    }
    app.use((req, res, next) => {
      Object.assign(req, { user: setup.authenticate(req.headers) });
      res.set(setup.earlierHeaders);
      next();
    });
    for (const limiter of limiters) app.use(limiter);
    const answer = (req: Request, res: Response, next: NextFunction) => {
      setup.handle(req.rateLimit).then(({ status, body }) => res.status(status).send(body), next);
    };
    app.get('/', answer);
    app.post('/login', setup.login === undefined ? [] : rateLimit(setup.login), answer);
    for (const { method, path } of setup.routes) app[verbs[method]](path, answer);
    app.use((error: unknown, _req: Request, res: Response, _next: NextFunction) => {
      setup.failed(error);
      res.status(500).end();
    });
    return app;
  };
}

const verbs = { GET: 'get', POST: 'post', PUT: 'put', DELETE: 'delete', PATCH: 'patch' } as const;
