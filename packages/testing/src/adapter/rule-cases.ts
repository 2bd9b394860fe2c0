import assert from 'node:assert/strict';
import type { Rule } from '@sluice/core';
import { ManualClock } from '../manual-clock.js';
import { type Define, fields, policiesOf, remaining, type Scene } from './scene.js';
import type { Route } from './setup.js';

/** Which rule a request is limited by. */
export function ruleCases<R>(define: Define<R>): void {
  define('limits a route by its rule, and everything else by the limits of the app', async ({ start }) => {
    const clock = new ManualClock();
    const rules = [{ match: 'POST /login', limit: 1, window: '1m', algorithm: 'fixed-window' }] as const;
    const app = await start({ limiters: [{ limit: 3, window: '1h', algorithm: 'fixed-window', rules, clock }] });
    const now = clock.now() / 1_000_000;
    assert.deepEqual(fields(await app.login()), [1, 0, now + 60]);
    assert.deepEqual(fields(await app.get()), [3, 2, now + 3_600]);
    const refused = await app.login();
    assert.deepEqual([refused.status, refused.headers['retry-after']], [429, '60']);
    assert.deepEqual(refused.body['violated-policies'], ['POST-login']);
    assert.deepEqual(await app.statuses(3), [200, 200, 429]);
    clock.advance(60_000);
    assert.equal((await app.login()).status, 200);
    assert.equal((await app.get()).status, 429);
  });

  const matches = [
    '/',
    '/files/*',
    '/files/:id',
    'GET /files/:id',
    '/files/new',
    'PUT, PATCH /files/new',
    '/files/:id/parts/:part',
    '/files/:id/parts/first',
    'DELETE /files/*',
  ];
  const routes: readonly Route[] = [
    { method: 'GET', path: '/files/:name' },
    { method: 'POST', path: '/files/:name' },
    { method: 'PUT', path: '/files/new' },
    { method: 'GET', path: '/files/:name/parts/:index' },
    { method: 'DELETE', path: '/files/:name' },
    { method: 'GET', path: '/other' },
  ];
  const expected = [
    ['get', '/', 'root'],
    ['get', '/files', 'files-all'],
    ['get', '/files/a', 'GET-files-id'],
    ['head', '/files/a', 'GET-files-id'],
    ['post', '/files/a', 'files-id'],
    ['delete', '/files/a', 'files-id'],
    ['get', '/files/new', 'files-new'],
    ['delete', '/files/new', 'files-new'],
    ['put', '/files/new', 'PUT-PATCH-files-new'],
    ['patch', '/files/new', 'PUT-PATCH-files-new'],
    ['get', '/files/a/b', 'files-all'],
    ['delete', '/files/a/b', 'DELETE-files-all'],
    ['get', '/files/a/parts/2', 'files-id-parts-part'],
    ['get', '/files/a/parts/first', 'files-id-parts-first'],
    ['get', '/files/a/parts/2/more/of/it', 'files-all'],
    ['post', '/login', 'default'],
    ['get', '/other', 'default'],
    ['get', '/nowhere', 'default'],
    ['get', '/filesystem', 'default'],
  ] as const;
  const orders: readonly [string, readonly string[]][] = [
    ['in this order', matches],
    ['in the reverse order', [...matches].reverse()],
    ['sorted', [...matches].sort()],
  ];
  for (const [order, list] of orders) {
    define(`applies the most specific rule that matches, of rules written ${order}`, async ({ start }) => {
      const rules = list.map((match): Rule<R> => ({ match, limit: 100, window: '1h' }));
      for (const known of [[], routes]) {
        const app = await start({ limiters: [{ rules, headers: 'draft-11' }], routes: known });
        for (const [verb, path, policy] of expected) {
          assert.deepEqual(policiesOf(await app.ask()[verb](path)), [policy], `${verb} ${path}`);
        }
      }
    });
  }

  define('counts what no route answers by the rule it matches, else by the limits of the app', async ({ start }) => {
    const rules = [{ match: '/gone/*', limit: 1, window: '1h' }] as const;
    const app = await start({ limiters: [{ limit: 2, window: '1h', rules }] });
    const statuses = async (...paths: string[]) => {
      const all: number[] = [];
      for (const path of paths) all.push((await app.get({}, path)).status);
      return all;
    };
    assert.deepEqual(await statuses('/a', '/b', '/c'), [404, 404, 429]);
    assert.deepEqual(await statuses('/gone/a', '/gone/b'), [404, 429]);
    assert.equal((await app.get()).status, 429);
  });

  define('counts HEAD as GET', async ({ start }) => {
    const rules = [{ match: 'GET /', limit: 2, window: '1h' }] as const;
    const app = await start({ limiters: [{ rules }] });
    assert.deepEqual(fields(await app.ask().head('/')).slice(0, 2), [2, 1]);
    assert.deepEqual(fields(await app.get()).slice(0, 2), [2, 0]);
    assert.equal((await app.ask().head('/')).status, 429);
  });

  define('knows a route in every spelling of its path', async ({ start }) => {
    const rules = [{ match: 'POST /login', limit: 1, window: '1h' }] as const;
    const app = await start({ limiters: [{ rules }] });
    assert.equal((await app.login()).status, 200);
    for (const target of [
      '/LOGIN',
      '/login/',
      '//login',
      '/./login',
      '/x/../login',
      '/%6cogin',
      '/%6Cog%69n',
      '/%256cogin',
      '/login;x=1',
      '/login?x=1',
      '/login%3fx',
      '/\\login',
      'http://elsewhere.example/login',
    ]) {
      assert.equal(await rawStatus(app, 'POST', target), 429, target);
    }
    assert.equal(remaining(await app.get()), 999);
  });

  define('counts a parameter as one budget, whatever the client writes in its place', async ({ start }) => {
    const rules = [{ match: 'GET /users/:id', limit: 3, window: '1h' }] as const;
    const app = await start({ limiters: [{ rules }], routes: [{ method: 'GET', path: '/users/:id' }] });
    const statuses: number[] = [];
    for (const id of ['1', '2', 'x', '4']) statuses.push((await app.get({}, `/users/${id}`)).status);
    assert.deepEqual(statuses, [200, 200, 200, 429]);
  });

  define('does not limit a route whose rule says so, and counts nothing for it', async ({ start }) => {
    const rules = [{ match: 'POST /login', limit: false }] as const;
    const app = await start({ limiters: [{ limit: 1, window: '1h', rules }] });
    for (let i = 0; i < 3; i++) {
      const free = await app.login();
      assert.equal(free.status, 200);
      assert.deepEqual(fields(free), [undefined, undefined, undefined]);
    }
    assert.deepEqual(await app.statuses(2), [200, 429]);
    assert.equal((await app.login()).status, 200);
  });

  define('refuses a route that is granted nothing', async ({ start }) => {
    const rules = [{ match: 'POST /login', limit: 0, window: '1h' }] as const;
    const app = await start({ limiters: [{ rules }] });
    const refused = await app.login();
    assert.deepEqual([refused.status, refused.headers['retry-after']], [429, undefined]);
    assert.equal((await app.get()).status, 200);
  });

  define('finds one rule among thousands', async ({ start }) => {
    const many = Array.from({ length: 3_000 }, (_, i): Rule<R> => ({ match: `/r${i}/:id`, limit: 5, window: '1h' }));
    const app = await start({ limiters: [{ rules: many, headers: 'draft-11' }] });
    for (const i of [0, 1_234, 2_999]) assert.deepEqual(policiesOf(await app.get({}, `/r${i}/x`)), [`r${i}-id`]);
    assert.deepEqual(policiesOf(await app.get({}, '/r3000/x')), ['default']);
  });
}

/** Of a request whose target no client library tidies. */
async function rawStatus(app: Scene, method: string, target: string): Promise<number> {
  const answer = await app.raw(
    `${method} ${target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`,
  );
  return Number(answer.split(' ', 2)[1]);
}
