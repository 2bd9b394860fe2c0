import { ManualClock } from '@sluice/testing';
import { fastify } from 'fastify';
import { expect, test } from 'vitest';
import { rateLimit } from '../src/index.ts';
import { counted, done, pluginHook, statuses } from './asking.ts';

test('with global: false only what asks for limits has any', async () => {
  const app = fastify();
  await app.register(rateLimit, { global: false, limit: 1, window: '1h' });
  app.get('/config', { config: { rateLimit: '1/1h' } }, done);
  app.get('/hook', { preHandler: app.rateLimit('1/1h') }, done);
  app.get('/free', done);
  expect(await statuses(app, '/config', '/config', '/hook', '/hook')).toEqual([200, 429, 200, 429]);
  expect(await statuses(app, '/free', '/free', '/nothing', '/nothing')).toEqual([200, 200, 404, 404]);
  expect((await app.inject('/free')).headers).not.toHaveProperty('x-ratelimit-limit');
});

test('with global: false the phase before authentication stands where it is asked for', async () => {
  const app = fastify();
  await app.register(rateLimit, { global: false, beforeAuth: '1/1h' });
  app.get('/', { onRequest: pluginHook(app) }, done);
  app.get('/free', done);
  expect(await statuses(app, '/', '/', '/free', '/free')).toEqual([200, 429, 200, 200]);
});

test('a route that says nothing of its limits has the numbers of the plugin, counted apart', async () => {
  const app = fastify();
  await app.register(rateLimit, { global: false, limit: 2, window: '1m' });
  app.get('/a', { config: { rateLimit: {} } }, done);
  app.get('/b', { config: { rateLimit: {} } }, done);
  expect(counted(await app.inject('/a'))).toEqual(['2', '1']);
  expect(await statuses(app, '/a', '/a', '/b', '/b', '/b')).toEqual([200, 429, 200, 200, 429]);
});

test("a route that gives a limit alone has the plugin's window, and the other way round", async () => {
  const clock = new ManualClock();
  const app = fastify();
  await app.register(rateLimit, { global: false, limit: 3, window: '10s', clock });
  app.get('/limit', { config: { rateLimit: { limit: 1, algorithm: 'sliding-window-log' } } }, done);
  app.get('/window', { config: { rateLimit: { window: '1s', algorithm: 'sliding-window-log' } } }, done);
  expect((await app.inject('/window')).headers['x-ratelimit-limit']).toBe('3');
  expect(await statuses(app, '/limit', '/limit')).toEqual([200, 429]);
  clock.advance(9_999);
  expect(await statuses(app, '/limit')).toEqual([429]);
  clock.advance(1);
  expect(await statuses(app, '/limit')).toEqual([200]);
});

test('a route that lists limits, or gives false, takes over none', async () => {
  const app = fastify();
  await app.register(rateLimit, { global: false, limit: 1, window: '1h' });
  app.get('/list', { config: { rateLimit: { limits: ['2/1h'] } } }, done);
  app.get('/unlimited', { config: { rateLimit: { limit: false } } }, done);
  expect(await statuses(app, '/list', '/list', '/list')).toEqual([200, 200, 429]);
  expect(await statuses(app, '/unlimited', '/unlimited')).toEqual([200, 200]);
});

test("a route with tiers of its own tells them apart as the plugin does, and the plugin's list is its own too", async () => {
  const app = fastify();
  await app.register(rateLimit, {
    global: false,
    tiers: { free: ['1/1h'], pro: '2/1h' },
    tier: (request) => (request.headers.plan as string) ?? undefined,
    defaultTier: 'free',
  });
  app.get('/own', { config: { rateLimit: { tiers: { free: '2/1h', pro: '3/1h' } } } }, done);
  app.get('/same', { config: { rateLimit: {} } }, done);
  const limit = async (url: string, plan?: string) =>
    (await app.inject({ url, headers: plan === undefined ? {} : { plan } })).headers['x-ratelimit-limit'];
  expect([await limit('/own'), await limit('/own', 'pro')]).toEqual(['2', '3']);
  expect([await limit('/same'), await limit('/same', 'pro')]).toEqual(['1', '2']);
});

test('routes of a group count together', async () => {
  const app = fastify();
  await app.register(rateLimit, { limit: 100, window: '1h' });
  const otp = { group: 'otp', limit: 2, window: '1h' } as const;
  app.get('/send', { config: { rateLimit: otp } }, done);
  app.get('/resend', { config: { rateLimit: otp } }, done);
  app.get('/check', { preHandler: app.rateLimit(otp) }, done);
  app.get('/other', { config: { rateLimit: '2/1h' } }, done);
  expect(await statuses(app, '/send', '/resend', '/send', '/resend', '/check')).toEqual([200, 200, 429, 429, 429]);
  expect(await statuses(app, '/other')).toEqual([200]);
  expect((await app.inject('/send')).json()['violated-policies']).toEqual(['otp']);
});

test('routes of a group with different limits fail where the second is declared', async () => {
  const app = fastify();
  await app.register(rateLimit);
  app.get('/send', { config: { rateLimit: { group: 'otp', limit: 2, window: '1h' } } }, done);
  const declare = () => app.get('/resend', { config: { rateLimit: { group: 'otp', limit: 3, window: '1h' } } }, done);
  expect(declare).toThrow(expect.objectContaining({ code: 'DUPLICATE_POLICY' }));
});

test("a route's groupId is refused with the name that it has here", async () => {
  const app = fastify();
  await app.register(rateLimit, {});
  const declare = () => app.get('/', { config: { rateLimit: { groupId: 'a' } as object } }, done);
  expect(declare).toThrow(/no option "groupId"\. Here it is called "group"/);
});
