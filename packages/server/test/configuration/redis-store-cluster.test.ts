import { clusterOptions } from '@sluice/redis';
import { Cluster } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { RedisCluster } from '../../../../test/support/redis/cluster.ts';
import type { RedisServer } from '../../../../test/support/redis/server.ts';
import { until } from '../../../../test/support/redis/until.ts';
import { RedisConfigurationStore } from '../../src/configuration/redis-store.ts';
import { ruleChange } from './store-suite.ts';

let servers: RedisCluster;
const clients: Cluster[] = [];

beforeAll(async () => {
  servers = await RedisCluster.start();
});
afterAll(async () => {
  for (const client of clients) client.disconnect();
  await servers?.stop();
});

async function store(): Promise<RedisConfigurationStore> {
  const client = new Cluster(
    servers.ports.map((port) => ({ host: '127.0.0.1', port })),
    clusterOptions,
  );
  client.on('error', () => {});
  clients.push(client);
  await new Promise<void>((resolve) => client.once('ready', resolve));
  return new RedisConfigurationStore(client);
}

test('instances on a cluster share one configuration, hear of its changes, and go on after a failover', async () => {
  const [a, b] = [await store(), await store()];
  let heard = 0;
  b.onChange(() => heard++);
  await until('it has subscribed', async () => heard > 0);
  const before = heard;
  expect(await a.write(ruleChange('login'), 'me', 'absent')).toMatchObject({ outcome: 'written' });
  await until('the write is heard of', async () => heard > before);
  expect((await b.load()).rules.get('login')).toMatchObject({ version: 1 });
  expect(await b.audit(10)).toHaveLength(1);

  const key = 'ratelimit:{config}:version';
  const master = await servers.masterOf(key);
  const [replica] = await servers.replicasOf(master);
  const offsetOf = async (node: RedisServer, name: string) =>
    Number(new RegExp(`${name}:(\\d+)`).exec(await node.cli('INFO', 'replication'))?.[1]);
  const reached = await offsetOf(master, 'master_repl_offset');
  await until('the replica has it', async () => (await offsetOf(replica!, 'slave_repl_offset')) >= reached);
  await master.kill();
  // Each attempt is answered within its bounds, and says whether it was made.
  const written = await until('a write is made again', () => a.write(ruleChange('other'), 'me', 'absent'));
  expect(written).toMatchObject({ outcome: 'written', entry: { version: 2 } });
  expect([...(await until('it is read', () => b.load())).rules.keys()]).toEqual(['login', 'other']);
});
