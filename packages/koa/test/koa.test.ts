import { createServer } from 'node:http';
import Router from '@koa/router';
import koa3 from 'koa';
import koa2 from 'koa2';
import supertest from 'supertest';
import { describe, expect, test } from 'vitest';
import { rateLimit } from '../src/index.ts';

describe.each([
  ['Koa 3', koa3],
  ['Koa 2', koa2],
])('%s', (_, Koa) => {
  test('a router or a single route can have limits of its own', async () => {
    const app = new Koa();
    const router = new Router({ prefix: '/v1' });
    router.use(rateLimit({ name: 'router', limit: 3, window: '1h' }));
    router.get('/free', (ctx) => {
      ctx.body = ctx.state.rateLimit?.policy;
    });
    router.get('/strict', rateLimit({ name: 'strict', limit: 1, window: '1h' }), (ctx) => {
      ctx.body = ctx.state.rateLimit?.policy;
    });
    app.use(router.routes());
    const ask = async (path: string) => {
      const { status, text } = await supertest(app.callback()).get(path);
      return status === 200 ? text : status;
    };
    expect(await ask('/v1/strict')).toBe('strict');
    expect(await ask('/v1/strict')).toBe(429);
    expect(await ask('/v1/free')).toBe('router');
    expect(await ask('/v1/free')).toBe('router');
    expect(await ask('/v1/free')).toBe(429);
    expect(await ask('/elsewhere')).toBe(404);
  });

  test('the fields stay on a response that ctx.throw makes, beside those of the error', async () => {
    const app = new Koa();
    app.use(rateLimit('5/1h'));
    app.use(rateLimit('2/1m'));
    app.use((ctx) => ctx.throw(401, 'who are you', { headers: { 'www-authenticate': 'Basic' } }));
    const response = await supertest(app.callback()).get('/').set('origin', 'null');
    expect(response.status).toBe(401);
    expect(response.headers).toMatchObject({
      'x-ratelimit-limit': '2',
      'x-ratelimit-remaining': '1',
      'access-control-expose-headers': expect.stringContaining('X-RateLimit-Remaining'),
      'www-authenticate': 'Basic',
    });
  });

  test('an error that cannot be changed reaches the middleware before as it is', async () => {
    const app = new Koa();
    const frozen = Object.freeze(new Error('frozen'));
    const errors: unknown[] = [];
    app.use(async (ctx, next) => {
      await next().catch((error) => errors.push(error));
      ctx.status = 418;
    });
    app.use(rateLimit());
    app.use(() => {
      throw frozen;
    });
    expect((await supertest(app.callback()).get('/')).status).toBe(418);
    expect(errors).toEqual([frozen]);
    expect(errors[0]).toBe(frozen);
  });

  test('two proxies are two hops', async () => {
    const app = new Koa({ proxy: true, maxIpsCount: 2 });
    app.use(rateLimit('1/1h'));
    app.use((ctx) => {
      ctx.body = ctx.ip;
    });
    const ask = async (forwarded: string) =>
      (await supertest(app.callback()).get('/').set('x-forwarded-for', forwarded)).status;
    expect(await ask('1.1.1.1, 192.0.2.1, 10.0.0.1')).toBe(200);
    expect(await ask('2.2.2.2, 192.0.2.1, 10.0.0.2')).toBe(429);
    expect(await ask('1.1.1.1, 192.0.2.2, 10.0.0.1')).toBe(200);
  });

  test('a header of the proxy that Koa is told to read is read', async () => {
    const app = new Koa({ proxy: true, proxyIpHeader: 'X-Client' });
    app.use(rateLimit('1/1h'));
    app.use((ctx) => {
      ctx.body = '';
    });
    const server = createServer(app.callback());
    const ask = async (name: string, value: string) => (await supertest(server).get('/').set(name, value)).status;
    expect(await ask('x-client', '192.0.2.1')).toBe(200);
    expect(await ask('x-client', '198.51.100.1, 192.0.2.1')).toBe(429);
    expect(await ask('x-client', '192.0.2.2')).toBe(200);
    expect(await ask('x-forwarded-for', '192.0.2.1')).toBe(200);
    expect(await ask('x-forwarded-for', '192.0.2.3')).toBe(429);
  });
});
