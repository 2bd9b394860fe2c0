import type { AddressInfo } from 'node:net';
import Router from '@koa/router';
import { rateLimit } from '@sluice/koa';
import Koa from 'koa';
import { limits } from './limits.js';

const app = new Koa();
app.use(rateLimit(limits));

const router = new Router();
router.post('/login', (ctx) => {
  ctx.body = { token: 'secret' };
});
router.get('/search', (ctx) => {
  ctx.body = { hits: [] };
});
router.post('/upload', (ctx) => {
  ctx.status = 201;
});
router.get('/reports/:year', (ctx) => {
  ctx.body = { year: ctx.params.year };
});
router.get('/health', (ctx) => {
  ctx.body = { ok: true };
});
app.use(router.routes());

const server = app.listen(Number(process.env.PORT ?? 0), '127.0.0.1', () => {
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  console.log(`Listening on ${url}/\n\n  curl -i '${url}/search'\n  curl -i -X POST '${url}/login?n=[1-6]'`);
});
