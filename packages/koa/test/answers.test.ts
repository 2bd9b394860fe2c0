import koa3, { type Context } from 'koa';
import koa2 from 'koa2';
import supertest from 'supertest';
import { describe, expect, test } from 'vitest';
import { type KoaRateLimitOptions, RateLimitError, rateLimit } from '../src/index.ts';

const limit = { limit: 1, window: '1h' } as const;
const fields = {
  'x-ratelimit-limit': '1',
  'x-ratelimit-remaining': '0',
  'retry-after': expect.any(String),
  'cache-control': 'no-store',
};

describe.each([
  ['Koa 3', koa3],
  ['Koa 2', koa2],
])('%s', (_, Koa) => {
  /** An app behind a limiter, which has answered its first request already. */
  const spent = async (options: KoaRateLimitOptions, ...before: Parameters<koa3['use']>[0][]) => {
    const app = new Koa();
    const errors: unknown[] = [];
    app.on('error', (error) => errors.push(error));
    for (const middleware of before) app.use(middleware);
    app.use(rateLimit(options));
    let handled = 0;
    app.use((ctx) => {
      handled++;
      ctx.body = 'done';
    });
    const ask = (headers = {}) => supertest(app.callback()).get('/').set(headers);
    expect((await ask()).status).toBe(200);
    return { ask, errors, handled: () => handled };
  };

  test("with throw a refusal is Koa's own answer to an error, with its headers kept", async () => {
    const { ask, errors, handled } = await spent({ ...limit, response: { throw: true } });
    const response = await ask({ origin: 'https://example.org' });
    expect(response.status).toBe(429);
    expect(response.text).toMatch(/^Policy 'default' has refused the request\. Try again in \d+ s\.$/);
    expect(response.headers).toMatchObject(fields);
    expect(response.headers['access-control-expose-headers']).toContain('Retry-After');
    // As of what ctx.throw makes: Koa tells the app of each error, and logs none that the client may read.
    expect(errors).toEqual([expect.any(RateLimitError)]);
    expect(errors[0]).toMatchObject({ status: 429, expose: true, code: 'LIMITED', decision: { allowed: false } });
    expect(handled()).toBe(1);
  });

  test('with throw a middleware before may catch the refusal, and answer otherwise', async () => {
    const { ask, errors } = await spent({ ...limit, response: { throw: true } }, async (ctx: Context, next) => {
      await next().catch((error: RateLimitError) => {
        ctx.status = error.status;
        ctx.body = { policy: error.decision.policy };
      });
    });
    const response = await ask();
    expect(response.status).toBe(429);
    expect(response.body).toEqual({ policy: 'default' });
    expect(response.headers).toMatchObject(fields);
    expect(errors).toEqual([]);
  });

  test('with throw the status is the one of the options', async () => {
    const { ask } = await spent({ ...limit, response: { throw: true, statusCode: 503 } });
    expect((await ask()).status).toBe(503);
  });

  test('an Error from onLimited is the answer, with the headers of the refusal', async () => {
    const error = Object.assign(new Error('come back later'), { status: 503, expose: true });
    const { ask, errors } = await spent({ ...limit, onLimited: async () => error });
    const response = await ask();
    expect([response.status, response.text]).toEqual([503, 'come back later']);
    expect(response.headers).toMatchObject(fields);
    expect(errors[0]).toBe(error);
  });

  test('onLimited may answer by the context itself', async () => {
    const { ask, handled } = await spent({
      ...limit,
      onLimited: (ctx) => {
        ctx.status = 418;
        ctx.body = { tea: true };
        return 'answered';
      },
    });
    const response = await ask();
    expect(response.status).toBe(418);
    expect(response.body).toEqual({ tea: true });
    expect(response.headers).toMatchObject(fields);
    expect(handled()).toBe(1);
  });

  test.each<[string, NonNullable<KoaRateLimitOptions['onLimited']>]>([
    ['has ended the response', (ctx) => void Object.assign(ctx.res, { statusCode: 420 }).end('calm down')],
    ['ends it later', async (ctx) => void Object.assign(ctx.res, { statusCode: 420 }).end('calm down')],
    ['returns the response', (ctx) => Object.assign(ctx.res, { statusCode: 420 }).end('calm down') as never],
  ])('onLimited that %s has answered, and is no error', async (_, onLimited) => {
    const { ask, errors, handled } = await spent({ ...limit, onLimited });
    const response = await ask();
    expect([response.status, response.text]).toEqual([420, 'calm down']);
    expect(response.headers).toMatchObject(fields);
    expect([handled(), errors]).toEqual([1, []]);
  });

  test('the decision is put under another name on the state, and limiters find one another all the same', async () => {
    const app = new Koa();
    app.use(rateLimit({ limit: 2, window: '1h', name: 'wide', response: { property: 'quota' } }));
    app.use(rateLimit({ limit: 1, window: '1h', name: 'narrow', response: { property: 'own' } }));
    app.use((ctx) => {
      const { quota, own, rateLimit } = ctx.state as Record<string, { policy: string }>;
      ctx.body = [quota?.policy, own?.policy, rateLimit ?? null];
    });
    const get = () => supertest(app.callback()).get('/');
    expect((await get()).body).toEqual(['wide', 'narrow', null]);
    expect((await get()).headers).toMatchObject({ 'x-ratelimit-limit': '1', 'x-ratelimit-remaining': '0' });
  });
});
