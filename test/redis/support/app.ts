import type { AddressInfo } from 'node:net';
import { rateLimit as express } from '@sluice/express';
import { rateLimit as fastify } from '@sluice/fastify';
import { rateLimit as koa } from '@sluice/koa';
import { RedisStore } from '@sluice/redis';
import createExpress from 'express';
import createFastify from 'fastify';
import { Redis } from 'ioredis';
import Koa from 'koa';

const [framework, redisPort, name = ''] = process.argv.slice(2);

const redis = new Redis({ port: Number(redisPort) });
const store = new RedisStore(redis, { onError: 'throw', deadline: '30s', logger: { warn() {} } });
// One window for the whole of a test: it ends on one midnight in 300.
const options = { name, limit: 500, window: '300d', algorithm: 'fixed-window', store } as const;

process.on('disconnect', () => process.exit());
if (framework === 'express') {
  const app = createExpress();
  app.use(express(options));
  app.get('/', (_, res) => void res.send('hello'));
  const server = app.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
} else if (framework === 'koa') {
  const app = new Koa();
  app.use(koa(options));
  app.use((ctx) => {
    ctx.body = 'hello';
  });
  const server = app.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
} else {
  const app = createFastify();
  app.register(fastify, options);
  app.get('/', () => 'hello');
  await app.listen({ port: 0, host: '127.0.0.1' });
  process.send?.((app.server.address() as AddressInfo).port);
}
