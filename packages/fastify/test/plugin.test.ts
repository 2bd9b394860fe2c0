import { MemoryStore } from '@sluice/core';
import { ManualClock } from '@sluice/testing';
import { type FastifyInstance, fastify } from 'fastify';
import { expect, test } from 'vitest';
import { rateLimit } from '../src/index.ts';

/** The statuses of requests that are injected one after another. */
async function statuses(app: FastifyInstance, ...urls: string[]): Promise<number[]> {
  const statuses: number[] = [];
  for (const url of urls) statuses.push((await app.inject(url)).statusCode);
  return statuses;
}

const done = async () => 'done';

test('a registration that is not awaited limits the routes declared before and after it, and what no route matches', async () => {
  const app = fastify();
  app.get('/before', done);
  app.register(rateLimit, { limit: 3, window: '1h' });
  app.get('/after', done);
  expect(await statuses(app, '/before', '/after', '/nothing')).toEqual([200, 200, 404]);
  expect(await statuses(app, '/before', '/after', '/nothing')).toEqual([429, 429, 429]);
});

test('a registration that is awaited limits the same', async () => {
  const app = fastify();
  app.get('/before', done);
  await app.register(rateLimit, { limit: 3, window: '1h' });
  app.get('/after', done);
  expect(await statuses(app, '/before', '/after', '/nothing')).toEqual([200, 200, 404]);
  expect(await statuses(app, '/before', '/after', '/nothing')).toEqual([429, 429, 429]);
});

test('a not-found handler of the app is behind the limit', async () => {
  const app = fastify();
  app.register(rateLimit, { limit: 1, window: '1h' });
  app.setNotFoundHandler((_request, reply) => reply.code(404).send('nothing here'));
  expect(await statuses(app, '/nothing', '/nothing')).toEqual([404, 429]);
});

test('a registration in a scope limits the routes of the scope together, and no other', async () => {
  const app = fastify();
  app.get('/outside', done);
  app.register(
    async (scope) => {
      scope.register(rateLimit, { limit: 2, window: '1h' });
      scope.get('/a', done);
      scope.get('/b', done);
      scope.register(async (inner) => inner.get('/c', done));
    },
    { prefix: '/group' },
  );
  expect(await statuses(app, '/group/a', '/group/b', '/group/c', '/group/a')).toEqual([200, 200, 429, 429]);
  expect(await statuses(app, '/outside', '/outside', '/outside')).toEqual([200, 200, 200]);
});

test('two registrations stack: both limit, and the response shows the tighter', async () => {
  const clock = new ManualClock();
  const app = fastify();
  app.register(rateLimit, { name: 'hour', limit: 3, window: '1h', algorithm: 'fixed-window', clock });
  app.register(rateLimit, { name: 'second', limit: 2, window: '1s', algorithm: 'fixed-window', clock });
  app.get('/', done);
  expect((await app.inject('/')).headers['x-ratelimit-limit']).toBe('2');
  expect(await statuses(app, '/', '/', '/')).toEqual([200, 429, 429]);
  clock.advance(1_000);
  expect((await app.inject('/')).headers['x-ratelimit-limit']).toBe('3');
  expect((await app.inject('/')).json()['violated-policies']).toEqual(['hour']);
});

test('a registration in a scope stacks on that of the app', async () => {
  const app = fastify();
  app.register(rateLimit, { limit: 3, window: '1h' });
  app.register(async (scope) => {
    scope.register(rateLimit, { limit: 1, window: '1h' });
    scope.get('/inside', done);
  });
  app.get('/outside', done);
  expect(await statuses(app, '/inside', '/inside', '/outside', '/outside', '/outside')).toEqual([
    200, 429, 200, 200, 429,
  ]);
});

test('the decision is on the request, and null where nothing has limited it', async () => {
  const app = fastify();
  app.register(rateLimit, { limit: 3, window: '1h', skip: (request) => request.url === '/skipped' });
  app.get('/', async (request) => ({ left: request.rateLimit?.remaining }));
  app.get('/skipped', async (request) => ({ decision: request.rateLimit }));
  expect((await app.inject('/')).json()).toEqual({ left: 2 });
  expect((await app.inject('/skipped')).json()).toEqual({ decision: null });
});

test('options that cannot work fail the registration, or the start where it was not awaited', async () => {
  const wrong = { limit: 5, windowMs: 1_000 } as object;
  const error = { code: 'UNKNOWN_OPTION', message: expect.stringContaining('"window"') };
  await expect(fastify().register(rateLimit, wrong)).rejects.toMatchObject(error);
  const app = fastify();
  app.register(rateLimit, wrong);
  await expect(app.ready()).rejects.toMatchObject(error);
});

test('a prefix and a log level, which register itself takes, are no unknown options', async () => {
  const app = fastify();
  await app.register(rateLimit, { limit: 1, prefix: '/v1', logLevel: 'warn' } as object);
  app.get('/', done);
  expect(await statuses(app, '/', '/')).toEqual([200, 429]);
});

test('a server that trusts some hops only is asked for its own idea of the address', async () => {
  const app = fastify({ trustProxy: (_address, hop) => hop < 2 });
  app.register(rateLimit, { limit: 1, window: '1h' });
  app.get('/', done);
  const ask = async (forwarded: string) =>
    (await app.inject({ url: '/', headers: { 'x-forwarded-for': forwarded } })).statusCode;
  expect(await ask('1.1.1.1, 192.0.2.1, 10.0.0.1')).toBe(200);
  expect(await ask('2.2.2.2, 192.0.2.1, 10.0.0.2')).toBe(429);
  expect(await ask('1.1.1.1, 192.0.2.2, 10.0.0.1')).toBe(200);
});

test('a store that the registration made is closed with the app, and one that was given is not', async () => {
  const clock = new ManualClock();
  const app = fastify();
  app.register(rateLimit, { limit: 1, window: '1h', clock });
  app.get('/', done);
  app.get('/own', { config: { rateLimit: { limit: 1, window: '1h' } } }, done);
  expect(await statuses(app, '/own')).toEqual([200]);
  expect(clock.pending).toBeGreaterThan(0);
  await app.close();
  expect(clock.pending).toBe(0);

  const store = new MemoryStore({ clock });
  const other = fastify();
  other.register(rateLimit, { limit: 1, window: '1h', store });
  other.get('/', done);
  expect(await statuses(other, '/')).toEqual([200]);
  await other.close();
  expect(clock.pending).toBeGreaterThan(0);
  store.close();
  expect(clock.pending).toBe(0);
});
