import { type Clock, systemClock } from '@sluice/core';
import type { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { RedisServer } from '../../../../test/support/redis/server.ts';
import { until } from '../../../../test/support/redis/until.ts';
import { RedisUserDirectory, type RedisUserDirectoryOptions } from '../../src/users/redis-user-directory.ts';
import { connected } from '../support/redis.ts';
import { bucket, queue } from './directory-suite.ts';

let server: RedisServer;
let client: Redis;
let subscriber: Redis;
let users: RedisUserDirectory;
let warnings: string[];
let infos: string[];

async function begin(options: Partial<RedisUserDirectoryOptions> = {}, args: readonly string[] = []): Promise<void> {
  server = await RedisServer.start({ args });
  client = await connected(server.url, { socketTimeout: 10_000 });
  subscriber = await connected(server.url);
  warnings = [];
  infos = [];
  const logger = { warn: (text: string) => void warnings.push(text), info: (text: string) => void infos.push(text) };
  const defaults = { prefix: 'ratelimit', ttl: 3_600_000, maxUsers: 1_000, clock: systemClock as Clock };
  users = new RedisUserDirectory({ client, subscriber, logger, ...defaults, ...options });
}

beforeEach(() => {
  warnings = [];
});
afterEach(async () => {
  if (server.isPaused) server.resume();
  await users.close();
  client.disconnect();
  subscriber.disconnect();
  await server.stop();
});

describe('a Redis that hangs', () => {
  test('leaves users with the limits last known, and others with none of their own', async () => {
    await begin();
    await users.set('alice', bucket);
    await server.pause();
    for (let i = 0; i < 20; i++) {
      expect((await users.see('alice')).limits).toEqual(bucket);
      expect((await users.see(`new-${i}`)).limits).toBeUndefined();
    }
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain('Redis has not answered within 100 ms');
    // By now nobody waits any more.
    expect(users.see('another')).not.toBeInstanceOf(Promise);
    server.resume();
    await until('users are read again', async () => {
      await users.see('somebody');
      return infos.length === 1;
    });
    await until(
      'he is registered',
      async () => (await users.see('somebody')) && (await users.find('somebody')) !== undefined,
    );
  });

  test('refuses writes within a second, and makes none of them later', async () => {
    await begin();
    await users.set('alice', bucket);
    await users.set('bob', bucket);
    await server.pause();
    const attempts = [users.set('alice', queue), users.remove('bob'), users.find('alice'), users.page(10)];
    for (const attempt of attempts) await expect(attempt).rejects.toMatchObject({ status: 503 });
    await expect(users.set('alice', queue)).rejects.toMatchObject({
      detail: expect.stringContaining('Send the request again'),
    });
    server.resume();
    // What was sent before this has been read before it.
    await client.ping();
    expect(await users.find('alice')).toMatchObject({ limits: bucket });
    expect(await users.find('bob')).toMatchObject({ limits: bucket });
    expect(await users.set('alice', queue)).toMatchObject({ limits: queue });
  });

  test('does not make a write that it has read after its deadline', async () => {
    await begin();
    await users.set('alice', bucket);
    // The server is asked for its time, and hangs before the write.
    const evalsha = client.evalsha.bind(client) as (...args: unknown[]) => Promise<unknown>;
    let asked = 0;
    client.evalsha = (async (...args: unknown[]) => {
      if (++asked === 2) await server.pause();
      return evalsha(...args);
    }) as typeof client.evalsha;
    await expect(users.set('alice', queue)).rejects.toMatchObject({ status: 503 });
    expect(asked).toBe(2);
    server.resume();
    await client.ping();
    expect(await users.find('alice')).toMatchObject({ limits: bucket });
  });
});

describe('a Redis that is gone', () => {
  test('is answered for at once, and asked again when it is back', async () => {
    await begin();
    await users.set('alice', bucket);
    await server.kill();
    await until('that is noticed', async () => client.status !== 'ready');
    expect((await users.see('alice')).limits).toEqual(bucket);
    expect((await users.see('new')).limits).toBeUndefined();
    await expect(users.set('alice', queue)).rejects.toMatchObject({ status: 503 });
    await expect(users.find('alice')).rejects.toMatchObject({ status: 503 });
    await server.restart();
    await until('limits can be set', async () => (await users.set('alice', queue)).limits === queue);
    await until('users are registered', async () => {
      await users.see('new');
      return (await users.page(10)).users.length === 2;
    });
  });

  test('is heard of again, with its scripts forgotten', async () => {
    await begin();
    await server.restart();
    await until('the channel is subscribed to', async () =>
      (await server.cli('PUBSUB', 'NUMSUB', 'ratelimit:{users}:changed')).endsWith('1'),
    );
    await until('it is set', async () => (await users.set('alice', bucket)).limits === bucket);
    expect(await users.remove('alice')).toBe(true);
  });
});

describe('a Redis without memory', () => {
  test('registers nobody, and knows the limits of those who have some', async () => {
    await begin();
    await users.set('alice', bucket);
    await server.cli('CONFIG', 'SET', 'maxmemory', '1');
    expect((await users.see('bob')).limits).toBeUndefined();
    expect(await users.find('bob')).toBeUndefined();
    const other = new RedisUserDirectory({
      ...{ client, subscriber, prefix: 'ratelimit', ttl: 3_600_000, maxUsers: 10, clock: systemClock },
      logger: { warn: (text) => void warnings.push(text) },
    });
    expect((await other.see('alice')).limits).toEqual(bucket);
    await other.close();
    expect(warnings).toEqual([]);
    await expect(users.set('carol', bucket)).rejects.toMatchObject({ status: 503 });
    await server.cli('CONFIG', 'SET', 'maxmemory', '0');
    expect(await users.find('carol')).toBeUndefined();
    expect((await users.set('carol', bucket)).limits).toEqual(bucket);
  });
});
