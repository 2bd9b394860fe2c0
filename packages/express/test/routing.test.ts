import express5, { type Express, type Request } from 'express';
import express4 from 'express4';
import supertest from 'supertest';
import { describe, expect, test } from 'vitest';
import { rateLimit } from '../src/index.ts';

const hour = { window: '1h' } as const;

describe.each([
  ['Express 5', express5],
  ['Express 4', express4],
])('%s', (_, express) => {
  const statuses = async (app: Express, ...paths: string[]) => {
    const statuses: number[] = [];
    for (const path of paths) statuses.push((await supertest(app).get(path)).status);
    return statuses;
  };
  const done: express5.RequestHandler = (_req, res) => void res.send('done');

  test('rules of a mounted limiter match the whole path', async () => {
    const app = express();
    app.use('/api', rateLimit({ limit: 100, rules: [{ match: '/api/login', limit: 1, ...hour }] }));
    app.use(done);
    expect(await statuses(app, '/api/login', '/API/login/?x=1', '/api', '/api/other', '/login')).toEqual([
      200, 429, 200, 200, 200,
    ]);
  });

  test('rules of a limiter in a router, in a sub-app and in both match the whole path', async () => {
    const limited = () => rateLimit({ limit: 100, rules: [{ match: 'GET /a/b/users/:id', limit: 1, ...hour }] });
    const inner = express.Router();
    inner.use(limited());
    inner.get('/users/:id', done);
    const router = express.Router();
    router.use('/b', inner);
    const sub = express();
    sub.use('/b', inner);
    for (const below of [router, sub]) {
      const app = express();
      app.use('/a', below);
      app.use('/other', below);
      expect((await statuses(app, '/a/b/users/1', '/a/b/users/2')).at(-1)).toBe(429);
      expect(await statuses(app, '/other/b/users/1', '/other/b/users/2')).toEqual([200, 200]);
    }
  });

  test('a mount with a param is the path that was asked for', async () => {
    const app = express();
    const rules = [{ match: '/:tenant/login', limit: 2, ...hour }] as const;
    app.use('/:tenant', rateLimit({ limit: 100, rules }), done);
    expect(await statuses(app, '/a/login', '/b/login', '/c/login', '/a/other')).toEqual([200, 200, 429, 200]);
  });

  test('a URL that was rewritten before is limited as what it is now', async () => {
    const app = express();
    app.use((req, _res, next) => {
      req.url = req.url.replace(/^\/v\d/, '');
      next();
    });
    app.use(rateLimit({ limit: 100, rules: [{ match: '/login', limit: 2, ...hour }] }));
    app.use(done);
    expect(await statuses(app, '/v1/login', '/v2/login', '/login', '/v1/other')).toEqual([200, 200, 429, 200]);
  });

  test('inside a route, rules match its pattern', async () => {
    const app = express();
    const router = express.Router();
    const rules = [
      { match: '/users/:name/posts', limit: 2, ...hour },
      { match: '/:page', limit: 1, ...hour },
    ] as const;
    const limiter = rateLimit({ limit: 100, rules });
    router.get('/:id/posts', limiter, (req, res) => void res.send(req.rateLimit?.rule));
    router.get('/:id', limiter, (req, res) => void res.send(req.rateLimit?.rule ?? 'no rule'));
    app.use('/users', router);
    expect((await supertest(app).get('/users/1/posts')).text).toBe('/users/:name/posts');
    expect((await supertest(app).get('/users/1')).text).toBe('no rule');
    expect(await statuses(app, '/users/2/posts', '/users/3/posts', '/users/1')).toEqual([200, 429, 200]);
  });

  test('a route that is a regular expression or a list is limited by its path', async () => {
    const app = express();
    const limiter = rateLimit({ limit: 100, rules: [{ match: '/b', limit: 1, ...hour }] });
    app.get(/^\/[ab]$/, limiter, done);
    app.get(['/c', '/d'], limiter, done);
    expect(await statuses(app, '/a', '/b', '/b', '/c', '/d', '/d')).toEqual([200, 200, 429, 200, 200, 200]);
  });

  test('an address limited before authentication spares the check of who it is', async () => {
    const app = express();
    const limiter = rateLimit({ limit: 1, ...hour, beforeAuth: '3/1h' });
    let checked = 0;
    app.use(limiter.beforeAuth);
    app.use((req, _res, next) => {
      checked++;
      Object.assign(req, { user: { id: req.path.slice(1) } });
      next();
    });
    app.use(limiter, done);
    expect(await statuses(app, '/ann', '/ben', '/eve', '/joe')).toEqual([200, 200, 200, 429]);
    expect(checked).toBe(3);
  });

  test('the limiter tells what a client has taken, forgets it, and explains a request', async () => {
    const app = express();
    const limiter = rateLimit({ limit: 100, ...hour, rules: [{ match: '/why', limit: 1, ...hour }] });
    app.get('/why', async (req: Request, res) => {
      const { outcome, rule, identity } = await limiter.explain(req);
      res.json({ outcome, rule, key: identity?.key });
    });
    app.get('/', limiter, done);
    expect((await supertest(app).get('/why')).body).toMatchObject({ outcome: 'allowed', rule: '/why' });
    const { key } = (await supertest(app).get('/why')).body;
    expect(key).toBe('ip:127.0.0.1');
    await supertest(app).get('/');
    expect(await limiter.get(key)).toMatchObject([{ policy: 'default', remaining: 99 }]);
    await limiter.reset('127.0.0.1');
    expect(await limiter.get(key)).toEqual([]);
    await limiter.close();
    await expect(limiter.get(key)).rejects.toMatchObject({ code: 'CLOSED' });
  });
});

test('without the option, there is no phase before authentication, and the error says how to have one', () => {
  const limiter = rateLimit();
  expect(() => limiter.beforeAuth).toThrow(
    expect.objectContaining({ code: 'INVALID_OPTION', message: expect.stringContaining("beforeAuth: '300/1m'") }),
  );
});
