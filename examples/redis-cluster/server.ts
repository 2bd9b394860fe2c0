import type { AddressInfo } from 'node:net';
import { rateLimit } from '@sluice/express';
import { clusterOptions, RedisStore } from '@sluice/redis';
import express, { type Request } from 'express';
import { Cluster } from 'ioredis';
import { startCluster } from './cluster.js';

// Some of the nodes, like 10.0.0.1:6379,10.0.0.2:6379: they know the others. By default a cluster of our own.
const nodes = process.env.REDIS_NODES || (await startCluster());
const urls = nodes.split(',').map((node) => `redis://${node}`);
const redis = new Cluster(urls, clusterOptions); // Their source says what each of these options is for.
// The deadline is long, so that a laptop with six servers on it shows the same; the default is 50 ms.
const store = new RedisStore(redis, { instances: 2, prefix: 'example-cluster', deadline: '1s' });

// These stand in for what authentication tells of a request.
const tenantOf = (req: Request) => ['tenant', String(req.get('x-tenant'))];
const userOf = (req: Request) => ['user', String(req.get('x-tenant')), String(req.get('x-user'))];
const perMinute = { window: '1m', algorithm: 'fixed-window', anchor: 'first' } as const;

const app = express();
app.use(
  rateLimit({
    store,
    // Each tenant, and each of its users as well: both limits grant a request, or neither is charged for it.
    ...perMinute,
    name: 'tenant',
    limit: 5,
    key: tenantOf,
    rules: [{ ...perMinute, match: '*', stack: true, name: 'user', limit: 3, by: userOf }],
  }),
);
app.get('/', (req, res) => {
  res.json({ remaining: req.rateLimit?.remaining, source: req.rateLimit?.source });
});

await store.ready(); // Says so, if nothing answers at these addresses.
const server = app.listen(Number(process.env.PORT ?? 0), '127.0.0.1', () => {
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const curl = (user: string) => `  curl -i -H 'x-tenant: acme' -H 'x-user: ${user}' '${url}?n=[1-4]'`;
  console.log(`Listening on ${url}\n\n${curl('ann')}\n${curl('bob')}`);
});
