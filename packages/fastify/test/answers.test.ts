import { ManualClock } from '@sluice/testing';
import { type FastifyError, fastify } from 'fastify';
import { expect, test } from 'vitest';
import { type FastifyRateLimitOptions, RateLimitError, rateLimit } from '../src/index.ts';
import { done, statuses } from './asking.ts';

const fields = { 'x-ratelimit-limit': '1', 'x-ratelimit-remaining': '0', 'retry-after': expect.any(String) };

test('with throw the refusal goes through the error handler, with its headers kept', async () => {
  const app = fastify();
  const errors: unknown[] = [];
  app.register(rateLimit, { limit: 1, window: '1h', response: { throw: true } });
  app.get('/', done);
  app.setErrorHandler((error, _request, reply) => {
    errors.push(error);
    reply.code((error as FastifyError).statusCode ?? 500).send({ slow: 'down' });
  });
  expect(await statuses(app, '/')).toEqual([200]);
  const refused = await app.inject('/');
  expect(refused.statusCode).toBe(429);
  expect(refused.json()).toEqual({ slow: 'down' });
  expect(refused.headers).toMatchObject({ ...fields, 'cache-control': 'no-store' });
  expect(errors).toEqual([expect.any(RateLimitError)]);
  expect(errors[0]).toMatchObject({ code: 'LIMITED', decision: { allowed: false, policy: 'default' } });
});

test("with throw and no error handler, Fastify's own answer has the status and the message", async () => {
  const app = fastify();
  app.register(rateLimit, { limit: 1, window: '1h', response: { throw: true, statusCode: 503 } });
  app.get('/', done);
  expect(await statuses(app, '/')).toEqual([200]);
  const refused = await app.inject('/');
  expect(refused.json()).toMatchObject({
    statusCode: 503,
    code: 'LIMITED',
    message: expect.stringContaining('default'),
  });
  expect(refused.headers).toMatchObject(fields);
});

test('an Error that onLimited builds goes through the error handler of its scope, with the headers kept', async () => {
  const app = fastify();
  app.register(rateLimit, {
    limit: 1,
    window: '1h',
    onLimited: async (request, { policy }) =>
      Object.assign(new Error(`${request.url} by ${policy}`), { statusCode: 420 }),
  });
  app.register(async (scope) => {
    scope.setErrorHandler((error, _request, reply) => reply.code(420).send(`scope: ${(error as Error).message}`));
    scope.get('/inside', done);
  });
  app.get('/outside', done);
  expect(await statuses(app, '/inside')).toEqual([200]);
  const inside = await app.inject('/inside');
  expect([inside.statusCode, inside.body]).toEqual([420, 'scope: /inside by default']);
  expect(inside.headers).toMatchObject(fields);
  const outside = await app.inject('/outside');
  expect(outside.json()).toMatchObject({ statusCode: 420, message: '/outside by default' });
  expect(outside.headers).toMatchObject(fields);
});

test('onLimited may answer by the reply itself', async () => {
  const app = fastify();
  app.register(rateLimit, {
    limit: 1,
    window: '1h',
    onLimited: (_request, _decision, reply) => {
      reply.code(418).header('x-own', 'yes').send({ tea: true });
      return 'answered';
    },
  });
  let handled = 0;
  const errors: unknown[] = [];
  app.setErrorHandler((error) => void errors.push(error));
  app.get('/', async () => {
    handled++;
    return 'done';
  });
  expect(await statuses(app, '/')).toEqual([200]);
  const refused = await app.inject('/');
  expect(refused.statusCode).toBe(418);
  expect(refused.json()).toEqual({ tea: true });
  expect(refused.headers).toMatchObject({ ...fields, 'x-own': 'yes' });
  expect([handled, errors]).toEqual([1, []]);
});

test.each<[string, NonNullable<FastifyRateLimitOptions['onLimited']>]>([
  ['returns the reply', (_request, _decision, reply) => reply.code(420).send({ calm: 'down' }) as never],
  ['returns it later', async (_request, _decision, reply) => reply.code(420).send({ calm: 'down' }) as never],
  ['has sent it', (_request, _decision, reply) => void reply.code(420).send({ calm: 'down' })],
  ['sends it later', async (_request, _decision, reply) => void reply.code(420).send({ calm: 'down' })],
])('onLimited that %s has answered, and is no error', async (_, onLimited) => {
  const app = fastify();
  const errors: unknown[] = [];
  app.register(rateLimit, { limit: 1, window: '1h', onLimited });
  app.setErrorHandler((error) => void errors.push(error));
  app.get('/', done);
  expect(await statuses(app, '/')).toEqual([200]);
  const refused = await app.inject('/');
  expect([refused.statusCode, refused.json()]).toEqual([420, { calm: 'down' }]);
  expect(refused.headers).toMatchObject(fields);
  expect(errors).toEqual([]);
});

test('the decision is put under another name, for handlers and for limiters of the route', async () => {
  const app = fastify();
  app.register(rateLimit, { limit: 3, window: '1h', response: { property: 'quota' } });
  app.get('/', { config: { rateLimit: '2/1h' } }, async (request) => {
    const { quota } = request as unknown as { quota: { remaining: number; used: number } };
    return { left: quota.remaining, used: quota.used, usual: request.rateLimit ?? null };
  });
  app.get('/free', { config: { rateLimit: false } }, async (request) => 'quota' in request);
  expect((await app.inject('/')).json()).toEqual({ left: 1, used: 1, usual: null });
  expect((await app.inject('/free')).body).toBe('true');
});

test('a property that requests have already fails the registration', async () => {
  for (const property of ['headers', 'user', 'routeOptions']) {
    const registered = async () => {
      await fastify().register(rateLimit, { response: { property } });
    };
    await expect(registered()).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      message: expect.stringContaining(property),
    });
  }
});

test('onAllowed, onLimited and onBanned are told, and a client is banned after so many refusals', async () => {
  const told: string[] = [];
  const app = fastify();
  app.register(rateLimit, {
    limit: 1,
    window: '1h',
    penalty: { banAfter: 2 },
    onAllowed: (request, { remaining }) => void told.push(`allowed ${request.url} ${remaining}`),
    onLimited: (request, { retryAfter }) => void told.push(`limited ${request.url} ${retryAfter > 0}`),
    onBanned: (request, _decision, reply) => void told.push(`banned ${request.url} ${reply.sent}`),
  });
  app.get('/', done);
  expect(await statuses(app, '/', '/', '/', '/')).toEqual([200, 429, 403, 403]);
  expect(told).toEqual(['allowed / 0', 'limited / true', 'banned / false', 'banned / false']);
});

test('a ban of the plugin goes for routes with limits of their own, and theirs for the plugin', async () => {
  const app = fastify();
  app.register(rateLimit, { limit: 100, window: '1h', penalty: { banAfter: 1 } });
  app.get('/strict', { config: { rateLimit: '1/1h' } }, done);
  app.get('/', done);
  expect(await statuses(app, '/', '/strict', '/strict', '/')).toEqual([200, 200, 403, 403]);
});

test.each([
  ['costs nothing by default', undefined, [1_000]],
  ['starts its block anew', { blockFor: '5s', restart: true }, [5_000, 5_000]],
  ['doubles the block with each further breach', { blockFor: '5s', escalate: true }, [5_000, 10_000]],
] as const)('what is refused %s', async (_, penalty, waits) => {
  const clock = new ManualClock();
  const app = fastify();
  const limits = { limit: 1, window: '1s', algorithm: 'sliding-window-log', clock } as const;
  app.register(rateLimit, penalty === undefined ? limits : { ...limits, penalty });
  app.get('/', done);
  expect(await statuses(app, '/')).toEqual([200]);
  for (const wait of waits) {
    expect(await statuses(app, '/')).toEqual([429]);
    if (penalty !== undefined && 'restart' in penalty) {
      clock.advance(wait - 1);
      expect(await statuses(app, '/')).toEqual([429]);
    }
    clock.advance(wait - 1);
    expect((await app.inject('/')).statusCode).toBe(429);
    if (penalty !== undefined && 'restart' in penalty) clock.advance(wait - 1);
    clock.advance(1);
    expect(await statuses(app, '/')).toEqual([200]);
  }
});
