import type { AddressInfo } from 'node:net';
import Router from '@koa/router';
import { rateLimit } from '@sluice/koa';
import Koa from 'koa';

const app = new Koa();
const router = new Router();

// Everybody: 100 requests per minute.
app.use(rateLimit({ limit: 100, window: '1m' }));

router.get('/', (ctx) => {
  ctx.body = { hello: 'world', remaining: ctx.state.rateLimit?.remaining };
});

// This route: 3 per minute as well. Both count, and the headers tell of the tighter one.
router.post('/login', rateLimit({ limit: 3, window: '1m', algorithm: 'fixed-window', anchor: 'first' }), (ctx) => {
  ctx.body = { token: 'secret' };
});

app.use(router.routes());

const server = app.listen(Number(process.env.PORT ?? 0), '127.0.0.1', () => {
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  console.log(`Listening on ${url}\n\n  curl -i '${url}'\n  curl -i -X POST '${url}login?n=[1-4]'`);
});
