import { ManualClock } from '@sluice/testing';
import Koa from 'koa';
import request from 'supertest';
import { expect, test } from 'vitest';
import { rateLimit } from '../src/index.ts';

test('an error that every request throws carries the headers of none to another', async () => {
  const app = new Koa({ proxy: true, maxIpsCount: 1 });
  app.silent = true;
  const notFound = Object.assign(new Error('not here'), { status: 404, expose: true });
  app.use(rateLimit({ limit: 10, window: '1h', clock: new ManualClock(), skip: (ctx) => ctx.path === '/free' }));
  app.use(() => {
    throw notFound;
  });
  const get = (path: string, address: string) => request(app.callback()).get(path).set('X-Forwarded-For', address);
  const remaining = async (path: string, address: string) =>
    (await get(path, address).expect(404)).headers['x-ratelimit-remaining'];
  expect(await remaining('/', '192.0.2.1')).toBe('9');
  expect(await remaining('/', '192.0.2.1')).toBe('8');
  expect(await remaining('/', '192.0.2.2')).toBe('9');
  expect(await remaining('/free', '192.0.2.1')).toBeUndefined();
  expect(notFound).not.toHaveProperty('headers');
});
