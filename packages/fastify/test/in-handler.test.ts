import { ManualClock } from '@sluice/testing';
import { type FastifyReply, type FastifyRequest, fastify } from 'fastify';
import { expect, test } from 'vitest';
import { type RateLimitCheck, rateLimit } from '../src/index.ts';
import { done, pluginCheck, pluginHook, statuses } from './asking.ts';

/** Answers with what a check says, as a handler would. */
const answering = (check: RateLimitCheck) => async (request: FastifyRequest, reply: FastifyReply) => {
  const decision = await check(request);
  if (decision === undefined) return 'not limited';
  return decision.allowed ? { left: decision.remaining } : reply.code(429).send('too many');
};

test('a check inside a handler counts each call, and touches no response', async () => {
  const app = fastify();
  await app.register(rateLimit, { global: false });
  app.get('/', answering(app.createRateLimit('2/1h')));
  const first = await app.inject('/');
  expect(first.json()).toEqual({ left: 1 });
  expect(first.headers).not.toHaveProperty('x-ratelimit-limit');
  expect(await statuses(app, '/', '/')).toEqual([200, 429]);
});

test('peek tells what the call would, and takes nothing', async () => {
  const app = fastify();
  await app.register(rateLimit, { global: false });
  const check = app.createRateLimit({ limit: 1, window: '1h' });
  app.get('/peek', async (request) => ({ allowed: (await check.peek(request))?.allowed }));
  app.get('/take', answering(check));
  const peek = async () => (await app.inject('/peek')).json().allowed;
  expect([await peek(), await peek()]).toEqual([true, true]);
  expect(await statuses(app, '/take')).toEqual([200]);
  expect(await peek()).toBe(false);
  expect(await statuses(app, '/take')).toEqual([429]);
});

test('a failed login is charged and a good one is not, by peek before and the call after', async () => {
  const app = fastify();
  await app.register(rateLimit, { global: false });
  const failures = app.createRateLimit({ limit: 2, window: '1h' });
  app.post<{ Body: { password: string } }>('/login', async (request, reply) => {
    if (!(await failures.peek(request))?.allowed) return reply.code(429).send();
    if (request.body.password === 'right') return 'welcome';
    await failures(request);
    return reply.code(401).send();
  });
  const login = async (password: string) =>
    (await app.inject({ method: 'POST', url: '/login', payload: { password } })).statusCode;
  const passwords = ['right', 'wrong', 'right', 'wrong', 'right', 'wrong'];
  const seen: number[] = [];
  for (const password of passwords) seen.push(await login(password));
  expect(seen).toEqual([200, 401, 200, 401, 429, 429]);
});

test('a request that is skipped, allow-listed or has no key is not limited', async () => {
  const app = fastify();
  await app.register(rateLimit, {
    global: false,
    skip: (request) => request.headers.who === 'skipped',
    key: (request) => (request.headers.who === 'free' ? false : String(request.headers.who)),
    lists: { allow: ['partner'], block: ['villain'] },
  });
  app.get('/', answering(app.createRateLimit('1/1h')));
  const ask = (who: string) => app.inject({ url: '/', headers: { who } });
  for (const who of ['skipped', 'free', 'partner']) {
    expect([(await ask(who)).body, (await ask(who)).body]).toEqual(['not limited', 'not limited']);
  }
  expect([(await ask('villain')).statusCode, (await ask('ann')).statusCode]).toEqual([429, 200]);
});

test('rules and bans go for a check too', async () => {
  const clock = new ManualClock();
  const app = fastify();
  await app.register(rateLimit, {
    global: false,
    clock,
    limit: 100,
    window: '1h',
    rules: [{ match: '/strict', limit: 1, window: '1s', algorithm: 'sliding-window-log' }],
    penalty: { banAfter: 2 },
  });
  const check = pluginCheck(app);
  app.get('/strict', answering(check));
  app.get('/loose', answering(check));
  expect(await statuses(app, '/strict', '/loose', '/strict', '/strict')).toEqual([200, 200, 429, 429]);
  clock.advance(1_000);
  expect(await statuses(app, '/strict', '/loose')).toEqual([429, 429]);
});

test('a check without options counts with the plugin', async () => {
  const app = fastify();
  await app.register(rateLimit, { global: false, limit: 2, window: '1h' });
  app.get('/hook', { preHandler: pluginHook(app) }, done);
  app.get('/check', answering(pluginCheck(app)));
  expect(await statuses(app, '/hook', '/check', '/hook', '/check')).toEqual([200, 200, 429, 429]);
});

test('a check is reset, asked and explained by itself', async () => {
  const app = fastify();
  await app.register(rateLimit, { global: false });
  const check = app.createRateLimit({ name: 'search', limit: 1, window: '1h' });
  app.get('/', answering(check));
  app.get('/why', async (request) => (await check.explain(request)).outcome);
  expect(await statuses(app, '/')).toEqual([200]);
  expect(await check.get('127.0.0.1')).toMatchObject([{ policy: 'search', remaining: 0 }]);
  expect(await app.rateLimiter.get('127.0.0.1')).toEqual([]);
  expect((await app.inject('/why')).body).toBe('refused');
  await check.reset('127.0.0.1');
  expect((await app.inject('/why')).body).toBe('allowed');
  expect(await statuses(app, '/', '/')).toEqual([200, 429]);
});
