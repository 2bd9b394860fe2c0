import { clientOptions } from '@sluice/redis';
import { ManualClock } from '@sluice/testing';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FaultProxy } from '../../../../test/support/redis/fault-proxy.ts';
import type { RedisServer } from '../../../../test/support/redis/server.ts';
import { until } from '../../../../test/support/redis/until.ts';
import { RedisAnalytics } from '../../src/analytics/redis-analytics.ts';
import { places } from '../../src/analytics/tally.ts';
import { connected, withServer } from '../support/redis.ts';
import { analyticsSuite, totals } from './analytics-suite.ts';
import { decision } from './decision.ts';

const minute = 60_000;
const hour = 60 * minute;
const start = Date.UTC(2026, 0, 10, 12);
const query = { from: start, to: start + hour, by: 'rule', step: hour } as const;
const silent = { warn() {} };

let redis: Redis;
let server: RedisServer;
withServer((client, its) => {
  redis = client;
  server = its;
});
beforeEach(() => redis.flushall());

function open(clock: ManualClock, client = redis, logger: { warn(message: string): void } = silent): RedisAnalytics {
  return new RedisAnalytics({ client, prefix: 'ratelimit', logger, clock });
}

analyticsSuite(async (clock) => open(clock));

describe('analytics in Redis', () => {
  it('add up exactly over instances that count at the same time', async () => {
    const clock = new ManualClock(start);
    const instances = Array.from({ length: 4 }, () => open(clock));
    for (let round = 0; round < 50; round++) {
      for (const [i, instance] of instances.entries()) {
        for (let n = 0; n <= i; n++)
          instance.count(decision({ rule: `r${n}`, outcome: n === 1 ? 'refused' : 'allowed' }));
      }
      void Promise.all(instances.map((instance) => instance.flush()));
      if (round % 10 === 9) clock.advance(minute);
    }
    await Promise.all(instances.map((instance) => instance.flush()));
    for (const instance of instances) {
      expect(totals(await instance.series(query))).toEqual({
        r0: [200, 0, 0],
        r1: [0, 150, 0],
        r2: [100, 0, 0],
        r3: [50, 0, 0],
      });
      expect(await instance.top({ by: 'requests', n: 1, window: hour })).toEqual([
        { key: 'user:alice', count: 500, error: 0 },
      ]);
    }
    await Promise.all(instances.map((instance) => instance.close()));
  });

  it('are handed over half a second after a count, without being asked, and not when nothing was counted', async () => {
    const clock = new ManualClock(start);
    const analytics = open(clock);
    const other = open(clock);
    expect(clock.pending).toBe(0);
    analytics.count(decision({ rule: 'a' }));
    expect(clock.pending).toBe(1);
    clock.advance(500);
    await until('the other instance sees it', async () => 'a' in totals(await other.series(query)));
    await until('nothing is left to do', async () => clock.pending === 0);
  });

  it('are counted once where the reply to a hand-over is lost, and once where the hand-over was', async () => {
    const proxy = await FaultProxy.to(server.port);
    const client = await connected(proxy.url);
    try {
      const clock = new ManualClock(start);
      const analytics = open(clock, client);
      for (let i = 0; i < 10; i++) {
        analytics.count(decision({ rule: 'a' }));
        if (i % 2 === 0) proxy.cutAfterRequest();
        else proxy.cut();
        await expect(analytics.flush()).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
        // Counted while nobody knows whether the one before has arrived.
        analytics.count(decision({ rule: 'b' }));
        if (i % 3 === 0) clock.advance(minute);
        proxy.pass();
        await until('the client is connected again', async () => client.status === 'ready');
        await analytics.flush();
      }
      expect(totals(await analytics.series(query))).toEqual({ a: [10, 0, 0], b: [10, 0, 0] });
      expect(await analytics.top({ by: 'requests', n: 1, window: hour })).toMatchObject([{ count: 20, error: 0 }]);
    } finally {
      client.disconnect();
      await proxy.close();
    }
  });

  it('go on while Redis is down, and are handed over to the minutes in which they were counted', async () => {
    const proxy = await FaultProxy.to(server.port);
    const client = await connected(proxy.url);
    try {
      const warnings: string[] = [];
      const clock = new ManualClock(start);
      const analytics = open(clock, client, { warn: (message) => void warnings.push(message) });
      proxy.refuse();
      proxy.cut();
      await until('the client has noticed', async () => client.status !== 'ready');
      for (let i = 0; i < 5; i++) {
        for (let n = 0; n <= i; n++) analytics.count(decision({ rule: 'a' }));
        await expect(analytics.flush()).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
        clock.advance(minute);
      }
      expect(warnings).toHaveLength(1);
      expect(warnings[0]).toMatch(/^Analytics are kept in memory until Redis takes them: /);
      proxy.pass();
      await until('the client is connected again', async () => client.status === 'ready');
      await analytics.flush();
      const [line] = await open(clock).series({ ...query, to: start + 5 * minute, step: minute });
      expect(line!.points.map(({ allowed }) => allowed)).toEqual([1, 2, 3, 4, 5]);
    } finally {
      client.disconnect();
      await proxy.close();
    }
  });

  it('are handed over without being asked when Redis is back, also if nothing more was counted', async () => {
    const proxy = await FaultProxy.to(server.port);
    const client = await connected(proxy.url);
    try {
      const warnings: string[] = [];
      const clock = new ManualClock(start);
      const analytics = open(clock, client, { warn: (message) => void warnings.push(message) });
      proxy.refuse();
      proxy.cut();
      await until('the client has noticed', async () => client.status !== 'ready');
      analytics.count(decision({ rule: 'a' }));
      clock.advance(500);
      await until('it has failed, and will try again', async () => warnings.length === 1 && clock.pending === 1);
      proxy.pass();
      await until('the client is connected again', async () => client.status === 'ready');
      clock.advance(500);
      const other = open(clock);
      await until('the other instance sees it', async () => 'a' in totals(await other.series(query)));
    } finally {
      client.disconnect();
      await proxy.close();
    }
  });

  it('wait in memory for a day at the most, and say how much was lost', async () => {
    const client = await connected(server.url);
    const warnings: string[] = [];
    const clock = new ManualClock(start);
    const analytics = open(clock, client, { warn: (message) => void warnings.push(message) });
    client.disconnect();
    await until('the client has noticed', async () => client.status === 'end');
    for (let i = 0; i < 1_450; i++) {
      analytics.count(decision({ rule: 'a' }));
      clock.advance(minute);
    }
    void client.connect().catch(() => {});
    await until('the client is connected again', async () => client.status === 'ready');
    await analytics.flush();
    expect(warnings.at(-1)).toBe('Analytics of 10 minutes are lost: Redis was away for more than a day.');
    const days = totals(await analytics.series({ ...query, from: start - hour, to: start + 30 * hour }));
    expect(days).toEqual({ a: [1_440, 0, 0] });
    client.disconnect();
  });

  it('are a script away from a server that has forgotten its scripts', async () => {
    const analytics = open(new ManualClock(start));
    for (let i = 0; i < 2; i++) {
      await redis.script('FLUSH');
      analytics.count(decision({ rule: 'a' }));
      await analytics.flush();
    }
    expect(totals(await analytics.series(query))).toEqual({ a: [2, 0, 0] });
  });

  it('answer with an error when Redis hangs', async () => {
    const proxy = await FaultProxy.to(server.port);
    const client = new Redis(proxy.url, { ...clientOptions, socketTimeout: 60_000 });
    client.on('error', () => {});
    try {
      await until('the client is ready', async () => client.status === 'ready');
      const analytics = new RedisAnalytics({ client, prefix: 'ratelimit', logger: silent });
      analytics.count(decision());
      proxy.hang();
      const now = Date.now();
      const span = { from: now - hour, to: now + hour, by: 'rule', step: hour } as const;
      const answers = await Promise.allSettled([
        analytics.series(span),
        analytics.top({ by: 'requests', n: 1, window: hour }),
        analytics.flush(),
      ]);
      for (const answer of answers) {
        expect(answer).toMatchObject({ status: 'rejected', reason: { code: 'STORE_UNAVAILABLE' } });
      }
      expect((answers[0] as PromiseRejectedResult).reason.message).toMatch(/has not answered within \d+ ms/);
    } finally {
      client.disconnect();
      await proxy.close();
    }
  });

  it('keep every key under one hash tag, and every one with an end', async () => {
    const clock = new ManualClock(start);
    const analytics = open(clock);
    analytics.count(decision({ outcome: 'refused' }));
    await analytics.flush();
    const keys = await redis.keys('*');
    expect(keys).toHaveLength(11);
    const day = 86_400;
    for (const key of keys) {
      expect(key).toMatch(/^ratelimit:\{analytics\}:(minute|hour|top|handed-over):/);
      const kept = key.includes(':minute:') ? day : key.includes(':top:') ? 3_600 : 30 * day;
      const left = await redis.ttl(key);
      expect(left).toBeGreaterThanOrEqual(kept);
      expect(left).toBeLessThanOrEqual(kept + 2 * day);
    }
  });

  it('have a bounded number of names, however many instances invent them', async () => {
    const clock = new ManualClock(start);
    const instances = Array.from({ length: 5 }, () => open(clock));
    for (const [i, instance] of instances.entries()) {
      for (let n = 0; n < 1_000; n++) instance.count(decision({ endpoint: `/${i}/${n}` }));
      await instance.flush();
    }
    for (const key of await redis.keys('*:endpoint'))
      expect(await redis.hlen(key)).toBeLessThanOrEqual(2 * places.endpoint + 1);
    const sums = Object.values(totals(await instances[0]!.series({ ...query, by: 'endpoint' })));
    expect(sums.reduce((sum, [allowed]) => sum + allowed, 0)).toBe(5_000);
    await Promise.all(instances.map((instance) => instance.close()));
  });

  it('are handed over a hundred names at a time, and wholly', async () => {
    const analytics = open(new ManualClock(start));
    for (let i = 0; i < 450; i++) analytics.count(decision({ rule: `r${i}`, tier: `t${i % 90}` }));
    await analytics.flush();
    expect(await redis.get((await redis.keys('*:handed-over:*'))[0]!)).toBe('6');
    // An answer tells a hundred names apart at the most.
    const rules = await redis.hgetall(`ratelimit:{analytics}:minute:${start / minute}:rule`);
    expect(rules).toEqual(Object.fromEntries(Array.from({ length: 450 }, (_, i) => [`r${i}`, '1 0 0 1 0 0 0 0 0'])));
    const tiers = totals(await analytics.series({ ...query, by: 'tier' }));
    expect(tiers).toEqual(Object.fromEntries(Array.from({ length: 90 }, (_, i) => [`t${i}`, [5, 0, 0]])));
  });

  it('add up numbers beyond 32 bits without losing any', async () => {
    const analytics = open(new ManualClock(start));
    analytics.count(decision({ rule: 'a' }));
    await analytics.flush();
    const key = `ratelimit:{analytics}:minute:${start / minute}:rule`;
    await redis.hset(key, 'a', `${2 ** 52} 0 0 ${2 ** 52} 0 0 0 0 0`);
    analytics.count(decision({ rule: 'a' }));
    await analytics.flush();
    expect(totals(await analytics.series(query))).toEqual({ a: [2 ** 52 + 1, 0, 0] });
  });

  describe('whose key holds something else', () => {
    let warnings: string[];
    let analytics: RedisAnalytics;
    beforeEach(() => {
      warnings = [];
      analytics = open(new ManualClock(start), redis, { warn: (message) => void warnings.push(message) });
    });
    afterEach(() => analytics.close());

    it.each([
      ['of another type', (key: string) => redis.set(key, 'x')],
      ['that is no tally', (key: string) => redis.hset(key, 'a', 'x')],
    ])('%s say so, lose that part wholly, and go on', async (_what, poison) => {
      const key = `ratelimit:{analytics}:hour:${start / hour}:tier`;
      await poison(key);
      await redis.hset(key, '(none)', '1').catch(() => {});
      analytics.count(decision({ rule: 'a' }));
      await analytics.flush();
      expect(warnings).toHaveLength(1);
      expect(warnings[0]).toContain('Some analytics are lost, since Redis keeps something else under their keys');
      // Nothing of it was written: not the half of it that came before.
      expect(await redis.keys('*')).toEqual([key]);
      await redis.del(key);
      analytics.count(decision({ rule: 'a' }));
      await analytics.flush();
      expect(totals(await analytics.series(query))).toEqual({ a: [1, 0, 0] });
    });

    it('tell a query which key it is', async () => {
      await redis.set(`ratelimit:{analytics}:minute:${start / minute}:rule`, 'x');
      await expect(analytics.series(query)).rejects.toThrow(
        `What Redis keeps under ratelimit:{analytics}:minute:${start / minute}:rule is not what analytics are kept as. Delete it`,
      );
    });
  });
});
