import { type Charge, compilePolicies } from '@sluice/core';
import { Cluster } from 'ioredis';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { RedisCluster } from '../../../test/support/redis/cluster.ts';
import type { RedisServer } from '../../../test/support/redis/server.ts';
import { until } from '../../../test/support/redis/until.ts';
import { clusterOptions, RedisStore } from '../src/index.ts';

const [policy] = compilePolicies([{ limit: 1_000, window: '300d', algorithm: 'fixed-window' }], 'test');

let cluster: RedisCluster;
const ends: (() => unknown)[] = [];
beforeAll(async () => {
  cluster = await RedisCluster.start({ args: ['--cluster-replica-no-failover', 'yes'] });
});
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});
afterAll(() => cluster?.stop());

/** A store whose clients are on two masters: one that is to fail, and one that is well. */
async function setUp() {
  const [failing, well] = (await cluster.masters()) as [RedisServer, RedisServer];
  const client = new Cluster(
    cluster.ports.map((port) => ({ host: '127.0.0.1', port })),
    clusterOptions,
  );
  client.on('error', () => {});
  const opened = new Set<string>();
  const store = new RedisStore(client, {
    instances: 1,
    // So long that a busy machine does not make the one late that is well.
    deadline: '500ms',
    logger: { warn() {} },
    onStateChange: ({ circuit, to }) => to === 'open' && opened.add(circuit),
  });
  ends.push(
    () => store.close(),
    () => client.disconnect(),
  );
  const chargeOn = async (master: RedisServer): Promise<Charge> => {
    const key = await until('a key of that master', async () => {
      const name = `k${Math.random()}`;
      return (await cluster.masterOf(`{${name}}`)) === master && name;
    });
    return { policy: policy!, key, cost: 1 };
  };
  const charges = [await chargeOn(failing), await chargeOn(well)];
  await until('Redis decides on both', async () => (await store.consume(charges))[0]!.source === 'store');
  opened.clear();
  const addressOf = ({ port }: RedisServer) => `127.0.0.1:${port}`;
  return { store, charges, opened, failing, well, fails: addressOf(failing), isWell: addressOf(well) };
}

it('a master that hangs is not asked any more, and the other one that its requests need still is', async () => {
  const { store, charges, opened, failing, fails } = await setUp();
  await failing.pause();
  ends.push(() => failing.resume());
  await Promise.all(Array.from({ length: 12 }, () => store.consume(charges)));
  expect([...opened]).toEqual([fails]);
  expect(await store.consume(charges.slice(1))).toMatchObject([{ source: 'store' }]);
});

it('a master that is gone is not asked any more, and the other one that its requests need still is', async () => {
  const { store, charges, opened, failing, fails, isWell } = await setUp();
  await failing.kill();
  // Many at once, so that they fail before the other one has answered any.
  await until('the circuit is open', async () => {
    await Promise.all(Array.from({ length: 20 }, () => store.consume(charges)));
    return opened.has(fails);
  });
  expect([...opened]).toEqual([fails]);
  expect(store.states.get(isWell)).toBe('closed');
});
