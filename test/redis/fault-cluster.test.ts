import { createLimiter } from '@sluice/core';
import { RedisStore } from '@sluice/redis';
import type { Cluster } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RedisCluster } from '../support/redis/cluster.js';
import type { RedisServer } from '../support/redis/server.js';
import { until } from '../support/redis/until.js';
import { clientOf } from './support/fault-clients.js';
import { type Ask, FaultLoad, now, type Phase } from './support/fault-load.js';
import { excess, isBounded, phaseOf } from './support/fault-trial.js';

let cluster: RedisCluster;
let load: FaultLoad;

beforeAll(async () => {
  cluster = await RedisCluster.start();
  load = await FaultLoad.start({ client: 'cluster', ports: cluster.ports });
});
afterAll(async () => {
  await load?.end();
  await cluster?.stop();
});

const ownerOf = (key: string) => cluster.masterOf(`{${key}}`);

/** The keys of a phase that this master keeps. */
async function keysOf(master: RedisServer, { hot, keys }: Phase): Promise<ReadonlySet<string>> {
  const kept = new Set<string>();
  for (const key of [hot, ...keys]) if ((await ownerOf(key)) === master) kept.add(key);
  return kept;
}

/** Waits for a decision of Redis on the key that is asked for most. */
function seesHot(what: string, { hot }: Phase, after: number, isSuch: (ask: Ask) => boolean = () => true) {
  const isThis = (ask: Ask) => ask.at > after && ask.key === hot && ask.source === 'store' && isSuch(ask);
  return load.sees(`${what} of Redis`, isThis);
}

async function move(key: string, from: RedisServer, to: RedisServer, during: () => Promise<unknown>): Promise<void> {
  await cluster.moveSlot(await cluster.slotOf(`{${key}}`), from, to, async () => {
    await during();
  });
}

describe('a cluster, with requests running', () => {
  /** The master that a slot was moved away from. */
  let moved: RedisServer;

  it('moves a slot from master to master: Redis goes on deciding, and no unit is counted twice or forgotten', async () => {
    const phase = phaseOf({ name: 'moved', algorithm: 'token-bucket' }, 'slot');
    moved = await ownerOf(phase.hot);
    const to = (await cluster.masters()).find((master) => master !== moved)!;
    load.begin(phase);
    await seesHot('a grant', phase, 0, ({ allowed }) => allowed);
    await move(phase.hot, moved, to, () => seesHot('a decision', phase, now()));
    await seesHot('a refusal', phase, now(), ({ allowed }) => !allowed);
    isBounded(load);
    expect(excess([load], phase)).toEqual([]);
    expect(await ownerOf(phase.hot)).toBe(to);
  });

  it('moves a slot while keys are new in it: Redis decides on them where they will be', async () => {
    // The same client by another algorithm is another key in the same slot.
    const phase = { ...phaseOf({ name: 'moved', algorithm: 'sliding-window-log' }, 'slot'), name: 'moved on' };
    const from = await ownerOf(phase.hot);
    // Not back, so that the first key which was seen on that master is there no more.
    const to = (await cluster.masters()).find((master) => master !== from && master !== moved)!;
    await move(phase.hot, from, to, async () => {
      load.begin(phase);
      await seesHot('a grant', phase, 0, ({ allowed }) => allowed);
      const key = `ratelimit:sliding-window-log:{${phase.hot}}:hot`;
      await expect(from.cli('EXISTS', key)).rejects.toThrow('ASK');
    });
    await seesHot('a refusal', phase, now(), ({ allowed }) => !allowed);
    isBounded(load);
    expect(excess([load], phase)).toEqual([]);
  });

  it('moves a slot while a client has some of its keys in it and not others: he is answered all the same', async () => {
    const client = clientOf({ client: 'cluster', ports: cluster.ports }) as Cluster;
    const store = new RedisStore(client, { instances: 1, logger: { warn() {} } });
    const hourly = { name: 'hourly', limit: 10, window: '1h' } as const;
    const few = createLimiter({ policies: hourly, store });
    const both = createLimiter({ policies: [hourly, { name: 'daily', limit: 100, window: '1d' }], store });
    try {
      await expect.poll(async () => (await few.consume('user')).source).toBe('store');
      const from = await ownerOf('user');
      const to = (await cluster.masters()).find((master) => master !== from)!;
      await move('user', from, to, async () => {
        // Redis says TRYAGAIN until all keys are in one place.
        expect(await both.consume('user')).toMatchObject({ allowed: true, source: 'fallback' });
      });
      await expect.poll(async () => (await both.consume('user')).source).toBe('store');
    } finally {
      await store.close();
      client.disconnect();
    }
  });

  it('loses a master: its keys are decided on in the process until a replica takes over, the others by Redis', async () => {
    const lost = moved;
    let phase: Phase;
    for (let i = 0; ; i++) {
      phase = phaseOf({ name: 'lost', algorithm: 'fixed-window' }, `master-${i}`);
      if ((await ownerOf(phase.hot)) === lost) break;
    }
    const address = `127.0.0.1:${lost.port}`;
    const [replica] = await cluster.replicasOf(lost);
    const its = await keysOf(lost, phase);
    load.begin(phase);
    for (const name of [phase.hot, ...phase.keys]) {
      await load.sees(
        `a grant for ${name}`,
        ({ key, source, allowed }) => key === name && source === 'store' && allowed,
      );
    }
    const killed = now();
    await lost.kill();
    await load.sees('a refusal by the process', ({ at, key, source, allowed }) => {
      return at > killed && key === phase.hot && source === 'fallback' && !allowed;
    });
    await until('the replica has taken over', async () => (await replica!.cli('ROLE')).startsWith('master'));
    const back = now();
    for (const name of its) {
      const first = await load.sees(`a decision of Redis on ${name}`, ({ at, key, source }) => {
        return at > back && key === name && source === 'store';
      });
      expect(first.at + first.took - back, `ms until Redis decides on ${name} again`).toBeLessThanOrEqual(2_000);
    }
    await load.sees('a refusal by Redis', ({ at, key, source, allowed }) => {
      return at > back && key === phase.hot && source === 'store' && !allowed;
    });
    isBounded(load);
    expect(excess([load], phase)).toEqual([]);
    // Probes go to the very master that is lost, and do not find that it is well.
    const isPremature = ({ circuit, to, at }: (typeof load.changes)[number]) =>
      circuit === address && to === 'closed' && at > killed && at < back;
    expect(load.changes.filter(isPremature)).toEqual([]);
    // Meanwhile Redis has decided on each key of the other masters.
    const meanwhile = load.asks.filter(({ at, source }) => at > killed && at < back && source === 'store');
    const decided = new Set(meanwhile.map(({ key }) => key));
    expect(phase.keys.filter((key) => !its.has(key) && !decided.has(key))).toEqual([]);
  });
});
