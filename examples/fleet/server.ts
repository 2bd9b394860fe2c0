import cluster from 'node:cluster';
import { once } from 'node:events';
import { rateLimit } from '@sluice/express';
import { clientOptions, RedisStore } from '@sluice/redis';
import express from 'express';
import { Redis } from 'ioredis';
import { expectRedis } from './expect-redis.js';

const processes = 3;
const url = process.env.REDIS_URL ?? 'redis://127.0.0.1:6379';

if (cluster.isPrimary) {
  await expectRedis(url);
  // A process that ends has said why.
  cluster.on('exit', () => process.exit(1));
  const forks = Array.from({ length: processes }, () => cluster.fork());
  const listening = await Promise.all(forks.map((fork) => once(fork, 'listening')));
  const app = `http://127.0.0.1:${listening[0]?.[0].port}/`;
  console.log(`Listening on ${app} in ${processes} processes

  curl -i -H 'Connection: close' '${app}?n=[1-7]'

Five are granted, whichever process they reach; each connection reaches the next one. Ctrl+C ends them.`);
} else {
  const redis = new Redis(url, clientOptions);
  // The store tells of what fails; without a listener, the client would print each attempt to connect.
  redis.on('error', () => {});
  // The deadline is long, so that a busy laptop shows the same; the default of 50 ms suits most servers.
  const store = new RedisStore(redis, { instances: processes, prefix: 'example-fleet', deadline: '1s' });

  const app = express();
  app.use(rateLimit({ limit: 5, window: '1m', algorithm: 'fixed-window', anchor: 'first', store }));
  app.get('/', (req, res) => {
    res.json({ process: process.pid, remaining: req.rateLimit?.remaining });
  });
  // Of processes of one cluster, all that ask for any free port get the same one.
  app.listen(Number(process.env.PORT ?? 0), '127.0.0.1', (error?: Error) => {
    if (error) throw error;
  });
}
