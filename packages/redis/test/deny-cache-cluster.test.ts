import { once } from 'node:events';
import { compilePolicies } from '@sluice/core';
import { ManualClock } from '@sluice/testing';
import { Cluster, Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RedisCluster } from '../../../test/support/redis/cluster.ts';
import { until } from '../../../test/support/redis/until.ts';
import { RedisStore } from '../src/index.ts';
import { patient } from './support/conforms.ts';

const [limit] = compilePolicies([{ algorithm: 'token-bucket', limit: 3, window: '1h' }], 'test');
const one = (key: string, cost = 1) => [{ policy: limit!, key, cost }];
/** Keys of all masters. */
const keys = Array.from({ length: 12 }, (_, i) => `user:${i}`);

describe('what another process gives back in a cluster', () => {
  let cluster: RedisCluster;
  let redis: Cluster;
  let nodes: { host: string; port: number }[];
  beforeAll(async () => {
    cluster = await RedisCluster.start();
    nodes = cluster.ports.map((port) => ({ host: '127.0.0.1', port }));
    redis = new Cluster(nodes);
    await once(redis, 'ready');
  });
  afterAll(async () => {
    redis.disconnect();
    await cluster.stop();
  });

  async function refuse(store: RedisStore, key: string): Promise<void> {
    await store.consume(one(key, 3));
    expect(await store.consume(one(key))).toMatchObject([{ allowed: false, source: 'store' }]);
    expect(await store.consume(one(key))).toMatchObject([{ allowed: false, source: 'deny-cache' }]);
  }

  const isGranted = async (store: RedisStore, key: string) => {
    const [decision] = await store.consume(one(key));
    return decision!.allowed && decision!.source === 'store';
  };

  it('is heard of whatever server keeps the key, by a subscriber to any of them', async () => {
    const subscriber = new Redis(nodes[0]!);
    const store = new RedisStore(redis, { ...patient, denyCache: { subscriber, recheck: '1h' } });
    try {
      await until('it hears', async () => {
        const heard = once(subscriber, 'message', { signal: AbortSignal.timeout(200) });
        await redis.publish('ratelimit:freed', 'nobody');
        return heard;
      });
      const other = new RedisStore(redis, patient);
      for (const [i, key] of keys.entries()) {
        await refuse(store, key);
        if (i % 2 === 0) await other.reset(key, [limit!]);
        else await other.release(one(key));
      }
      for (const key of keys) await until(`${key} is heard of`, () => isGranted(store, key));
    } finally {
      await store.close();
      subscriber.disconnect();
    }
  });

  it('counts as unheard of after a second where a Cluster listens, which cannot tell that it does not hear', async () => {
    const subscriber = new Cluster(nodes);
    await once(subscriber, 'ready');
    const clock = new ManualClock();
    const store = new RedisStore(redis, { ...patient, clock, prefix: 'two', denyCache: { subscriber, recheck: '1h' } });
    try {
      await until('it hears', async () => {
        const heard = once(subscriber, 'message', { signal: AbortSignal.timeout(200) });
        await redis.publish('two:freed', 'nobody');
        return heard;
      });
      await refuse(store, 'alice');
      await new RedisStore(redis, { ...patient, prefix: 'two' }).reset('alice', [limit!]);
      await until('it is heard of', () => isGranted(store, 'alice'));
      await refuse(store, 'bob');
      clock.advance(999.999);
      expect(await store.consume(one('bob'))).toMatchObject([{ source: 'deny-cache' }]);
      clock.advance(0.001);
      expect(await store.consume(one('bob'))).toMatchObject([{ allowed: false, source: 'store' }]);
    } finally {
      await store.close();
      subscriber.disconnect();
    }
  });
});
