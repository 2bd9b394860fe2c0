import Router from '@koa/router';
import koa3, { type Context, type Middleware, type Next } from 'koa';
import koa2 from 'koa2';
import supertest from 'supertest';
import { describe, expect, test } from 'vitest';
import { rateLimit } from '../src/index.ts';

const done = (ctx: Context) => {
  ctx.body = 'done';
};

/** Mounts as koa-mount does: what is below sees the rest of the path, and `ctx.mountPath`. */
const mount =
  (prefix: string, below: Middleware): Middleware =>
  async (ctx: Context, next: Next) => {
    const whole = ctx.path;
    if (whole !== prefix && !whole.startsWith(`${prefix}/`)) return next();
    ctx.mountPath = prefix;
    ctx.path = whole.slice(prefix.length) || '/';
    try {
      await below(ctx, async () => {
        ctx.path = whole;
        await next();
      });
    } finally {
      ctx.path = whole;
    }
  };

describe.each([
  ['Koa 3', koa3],
  ['Koa 2', koa2],
])('%s', (_, Koa) => {
  const statuses = async (app: koa3, ...paths: string[]) => {
    const statuses: number[] = [];
    for (const path of paths) statuses.push((await supertest(app.callback()).get(path)).status);
    return statuses;
  };

  test('rules of a mounted limiter match the whole path', async () => {
    const app = new Koa();
    const limiter = rateLimit({ limit: 100, rules: [{ match: '/api/login', limit: 1, window: '1h' }] });
    app.use(mount('/api', limiter));
    app.use(done);
    expect(await statuses(app, '/api/login', '/api/login?x=1', '/api', '/api/', '/login', '/login')).toEqual([
      200, 429, 200, 200, 200, 200,
    ]);
  });

  test('a rule for the place of the mount matches it, and one for a path below it does not match the place', async () => {
    const app = new Koa();
    const rules = [
      { match: '/api', limit: 1, window: '1h' },
      { match: '/', limit: 1, window: '1h' },
    ] as const;
    app.use(mount('/api', rateLimit({ limit: 100, rules })));
    app.use(done);
    expect(await statuses(app, '/api', '/api/', '/api/x', '/api/x')).toEqual([200, 429, 200, 200]);
  });

  test('mounts inside one another are one path', async () => {
    const app = new Koa();
    const limiter = rateLimit({ limit: 100, rules: [{ match: '/api/v1/login', limit: 1, window: '1h' }] });
    app.use(mount('/api', mount('/v1', limiter)));
    app.use(done);
    expect(await statuses(app, '/api/v1/login', '/api/v1/login', '/v1/login', '/api/login')).toEqual([
      200, 429, 200, 200,
    ]);
  });

  test('behind a mount, rules match the whole path, as it is by then', async () => {
    const app = new Koa();
    app.use(mount('/api', (_ctx, next) => next()));
    app.use((ctx: Context, next: Next) => {
      ctx.path = ctx.path.replace('/sign-in', '/login');
      return next();
    });
    app.use(rateLimit({ limit: 100, rules: [{ match: '/api/login', limit: 2, window: '1h' }] }));
    app.use(done);
    expect(await statuses(app, '/api/login', '/api/sign-in', '/api/sign-in?x', '/api/login', '/login')).toEqual([
      200, 200, 429, 429, 200,
    ]);
  });

  test('a path that was rewritten before a mount is limited as what it is now', async () => {
    const app = new Koa();
    app.use((ctx: Context, next: Next) => {
      ctx.path = ctx.path.replace('/sign-in', '/api/login').replace('/home', '/api');
      return next();
    });
    const rules = [
      { match: '/api/login', limit: 2, window: '1h' } as const,
      { match: '/api', limit: 1, window: '1h' } as const,
    ];
    app.use(mount('/api', rateLimit({ limit: 100, rules })));
    app.use(done);
    expect(await statuses(app, '/sign-in', '/api/login', '/sign-in/?x', '/other')).toEqual([200, 200, 429, 200]);
    expect(await statuses(app, '/home', '/api')).toEqual([200, 429]);
  });

  test('a path that was rewritten before is limited as what it is now', async () => {
    const app = new Koa();
    app.use((ctx: Context, next: Next) => {
      ctx.path = ctx.path.replace(/^\/v\d/, '');
      return next();
    });
    app.use(rateLimit({ limit: 100, rules: [{ match: '/login', limit: 2, window: '1h' }] }));
    app.use(done);
    expect(await statuses(app, '/v1/login', '/v2/login', '/login', '/v1/other')).toEqual([200, 200, 429, 200]);
  });

  test('inside a router, rules match the pattern of its route', async () => {
    const app = new Koa();
    const router = new Router({ prefix: '/users' });
    const limiter = rateLimit({ limit: 100, rules: [{ match: 'GET /users/:id', limit: 2, window: '1h' }] });
    router.get('/:id', limiter, (ctx) => {
      ctx.body = ctx.state.rateLimit?.rule;
    });
    router.get('/', limiter, done);
    app.use(router.routes());
    expect((await supertest(app.callback()).get('/users/1')).text).toBe('GET /users/:id');
    expect(await statuses(app, '/users/2', '/users/3', '/users', '/users')).toEqual([200, 429, 200, 200]);
  });

  test('a router below a mount is no other route of the same pattern', async () => {
    const app = new Koa();
    const router = new Router();
    router.get(
      '/users/:id',
      rateLimit({ limit: 100, rules: [{ match: '/users/:id', limit: 1, window: '1h' }] }),
      (ctx) => {
        ctx.body = ctx.state.rateLimit?.rule ?? 'no rule';
      },
    );
    app.use(mount('/admin', router.routes() as Middleware));
    app.use(router.routes());
    expect((await supertest(app.callback()).get('/admin/users/1')).text).toBe('no rule');
    expect(await statuses(app, '/users/1', '/users/2', '/admin/users/2')).toEqual([200, 429, 200]);
  });
});
