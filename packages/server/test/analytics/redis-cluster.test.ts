import { clusterOptions } from '@sluice/redis';
import { ManualClock } from '@sluice/testing';
import { Cluster } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RedisCluster } from '../../../../test/support/redis/cluster.ts';
import { until } from '../../../../test/support/redis/until.ts';
import { RedisAnalytics } from '../../src/analytics/redis-analytics.ts';
import { totals } from './analytics-suite.ts';
import { decision } from './decision.ts';

const minute = 60_000;
const start = Date.UTC(2026, 0, 10, 12);

describe('analytics in a cluster', () => {
  let cluster: RedisCluster;
  let clients: readonly Cluster[];
  beforeAll(async () => {
    cluster = await RedisCluster.start();
    clients = [0, 1].map(() => {
      const nodes = cluster.ports.map((port) => ({ host: '127.0.0.1', port }));
      const client = new Cluster(nodes, clusterOptions);
      client.on('error', () => {});
      return client;
    });
    await until('the clients are ready', async () => clients.every(({ status }) => status === 'ready'));
  });
  afterAll(async () => {
    for (const client of clients ?? []) client.disconnect();
    await cluster?.stop();
  });

  it('add up over instances, and a day of minutes is read', async () => {
    const clock = new ManualClock(start);
    const [a, b] = clients.map((client) => new RedisAnalytics({ client, prefix: 'p', logger: { warn() {} }, clock }));
    for (let i = 0; i < 24; i++) {
      a!.count(decision({ rule: 'x' }));
      b!.count(decision({ rule: 'x', outcome: 'refused' }));
      await Promise.all([a!.flush(), b!.flush()]);
      clock.advance(60 * minute);
    }
    const [line] = await b!.series({ from: start, to: start + 1_440 * minute, by: 'rule', step: minute });
    expect(line!.points).toHaveLength(1_440);
    expect(totals([line!])).toEqual({ x: [24, 24, 0] });
    expect(await a!.top({ by: 'refused', n: 1, window: 60 * minute })).toEqual([
      { key: 'user:alice', count: 1, error: 0 },
    ]);
    await Promise.all([a!.close(), b!.close()]);
  });

  it('add up exactly when their slot moves to another master', async () => {
    const clock = new ManualClock(start);
    const [a, b] = clients.map((client) => new RedisAnalytics({ client, prefix: 'q', logger: { warn() {} }, clock }));
    const flushed = async (analytics: RedisAnalytics) => {
      await until('it is handed over', () => analytics.flush().then(() => true));
    };
    for (const analytics of [a!, b!]) {
      analytics.count(decision({ rule: 'x' }));
      await flushed(analytics);
    }
    const slot = await cluster.slotOf('q:{analytics}:x');
    const from = await cluster.masterOf(slot);
    const to = (await cluster.masters()).find((master) => master !== from)!;
    await cluster.moveSlot(slot, from, to, async () => {
      for (const analytics of [a!, b!]) {
        analytics.count(decision({ rule: 'x' }));
        await analytics.flush().catch(() => {});
      }
    });
    for (const analytics of [a!, b!]) {
      analytics.count(decision({ rule: 'x' }));
      await flushed(analytics);
    }
    const query = { from: start, to: start + minute, by: 'rule', step: minute } as const;
    const series = await until('it can be read', () => b!.series(query));
    expect(totals(series)).toEqual({ x: [6, 0, 0] });
  });
});
