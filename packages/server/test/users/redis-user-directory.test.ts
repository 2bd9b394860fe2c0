import { type Clock, systemClock } from '@sluice/core';
import { ManualClock } from '@sluice/testing';
import type { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { RedisServer } from '../../../../test/support/redis/server.ts';
import { until } from '../../../../test/support/redis/until.ts';
import { RedisUserDirectory, type RedisUserDirectoryOptions } from '../../src/users/redis-user-directory.ts';
import { connected, withServer } from '../support/redis.ts';
import { bucket, directorySuite, queue } from './directory-suite.ts';

const day = 86_400_000;
let redis: Redis;
let server: RedisServer;
withServer((client, itsServer) => {
  redis = client;
  server = itsServer;
});

const open: { close(): Promise<void> }[] = [];
beforeEach(() => redis.flushall());
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
});

interface Instance extends RedisUserDirectory {
  readonly warnings: readonly string[];
  readonly subscriber: Redis;
  readonly client: Redis;
}

/** As an instance of the service would have it, with connections of its own. */
async function instance(options: Partial<RedisUserDirectoryOptions> = {}): Promise<Instance> {
  const client = await connected(server.url);
  const subscriber = await connected(server.url);
  const warnings: string[] = [];
  const logger = { warn: (message: string) => warnings.push(message) };
  const defaults = { prefix: 'ratelimit', ttl: 30 * day, maxUsers: 1_000, clock: systemClock as Clock };
  const users = new RedisUserDirectory({ client, subscriber, logger, ...defaults, ...options });
  open.push({
    async close() {
      await users.close();
      client.disconnect();
      subscriber.disconnect();
    },
  });
  return Object.assign(users, { warnings, subscriber, client });
}

/** How often commands have been called since the last `CONFIG RESETSTAT`. */
async function calls(command: string): Promise<number> {
  const stats = await redis.info('commandstats');
  return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(stats)?.[1] ?? 0);
}

const hearing = (channel = 'ratelimit:{users}:changed', count = 1) =>
  until('the channel is subscribed to', async () => {
    const [, subscribers] = (await redis.pubsub('NUMSUB', channel)) as [string, number];
    return Number(subscribers) >= count;
  });

directorySuite('a RedisUserDirectory', async ({ clock, maxUsers }) => {
  await redis.flushall();
  return instance({ clock, maxUsers });
});

describe('what Redis keeps of users', () => {
  test('is a set of ids, and a hash for each with the limits and times', async () => {
    const clock = new ManualClock();
    const users = await instance({ clock });
    await users.set('alice', bucket);
    clock.advance(1_000);
    await users.set('bob', queue);
    await users.see('carol');
    await until('all three are listed', async () => (await redis.scard('ratelimit:users')) === 3);
    expect((await redis.keys('*')).sort()).toEqual([
      'ratelimit:users',
      'ratelimit:users:{alice}',
      'ratelimit:users:{bob}',
      'ratelimit:users:{carol}',
    ]);
    expect((await redis.smembers('ratelimit:users')).sort()).toEqual(['alice', 'bob', 'carol']);
    const [first, second] = ['2026-01-01T00:00:00.000Z', '2026-01-01T00:00:01.000Z'];
    expect(await redis.hgetall('ratelimit:users:{alice}')).toEqual({
      max_tokens: '10',
      refill_rate: '0.000001',
      created_at: first,
      updated_at: first,
    });
    expect(await redis.hgetall('ratelimit:users:{bob}')).toEqual({
      capacity: '1000000000',
      leak_rate: '123456.789',
      created_at: second,
      updated_at: second,
    });
    expect(await redis.hgetall('ratelimit:users:{carol}')).toEqual({ created_at: second, updated_at: second });
  });

  test('names ids by their digest that must not stand in a key', async () => {
    const users = await instance();
    for (const id of ['a}b', 'x'.repeat(65), 'api-key:secret']) await users.set(id, bucket);
    await users.see('{c}');
    await until('all four are listed', async () => (await redis.scard('ratelimit:users')) === 4);
    const names = await redis.smembers('ratelimit:users');
    for (const name of names) expect(name).toMatch(/^#[\w-]{22}$/);
    const keys = await redis.keys('ratelimit:users:*');
    expect(keys.sort()).toEqual(names.map((name) => `ratelimit:users:{${name}}`).sort());
    const ids = await Promise.all(keys.map((key) => redis.hget(key, 'id')));
    expect(ids.sort()).toEqual(['api-key:secret', 'a}b', 'x'.repeat(65), '{c}']);
  });

  test('expires with users who have no limits of their own, and with no others', async () => {
    const users = await instance({ ttl: 30 * day });
    await users.see('alice');
    await users.see('bob');
    await users.set('bob', bucket);
    expect(await redis.pttl('ratelimit:users:{alice}')).toBeGreaterThan(29 * day);
    expect(await redis.pttl('ratelimit:users:{bob}')).toBe(-1);
  });

  test('is kept longer when a user is seen again, and told so once a minute', async () => {
    const clock = new ManualClock();
    const users = await instance({ clock });
    const key = 'ratelimit:users:{alice}';
    const look = async (wait: number) => {
      clock.advance(wait);
      await users.see('alice');
      // What was read in the background is through.
      await users.find('alice');
      return redis.pttl(key);
    };
    await look(0);
    await redis.pexpire(key, 500_000);
    expect(await look(30_000)).toBeLessThanOrEqual(500_000);
    expect(await look(29_000)).toBeLessThanOrEqual(500_000);
    expect(await look(1_001)).toBeGreaterThan(29 * day);
  });

  test('is forgotten of a user nobody has seen, and his name is cleared away', async () => {
    const users = await instance({ ttl: 400, sweepEvery: 30 });
    await users.set('vip', bucket);
    for (let i = 0; i < 600; i++) await users.see(`user-${i}`);
    await until('only one is left', async () => (await redis.smembers('ratelimit:users')).join() === 'vip');
    expect(await redis.keys('ratelimit:users:*')).toEqual(['ratelimit:users:{vip}']);
    await until('that is noticed', async () => users.size === 1);
  });

  test('may be written by hand', async () => {
    const users = await instance();
    await users.see('alice');
    await redis.hset('ratelimit:users:{alice}', { max_tokens: 5, refill_rate: 0.5 });
    await redis.hset('ratelimit:users:{bob}', { capacity: 5, leak_rate: 2 });
    const limits = { algorithm: 'token-bucket', max_tokens: 5, refill_rate: 0.5 };
    await until('the limits are in force', async () => (await users.see('alice')).limits !== undefined);
    expect(await users.find('alice')).toMatchObject({ limits });
    expect((await users.see('bob')).limits).toEqual({ algorithm: 'leaky-bucket', capacity: 5, leak_rate: 2 });
    // Another instance sees him for the first time.
    await (await instance()).see('alice');
    expect(await redis.pttl('ratelimit:users:{alice}')).toBe(-1);
    await until('he is listed', async () => (await redis.sismember('ratelimit:users', 'bob')) === 1);
  });

  test.each([
    ['max_tokens without refill_rate', { max_tokens: '5' }, "has no field 'refill_rate'"],
    ['both pairs', { max_tokens: '5', refill_rate: '1', capacity: '5', leak_rate: '1' }, 'has the fields of both'],
    ['a rate that is none', { max_tokens: '5', refill_rate: 'fast' }, 'has "fast" as \'refill_rate\''],
    ['a capacity of 0', { capacity: '0', leak_rate: '1' }, "'capacity' is an integer from 1"],
  ])('is refused where it is %s, by name, and the user is as everybody', async (_, fields, why) => {
    const users = await instance();
    await users.see('bob');
    await redis.hset('ratelimit:users:{alice}', fields);
    await redis.sadd('ratelimit:users', 'alice');
    expect((await users.see('alice')).limits).toBeUndefined();
    expect(users.warnings.join()).toContain(why);
    expect(users.warnings.join()).toContain('ratelimit:users:{alice}');
    await expect(users.find('alice')).rejects.toMatchObject({ status: 503, detail: expect.stringContaining(why) });
    await until('bob is shown', async () => (await users.page(10)).users.map(({ id }) => id).join() === 'bob');
    await users.set('alice', bucket);
    expect(await users.find('alice')).toMatchObject({ limits: bucket });
  });

  test('is one user’s trouble where a key is of another type', async () => {
    const users = await instance();
    await redis.set('ratelimit:users:{alice}', 'x');
    for (let i = 0; i < 5; i++) expect((await users.see('alice')).limits).toBeUndefined();
    await users.set('bob', bucket);
    expect((await (await instance()).see('bob')).limits).toEqual(bucket);
    expect((await users.set('alice', bucket)).limits).toEqual(bucket);
    expect(await users.find('alice')).toMatchObject({ limits: bucket });
  });

  test('lists a user who came back while he was being removed', async () => {
    const [a, b] = [await instance(), await instance()];
    await a.see('alice');
    await until('she is listed', async () => a.size === 1);
    const srem = b.client.srem.bind(b.client) as (...args: unknown[]) => Promise<number>;
    b.client.srem = (async (...args: unknown[]) => {
      await until('she has come back', async () => {
        await a.see('alice');
        return (await redis.exists('ratelimit:users:{alice}')) === 1;
      });
      return srem(...args);
    }) as typeof b.client.srem;
    expect(await b.remove('alice')).toBe(true);
    expect(await redis.smembers('ratelimit:users')).toEqual(['alice']);
    expect((await a.page(10)).users).toMatchObject([{ id: 'alice' }]);
  });
});

describe('several instances', () => {
  test('know at once what one of them has set or removed', async () => {
    // Their clocks stand still: what they have read never gets old.
    const [a, b] = [await instance({ clock: new ManualClock() }), await instance({ clock: new ManualClock() })];
    await hearing(undefined, 2);
    for (const id of ['alice', 'ä']) {
      await b.see(id);
      await a.set(id, bucket);
      await until('b knows', async () => (await b.see(id)).limits !== undefined);
      expect((await b.see(id)).limits).toEqual(bucket);
      await a.remove(id);
      await until('b knows', async () => (await b.see(id)).limits === undefined);
    }
  });

  test('know it after a second where they did not hear of it', async () => {
    const clock = new ManualClock();
    const [a, b] = [await instance({ clock }), await instance({ clock })];
    b.subscriber.disconnect();
    await until('b is deaf', async () => b.subscriber.status === 'end');
    await b.see('alice');
    await a.set('alice', bucket);
    clock.advance(1_000);
    expect(b.see('alice')).toMatchObject({ limits: undefined });
    clock.advance(0.001);
    expect((await b.see('alice')).limits).toEqual(bucket);
  });

  test('do not answer from before they listened again', async () => {
    const clock = new ManualClock();
    const [a, b] = [await instance({ clock }), await instance({ clock })];
    await hearing(undefined, 2);
    await b.see('alice');
    b.subscriber.disconnect();
    await until('b is deaf', async () => b.subscriber.status === 'end');
    await a.set('alice', bucket);
    clock.advance(5_000);
    await b.subscriber.connect();
    await hearing(undefined, 2);
    expect((await b.see('alice')).limits).toEqual(bucket);
  });

  test('answer at once while they listen, and read again meanwhile', async () => {
    const clock = new ManualClock();
    const users = await instance({ clock });
    await hearing();
    await until('what is read is relied on', async () => {
      clock.advance(2_000);
      const seen = users.see('alice');
      await seen;
      return !(seen instanceof Promise);
    });
    // What was read meanwhile is answered before this, on the same connection, and taken in: no read is under way.
    await users.find('alice');
    await new Promise(setImmediate);
    await redis.config('RESETSTAT');
    clock.advance(1_500);
    expect(users.see('alice')).not.toBeInstanceOf(Promise);
    await until('it was read again', async () => (await calls('evalsha')) === 1);
    expect(users.see('alice')).not.toBeInstanceOf(Promise);
    await users.find('alice');
    expect(await calls('evalsha')).toBe(1);
  });

  test('read a user once, however many ask at a time', async () => {
    const users = await instance();
    await users.see('bob');
    await until('bob is listed', async () => users.size === 1);
    await redis.config('RESETSTAT');
    const seen = await Promise.all(Array.from({ length: 1_000 }, () => users.see('alice')));
    expect(new Set(seen).size).toBe(1);
    await until('alice is listed', async () => users.size === 2);
    // One read, and one to list her.
    expect(await calls('evalsha')).toBe(2);
    expect(await calls('eval')).toBe(0);
  });

  test('have no more users than they may together', async () => {
    const all = await Promise.all([1, 2, 3].map(() => instance({ maxUsers: 50 })));
    await Promise.all(all.flatMap((users, i) => Array.from({ length: 100 }, (_, j) => users.see(`${i}-${j}`))));
    await Promise.all(all.map((users) => users.close()));
    expect(await redis.scard('ratelimit:users')).toBe(50);
    // Whoever found no room was taken back.
    expect((await redis.keys('ratelimit:users:*')).length).toBe(50);
  });
});
