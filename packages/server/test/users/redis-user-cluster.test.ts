import { systemClock } from '@sluice/core';
import { clusterOptions } from '@sluice/redis';
import { Cluster } from 'ioredis';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { RedisCluster } from '../../../../test/support/redis/cluster.ts';
import { until } from '../../../../test/support/redis/until.ts';
import { RedisUserDirectory, type RedisUserDirectoryOptions } from '../../src/users/redis-user-directory.ts';
import { bucket, directorySuite } from './directory-suite.ts';

let nodes: RedisCluster;
const clients: Cluster[] = [];
beforeAll(async () => {
  nodes = await RedisCluster.start();
  for (let i = 0; i < 4; i++) clients.push(await connect());
});
afterAll(async () => {
  for (const client of clients) client.disconnect();
  await nodes?.stop();
});

async function connect(): Promise<Cluster> {
  const client = new Cluster([...nodes.urls], clusterOptions);
  client.on('error', () => {});
  await new Promise<void>((resolve) => client.once('ready', resolve));
  return client;
}

function open(i: number, options: Partial<RedisUserDirectoryOptions>): RedisUserDirectory {
  return new RedisUserDirectory({
    ...{ client: clients[i]!, subscriber: clients[i + 1]!, prefix: 'ratelimit', ttl: 86_400_000, maxUsers: 1_000 },
    ...{ clock: systemClock, logger: { warn: () => {} } },
    ...options,
  });
}

async function flush(): Promise<void> {
  for (const master of await nodes.masters()) await master.cli('FLUSHALL');
}

directorySuite(
  'a RedisUserDirectory on a cluster',
  async (options) => {
    await flush();
    return open(0, options);
  },
  { flood: 20_000 },
);

describe('on a cluster', () => {
  test('instances hear of changes, and expired users are cleared away on all nodes', async () => {
    await flush();
    const [a, b] = [open(0, { ttl: 400, sweepEvery: 30 }), open(2, { ttl: 400, sweepEvery: 30 })];
    try {
      const ids = Array.from({ length: 50 }, (_, i) => `user-${i}`);
      await Promise.all(ids.map((id) => b.see(id)));
      await a.set('user-7', bucket);
      await until('b knows', async () => (await b.see('user-7')).limits !== undefined);
      await until('one is left', async () => (await clients[0]!.smembers('ratelimit:users')).join() === 'user-7');
    } finally {
      await Promise.all([a.close(), b.close()]);
    }
  });
});
