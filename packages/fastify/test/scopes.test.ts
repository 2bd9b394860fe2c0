import { fastify } from 'fastify';
import { expect, test } from 'vitest';
import { rateLimit } from '../src/index.ts';
import { counted, done, pluginCheck, pluginHook, statuses } from './asking.ts';

test('each scope has the hooks, checks and controls of its own registration', async () => {
  const app = fastify();
  await app.register(rateLimit, { name: 'outer', global: false, limit: 5, window: '1h' });
  app.get('/outer', { preHandler: pluginHook(app) }, done);
  await app.register(async (scope) => {
    await scope.register(rateLimit, { name: 'inner', global: false, limit: 2, window: '1h' });
    scope.get('/inner', { preHandler: pluginHook(scope) }, done);
    scope.get('/left', async (request) => (await pluginCheck(scope).peek(request))?.remaining);
    expect(scope.rateLimiter).not.toBe(app.rateLimiter);
  });
  expect(counted(await app.inject('/outer'))).toEqual(['5', '4']);
  expect(counted(await app.inject('/inner'))).toEqual(['2', '1']);
  expect((await app.inject('/left')).body).toBe('1');
  expect(await app.rateLimiter.get('127.0.0.1')).toMatchObject([{ policy: 'outer', remaining: 4 }]);
});

test("a route's own limits are counted once, by the nearest registration that limits it", async () => {
  const app = fastify();
  await app.register(rateLimit, { global: false });
  await app.register(async (scope) => {
    await scope.register(rateLimit, { global: false, key: () => 'everybody' });
    scope.get('/inside', { config: { rateLimit: '2/1h' } }, done);
  });
  app.get('/outside', { config: { rateLimit: '2/1h' } }, done);
  expect(await statuses(app, '/inside', '/inside', '/inside')).toEqual([200, 200, 429]);
  expect(await statuses(app, '/outside', '/outside', '/outside')).toEqual([200, 200, 429]);
});

test('a sibling of a scope that registers knows nothing of it', async () => {
  const app = fastify();
  await app.register(async (scope) => {
    await scope.register(rateLimit, { limit: 1, window: '1h' });
    scope.get('/a', done);
  });
  await app.register(async (scope) => {
    expect(scope.hasDecorator('rateLimiter')).toBe(false);
    scope.get('/b', done);
  });
  expect(await statuses(app, '/a', '/a', '/b', '/b')).toEqual([200, 429, 200, 200]);
});

test('of two registrations in one scope, the first has the hooks and the controls', async () => {
  const app = fastify();
  await app.register(rateLimit, { name: 'first', limit: 4, window: '1h' });
  await app.register(rateLimit, { name: 'second', limit: 3, window: '1h' });
  app.get('/', { config: { rateLimit: '2/1h' } }, done);
  app.get('/plain', done);
  expect(counted(await app.inject('/'))).toEqual(['2', '1']);
  expect(await statuses(app, '/', '/plain', '/plain')).toEqual([200, 200, 429]);
  const policies = (await app.rateLimiter.get('127.0.0.1')).map(({ policy }) => policy);
  expect(policies).toEqual(['first', expect.stringMatching(/^GET-/)]);
});

test('rules match the whole path of a route in a scope with a prefix', async () => {
  const app = fastify();
  await app.register(
    async (scope) => {
      await scope.register(rateLimit, {
        limit: 100,
        window: '1h',
        rules: [{ match: 'GET /api/users/:id', limit: 1, window: '1h' }],
      });
      scope.get('/users/:id', done);
      scope.get('/users', done);
    },
    { prefix: '/api' },
  );
  expect(await statuses(app, '/api/users/1', '/api/users/2', '/api/users', '/api/users')).toEqual([200, 429, 200, 200]);
  expect(await statuses(app, '/users/1')).toEqual([404]);
});

test('rewriteUrl comes first: rules and routes are of the rewritten path', async () => {
  const app = fastify({ rewriteUrl: (request) => (request.url ?? '').replace(/^\/v\d/, '') });
  await app.register(rateLimit, { limit: 100, window: '1h', rules: [{ match: '/login', limit: 2, window: '1h' }] });
  app.get('/login', done);
  expect(await statuses(app, '/v1/login', '/v2/login', '/login')).toEqual([200, 200, 429]);
});
