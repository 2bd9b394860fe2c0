import { createLimiter, systemClock } from '@sluice/core';
import { Cluster, Redis } from 'ioredis';
import { createCluster } from 'redis';
import { expect, it } from 'vitest';
import { RedisCluster } from '../../../test/support/redis/cluster.ts';
import { RedisServer } from '../../../test/support/redis/server.ts';
import { until } from '../../../test/support/redis/until.ts';
import { connectionOf } from '../src/connection.ts';
import { clientOptions, clusterOptions, fromNodeRedis, RedisStore } from '../src/index.ts';
import { ScriptRunner } from '../src/script-runner.ts';
import { ScriptStore } from '../src/script-store.ts';
import { Scripts } from '../src/scripts/scripts.ts';
import { StoreKeys } from '../src/store-keys.ts';
import { oneServer } from '../src/topology.ts';

it('what is asked for while the connection is lost is not left to a server that may have lost its counts', async () => {
  await using server = await RedisServer.start();
  // Would be back long before the deadline.
  const redis = new Redis(server.url, { ...clientOptions, retryStrategy: () => 300 });
  const store = new RedisStore(redis, { instances: 1, deadline: '10s', logger: { warn() {} } });
  const limiter = createLimiter({ policies: '10/300d', store });
  await limiter.consume('alice', 9);

  redis.disconnect(true);
  await until('the connection is lost', async () => redis.status === 'reconnecting');
  await server.cli('FLUSHALL');
  const asked = await Promise.all(Array.from({ length: 5 }, () => limiter.consume('alice')));
  expect(asked.map(({ source }) => source)).toEqual(Array(5).fill('fallback'));
  expect(asked.filter(({ allowed }) => allowed)).toHaveLength(1);

  await until('Redis decides', async () => (await limiter.peek('bob')).source === 'store');
  expect(await limiter.consume('alice')).toMatchObject({ allowed: false, source: 'store' });
  await store.close();
  redis.disconnect();
});

it('probes that wait for a connection are one when it comes', async () => {
  await using server = await RedisServer.start();
  await server.kill();
  const redis = new Redis(server.url, clientOptions);
  redis.on('error', () => {});
  const runner = new ScriptRunner(redis, connectionOf(redis), new Scripts(), {
    clock: systemClock,
    deadline: 10_000_000,
    sendsAgain: false,
  });
  const store = new ScriptStore(runner, new StoreKeys('ratelimit'), oneServer);
  const probes = Array.from({ length: 20 }, () => store.probe('redis'));
  await server.restart();
  await Promise.all(probes);
  expect(await server.cli('INFO', 'commandstats')).toMatch(/cmdstat_eval:calls=1,/);
  await store.probe('redis');
  expect(await server.cli('INFO', 'commandstats')).toMatch(/cmdstat_evalsha:calls=2,/);
  redis.disconnect();
});

it.each(['ioredis', 'node-redis'])(
  'a master of a cluster that starts anew without its counts, while nobody asks, is told of them: %s',
  async (name) => {
    const cluster = await RedisCluster.start({ args: ['--cluster-node-timeout', '15000'] });
    const client = name === 'ioredis' ? ofIoredis(cluster.ports) : await ofNodeRedis(cluster.ports);
    const store = new RedisStore(client.client, { instances: 1, deadline: '5s', logger: { warn() {} } });
    const limiter = createLimiter({ policies: '100/300d', store });
    await store.ready('30s');
    expect(await limiter.consume('alice', 51)).toMatchObject({ allowed: true, source: 'store' });

    const master = await cluster.masterOf('{alice}');
    await master.kill();
    await master.restart();
    await cluster.settled();
    await until('the client is connected to it again', async () => (await limiter.peek('alice', 0)).source === 'store');
    expect((await limiter.consume('alice')).remaining).toBeLessThanOrEqual(48);
    await store.close();
    client.close();
    await cluster.stop();
  },
);

function ofIoredis(ports: readonly number[]) {
  const client = new Cluster(
    ports.map((port) => ({ host: '127.0.0.1', port })),
    clusterOptions,
  );
  client.on('error', () => {});
  return { client, close: () => client.disconnect() };
}

async function ofNodeRedis(ports: readonly number[]) {
  const client = createCluster({ rootNodes: ports.map((port) => ({ url: `redis://127.0.0.1:${port}` })) });
  const adapted = fromNodeRedis(client);
  await client.connect();
  return { client: adapted, close: () => client.destroy() };
}
