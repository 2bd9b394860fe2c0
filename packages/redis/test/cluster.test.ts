import { once } from 'node:events';
import { compilePolicies } from '@sluice/core';
import { Cluster, Redis } from 'ioredis';
import { createCluster } from 'redis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RedisCluster } from '../../../test/support/redis/cluster.ts';
import { until } from '../../../test/support/redis/until.ts';
import { fromNodeRedis, type RedisClient, RedisStore } from '../src/index.ts';
import { conforms, patient } from './support/conforms.ts';

describe('on a cluster, a RedisStore conforms', () => {
  let cluster: RedisCluster;
  let redis: Cluster;
  beforeAll(async () => {
    cluster = await RedisCluster.start();
    redis = new Cluster(cluster.ports.map((port) => ({ host: '127.0.0.1', port })));
    await once(redis, 'ready');
  });
  afterAll(async () => {
    redis.disconnect();
    await cluster.stop();
  });
  const flush = () => Promise.all(redis.nodes('master').map((master) => master.flushall()));

  describe('with a Cluster of ioredis', () => conforms(() => redis, flush));

  describe('with a cluster of node-redis', () => {
    const open = () => createCluster({ rootNodes: cluster.urls.map((url) => ({ url })) });
    let nodeRedis: ReturnType<typeof open>;
    let client: RedisClient;
    beforeAll(async () => {
      nodeRedis = open();
      client = fromNodeRedis(nodeRedis);
      await nodeRedis.connect();
    });
    afterAll(() => nodeRedis.destroy());
    conforms(() => client, flush);
  });
  it('goes on after the scripts of one server were flushed, and grants exactly the limit', async () => {
    const store = new RedisStore(redis, patient);
    const [policy] = compilePolicies([{ limit: 5, window: '300d', algorithm: 'fixed-window' }], 'test');
    const keys = Array.from({ length: 30 }, (_, i) => `flushed:${i}`);
    const take = (key: string) => store.consume([{ policy: policy!, key, cost: 1 }]);
    for (const key of keys) await take(key);
    const [master] = await cluster.masters();
    const decisions = keys.flatMap((key) => Array.from({ length: 10 }, () => take(key)));
    const flushed = master!.cli('SCRIPT', 'FLUSH');
    const answers = (await Promise.all(decisions)).map(([decision]) => decision!);
    await flushed;
    const more = await Promise.all(keys.map(take));
    expect(answers.filter(({ allowed }) => allowed)).toHaveLength(4 * keys.length);
    expect(more.filter(([decision]) => decision!.allowed)).toHaveLength(0);
  });

  it('sends what one turn asks of a server in few pieces, though each key is decided by itself', async () => {
    const store = new RedisStore(redis, patient);
    const [policy] = compilePolicies([{ limit: 5, window: '300d', algorithm: 'fixed-window' }], 'test');
    const take = (key: string) => store.consume([{ policy: policy!, key, cost: 1 }]);
    const keys = Array.from({ length: 300 }, (_, i) => `gathered:${i}`);
    await Promise.all(keys.map(take));
    const masters = await cluster.masters();
    const read = async () => {
      const stats = await Promise.all(masters.map((master) => master.cli('INFO', 'stats')));
      return stats.reduce((sum, text) => sum + Number(/^total_reads_processed:(\d+)/m.exec(text)?.[1]), 0);
    };
    const before = await read();
    const answers = await Promise.all(keys.map(take));
    const pieces = (await read()) - before;
    expect(answers.map(([decision]) => decision!.remaining)).toEqual(keys.map(() => 3));
    // Nodes talk to one another and to whoever asks for these numbers, too.
    expect(pieces).toBeLessThan(keys.length / 5);
  });

  it('says what to do where the client knows only one server of the cluster', async () => {
    const [master, other] = await cluster.masters();
    const key = await until('a key of another server', async () => {
      const name = `k${Math.random()}`;
      return (await cluster.masterOf(`{${name}}`)) === other && name;
    });
    const single = new Redis(master!.url);
    const warnings: string[] = [];
    const store = new RedisStore(single, { instances: 1, logger: { warn: (message) => warnings.push(message) } });
    const [policy] = compilePolicies(['5/1m'], 'test');
    expect(await store.consume([{ policy: policy!, key, cost: 1 }])).toMatchObject([{ source: 'fallback' }]);
    expect(warnings.join('\n')).toMatch(/the server belongs to a cluster.*new Cluster\(\[/);
    await store.close();
    single.disconnect();
  });
});
