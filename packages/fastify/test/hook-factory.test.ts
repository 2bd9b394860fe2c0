import { fastify } from 'fastify';
import { describe, expect, test } from 'vitest';
import { type HookName, rateLimit } from '../src/index.ts';
import { done, pluginHook, statuses } from './asking.ts';

const places: readonly HookName[] = ['onRequest', 'preParsing', 'preValidation', 'preHandler'];

describe.each(places)('fastify.rateLimit() as %s', (place) => {
  test('limits the route it is given to, and lets the body of the others through', async () => {
    const app = fastify();
    await app.register(rateLimit, { global: false });
    app.route({
      method: 'POST',
      url: '/limited',
      [place]: app.rateLimit({ limit: 1, window: '1h' }),
      handler: async (request) => ({ got: request.body, left: request.rateLimit?.remaining }),
    });
    app.post('/free', async (request) => ({ got: request.body }));
    const post = (url: string) => app.inject({ method: 'POST', url, payload: { text: 'ä'.repeat(5_000) } });
    const first = await post('/limited');
    expect(first.json()).toEqual({ got: { text: 'ä'.repeat(5_000) }, left: 0 });
    expect((await post('/limited')).statusCode).toBe(429);
    expect((await post('/free')).statusCode).toBe(200);
  });

  test('limits a child scope it is added to, and not its parent', async () => {
    const app = fastify();
    await app.register(rateLimit, { global: false });
    await app.register(
      async (scope) => {
        scope.addHook(place as 'onRequest', app.rateLimit('2/1h'));
        scope.post('/a', async (request) => request.body);
        scope.post('/b', async (request) => request.body);
      },
      { prefix: '/v1' },
    );
    app.post('/outside', done);
    const post = async (url: string) => (await app.inject({ method: 'POST', url, payload: { a: 1 } })).statusCode;
    expect([await post('/v1/a'), await post('/v1/b'), await post('/v1/a')]).toEqual([200, 200, 429]);
    expect([await post('/outside'), await post('/outside'), await post('/outside')]).toEqual([200, 200, 200]);
  });
});

test('a hook in a list runs in its turn', async () => {
  const app = fastify();
  await app.register(rateLimit, { global: false });
  const seen: string[] = [];
  const before = async () => void seen.push('before');
  const after = async () => void seen.push('after');
  app.get('/', { preHandler: [before, app.rateLimit('1/1h'), after] }, done);
  expect(await statuses(app, '/', '/')).toEqual([200, 429]);
  expect(seen).toEqual(['before', 'after', 'before']);
});

test('each hook counts by itself, and one hook on two routes counts both', async () => {
  const app = fastify();
  await app.register(rateLimit, { global: false });
  const shared = app.rateLimit('1/1h');
  app.get('/a', { preHandler: shared }, done);
  app.get('/b', { preHandler: shared }, done);
  app.get('/c', { preHandler: app.rateLimit('1/1h') }, done);
  expect(await statuses(app, '/a', '/b', '/c')).toEqual([200, 429, 200]);
});

test('a hook counts beside the plugin, and shares its key', async () => {
  const app = fastify();
  await app.register(rateLimit, { limit: 3, window: '1h', key: (request) => String(request.headers['x-who']) });
  app.get('/', { preHandler: app.rateLimit('1/1h') }, done);
  const ask = async (who: string) => (await app.inject({ url: '/', headers: { 'x-who': who } })).statusCode;
  expect([await ask('a'), await ask('a'), await ask('b')]).toEqual([200, 429, 200]);
});

test('a hook without options has the limits of the plugin, and counts with it', async () => {
  const app = fastify();
  await app.register(rateLimit, { global: false, limit: 2, window: '1h' });
  app.get('/a', { preHandler: pluginHook(app) }, done);
  app.get('/b', { preHandler: pluginHook(app) }, done);
  expect(await statuses(app, '/a', '/b', '/a')).toEqual([200, 200, 429]);
});

test('a hook without options charges nothing twice where the plugin limits everything', async () => {
  const app = fastify();
  await app.register(rateLimit, { limit: 2, window: '1h' });
  app.setNotFoundHandler({ preHandler: pluginHook(app) }, (_request, reply) => reply.code(404).send('nowhere'));
  app.get('/own', { config: { rateLimit: false }, preHandler: pluginHook(app) }, done);
  expect(await statuses(app, '/nothing', '/own', '/nothing')).toEqual([404, 200, 429]);
});

test.each<[unknown, string, RegExp]>([
  [{ max: 3 }, 'UNKNOWN_OPTION', /"limit"/],
  [{ limit: '3' }, 'INVALID_POLICY', /Number\(…\)/],
  [5, 'INVALID_OPTION', /object of options/],
  [null, 'INVALID_OPTION', /object of options/],
])('fastify.rateLimit(%j) throws', async (options, code, message) => {
  const app = fastify();
  await app.register(rateLimit);
  const expected = expect.objectContaining({ code, message: expect.stringMatching(message) });
  expect(() => app.rateLimit(options as string as '1/1s')).toThrow(expected);
  expect(() => app.createRateLimit(options as string as '1/1s')).toThrow(expected);
});
