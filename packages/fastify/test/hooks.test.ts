import { type FastifyInstance, fastify } from 'fastify';
import { describe, expect, test } from 'vitest';
import { type HookName, rateLimit } from '../src/index.ts';
import { done, statuses } from './asking.ts';

const places: readonly HookName[] = ['onRequest', 'preParsing', 'preValidation', 'preHandler'];

/** Notes which hooks of the app's own a request has come through, in the order in which Fastify calls them. */
function watch(app: FastifyInstance, seen: string[]): void {
  app.addHook('onRequest', async () => void seen.push('onRequest'));
  app.addHook('preParsing', async () => void seen.push('preParsing'));
  app.addHook('preValidation', async () => void seen.push('preValidation'));
  app.addHook('preHandler', async () => void seen.push('preHandler'));
}

describe.each(places)("with hook: '%s'", (hook) => {
  test('a refused request has come through the hooks up to there, and no further', async () => {
    const seen: string[] = [];
    const app = fastify();
    watch(app, seen);
    app.register(rateLimit, { limit: 1, window: '1h', hook });
    app.post('/', async (request) => request.body);
    const post = () => app.inject({ method: 'POST', url: '/', payload: { a: 1 } });
    expect((await post()).json()).toEqual({ a: 1 });
    expect(seen).toEqual(places);
    seen.length = 0;
    expect((await post()).statusCode).toBe(429);
    expect(seen).toEqual(places.slice(0, places.indexOf(hook) + 1));
  });

  test("a route's own limits stand in the same place", async () => {
    const seen: string[] = [];
    const app = fastify();
    watch(app, seen);
    app.register(rateLimit, { hook });
    app.get('/', { config: { rateLimit: '1/1h' } }, done);
    expect(await statuses(app, '/')).toEqual([200]);
    seen.length = 0;
    expect(await statuses(app, '/')).toEqual([429]);
    expect(seen).toEqual(places.slice(0, places.indexOf(hook) + 1));
  });
});

test('a limit by user in onRequest comes before authentication, and in preHandler after it', async () => {
  for (const [hook, expected] of [
    ['onRequest', [200, 429]],
    ['preHandler', [200, 200]],
  ] as const) {
    const app = fastify();
    app.decorateRequest('user', null);
    app.register(rateLimit, { limit: 1, window: '1h', hook });
    app.addHook('preValidation', async (request) => {
      Object.assign(request, { user: { id: request.url.slice(1) } });
    });
    app.get('/:user', done);
    expect(await statuses(app, '/ann', '/ben')).toEqual(expected);
  }
});

test('with beforeAuth the address is limited in onRequest and the identity in preHandler', async () => {
  const app = fastify();
  let authenticated = 0;
  app.decorateRequest('user', null);
  app.register(rateLimit, { limit: 1, window: '1h', beforeAuth: '3/1h' });
  app.addHook('preValidation', async (request) => {
    authenticated++;
    Object.assign(request, { user: { id: request.url.slice(1) } });
  });
  app.get('/:user', done);
  expect(await statuses(app, '/ann', '/ann', '/ben', '/eve')).toEqual([200, 429, 200, 200]);
  // A refusal after authentication has given the unit of the phase before back.
  expect(await statuses(app, '/joe')).toEqual([429]);
  expect(authenticated).toBe(4);
});

test('a route that wants no limit is left alone before authentication too', async () => {
  const app = fastify();
  app.register(rateLimit, { limit: 100, window: '1h', beforeAuth: '1/1h' });
  app.get('/health', { config: { rateLimit: false } }, done);
  app.get('/', done);
  expect(await statuses(app, '/health', '/health', '/', '/', '/health')).toEqual([200, 200, 200, 429, 200]);
  expect((await app.inject('/health')).headers).not.toHaveProperty('x-ratelimit-limit');
});

test('where beforeAuth meets an explicit hook, the hook is where the identity is limited', async () => {
  const app = fastify();
  const seen: string[] = [];
  watch(app, seen);
  app.register(rateLimit, { limit: 1, window: '1h', beforeAuth: '9/1h', hook: 'preValidation' });
  app.get('/', done);
  expect(await statuses(app, '/')).toEqual([200]);
  seen.length = 0;
  expect(await statuses(app, '/')).toEqual([429]);
  expect(seen).toEqual(['onRequest', 'preParsing', 'preValidation']);
});

test.each([['preSerialization'], ['prehandler'], [null], [true]])('hook: %j fails the registration', async (hook) => {
  const registered = fastify().register(rateLimit, { hook } as object);
  await expect(registered).rejects.toMatchObject({
    code: 'INVALID_OPTION',
    message: expect.stringMatching(/'hook'.*'preValidation'/),
  });
});

test('global: 1 fails the registration', async () => {
  await expect(fastify().register(rateLimit, { global: 1 } as object)).rejects.toMatchObject({
    code: 'INVALID_OPTION',
    message: expect.stringContaining("'global' must be a boolean"),
  });
});
