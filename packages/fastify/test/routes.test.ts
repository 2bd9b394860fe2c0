import { ManualClock } from '@sluice/testing';
import { type FastifyInstance, fastify } from 'fastify';
import { expect, test } from 'vitest';
import { type FastifyRateLimitOptions, rateLimit } from '../src/index.ts';

const done = async () => 'done';

async function statuses(app: FastifyInstance, ...urls: string[]): Promise<number[]> {
  const statuses: number[] = [];
  for (const url of urls) statuses.push((await app.inject(url)).statusCode);
  return statuses;
}

test('a route has limits of its own beside those of the plugin, as an object or in short form', async () => {
  const app = fastify();
  app.register(rateLimit, { limit: 5, window: '1h' });
  app.get('/object', { config: { rateLimit: { limit: 1, window: '1h' } } }, done);
  app.get('/text', { config: { rateLimit: '2/1h' } }, done);
  app.get('/plain', done);
  expect(await statuses(app, '/object', '/object', '/text', '/text', '/text')).toEqual([200, 429, 200, 200, 429]);
  // What the routes' own limits refused cost the plugin's nothing.
  expect(await statuses(app, '/plain', '/plain', '/plain')).toEqual([200, 200, 429]);
});

test('a route declared before the plugin has limits of its own too', async () => {
  const app = fastify();
  app.get('/', { config: { rateLimit: '1/1h' } }, done);
  app.register(rateLimit);
  expect(await statuses(app, '/', '/')).toEqual([200, 429]);
});

test('a route that wants no limit has none', async () => {
  const app = fastify();
  app.register(rateLimit, { limit: 1, window: '1h' });
  app.get('/health', { config: { rateLimit: false } }, done);
  app.get('/', done);
  expect(await statuses(app, '/health', '/health', '/', '/', '/health')).toEqual([200, 200, 200, 429, 200]);
  expect((await app.inject('/health')).headers).not.toHaveProperty('x-ratelimit-limit');
});

test("a route shares the plugin's key and clock, but none of its policies", async () => {
  const clock = new ManualClock();
  const app = fastify();
  const key = (request: { headers: object }) => (request.headers as { 'x-who': string })['x-who'];
  app.register(rateLimit, { limit: 100, window: '1s', algorithm: 'fixed-window', key, clock });
  app.get('/', { config: { rateLimit: { limit: 1, window: '1m' } } }, done);
  const ask = async (who: string) => (await app.inject({ url: '/', headers: { 'x-who': who } })).statusCode;
  expect([await ask('a'), await ask('a'), await ask('b')]).toEqual([200, 429, 200]);
  clock.advance(120_000);
  expect(await ask('a')).toBe(200);
});

test('two routes with the same limits count apart, and a refusal names the route', async () => {
  const app = fastify();
  app.register(rateLimit);
  for (const url of ['/a/b', '/a-b']) app.get(url, { config: { rateLimit: '1/1h' } }, done);
  expect(await statuses(app, '/a/b', '/a-b', '/a/b', '/a-b')).toEqual([200, 200, 429, 429]);
  const [name] = (await app.inject('/a/b')).json()['violated-policies'];
  expect(name).toMatch(/^GET-a-b-/);
  expect((await app.inject('/a-b')).json()['violated-policies']).not.toEqual([name]);
});

test('every address that a route with a parameter matches counts as that route', async () => {
  const app = fastify();
  app.register(rateLimit);
  app.get('/users/:id', { config: { rateLimit: '2/1h' } }, done);
  expect(await statuses(app, '/users/1', '/users/2', '/users/3', '/users/4?x=1')).toEqual([200, 200, 429, 429]);
});

test('a GET route and the HEAD route made from it share their limits', async () => {
  const app = fastify();
  app.register(rateLimit);
  app.get('/', { config: { rateLimit: '2/1h' } }, done);
  const ask = async (method: 'GET' | 'HEAD') => (await app.inject({ method, url: '/' })).statusCode;
  expect([await ask('HEAD'), await ask('GET'), await ask('HEAD'), await ask('GET')]).toEqual([200, 200, 429, 429]);
});

test('methods of one path count apart, unless the route is declared for all of them', async () => {
  const app = fastify();
  app.register(rateLimit);
  app.get('/a', { config: { rateLimit: '1/1h' } }, done);
  app.post('/a', { config: { rateLimit: '1/1h' } }, done);
  app.route({ method: ['GET', 'POST'], url: '/b', config: { rateLimit: '1/1h' }, handler: done });
  const ask = async (method: 'GET' | 'POST', url: string) => (await app.inject({ method, url })).statusCode;
  expect([await ask('GET', '/a'), await ask('POST', '/a')]).toEqual([200, 200]);
  expect([await ask('GET', '/b'), await ask('POST', '/b')]).toEqual([200, 429]);
});

test.each<[unknown, string, RegExp]>([
  [{ limit: '5' }, 'INVALID_POLICY', /Number\(…\)/],
  [{ timeWindow: '1m' }, 'UNKNOWN_OPTION', /"window"/],
  ['5 per minute', 'INVALID_POLICY', /'100\/1m'/],
  [true, 'INVALID_OPTION', /object of options/],
  [5, 'INVALID_OPTION', /object of options/],
  [null, 'INVALID_OPTION', /object of options/],
  [['5/1m'], 'INVALID_OPTION', /object of options/],
])('a route with the limits %j fails where it is declared', async (limits, code, message) => {
  const app = fastify();
  await app.register(rateLimit);
  const declare = () => app.get('/', { config: { rateLimit: limits as FastifyRateLimitOptions } }, done);
  expect(declare).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }));
});

test('a wrong route declared before the plugin fails its requests, with the remedy', async () => {
  const app = fastify();
  app.get('/', { config: { rateLimit: { limit: Number.NaN } } }, done);
  app.register(rateLimit);
  const response = await app.inject('/');
  expect(response.statusCode).toBe(500);
  expect(response.json()).toMatchObject({ code: 'INVALID_POLICY', message: expect.stringContaining("'limit'") });
});

test('a route with limits in a scope counts in the scope and in the app', async () => {
  const app = fastify();
  app.register(rateLimit, { limit: 4, window: '1h' });
  app.register(async (scope) => {
    scope.register(rateLimit, { limit: 3, window: '1h' });
    scope.get('/strict', { config: { rateLimit: '1/1h' } }, done);
    scope.get('/free', done);
  });
  expect(await statuses(app, '/strict', '/strict', '/free', '/free', '/free')).toEqual([200, 429, 200, 200, 429]);
});
