import { createLimiter } from '@sluice/core';
import { Cluster, Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { RedisServer } from '../../../test/support/redis/server.ts';
import { until } from '../../../test/support/redis/until.ts';
import { clientWarning } from '../src/client-settings.ts';
import { clientOptions, clusterOptions, RedisStore } from '../src/index.ts';

let server: RedisServer;
const clients: (Redis | Cluster)[] = [];
beforeAll(async () => {
  server = await RedisServer.start();
});
afterEach(() => {
  for (const client of clients.splice(0)) client.disconnect();
});
afterAll(() => server?.stop());

function opened<T extends Redis | Cluster>(client: T): T {
  clients.push(client);
  return client;
}

/** What a store warns of at its first decisions. */
async function warningsOf(redis: Redis): Promise<string[]> {
  const warnings: string[] = [];
  const logger = { warn: (message: string) => void warnings.push(message) };
  const store = new RedisStore(redis, { instances: 1, deadline: '10s', logger });
  const limiter = createLimiter({ policies: '100/1h', store });
  await store.ready();
  await limiter.consume('alice');
  // The script that asks how the server is set has gone out before the decision's, and is answered before it.
  await limiter.consume('alice');
  await store.close();
  return warnings;
}

describe('at its first use, a store', () => {
  it('warns of nothing where all is well', async () => {
    expect(await warningsOf(opened(new Redis(server.url, clientOptions)))).toEqual([]);
  });

  it('warns once of a client that queues and sends again, and names what to set', async () => {
    const warnings = await warningsOf(opened(new Redis(server.url)));
    expect(warnings).toHaveLength(1);
    for (const option of ['enableOfflineQueue: false', 'autoResendUnfulfilledCommands: false', 'clientOptions']) {
      expect(warnings[0]).toContain(option);
    }
  });

  it('warns of a client that goes on with a connection that is silent, and of nothing else', async () => {
    const options: Record<string, unknown> = { ...clientOptions };
    delete options.socketTimeout;
    const warnings = await warningsOf(opened(new Redis(server.url, options)));
    expect(warnings).toEqual([expect.stringMatching(/is set so that it goes on for minutes.*'socketTimeout: 1000'/)]);
    expect(warnings[0]).not.toContain('deadline');
  });

  it('warns of a server that evicts, if it can be full', async () => {
    const redis = opened(new Redis(server.url, clientOptions));
    await until('the client is ready', async () => redis.status === 'ready');
    await redis.config('SET', 'maxmemory-policy', 'allkeys-lru');
    expect(await warningsOf(redis)).toEqual([]);
    await redis.config('SET', 'maxmemory', '100mb');
    const [warning] = await warningsOf(redis);
    expect(warning).toMatch(/may evict .*maxmemory-policy allkeys-lru.*noeviction/);
    // The keys of limits expire, so that these are evicted first.
    await redis.config('SET', 'maxmemory-policy', 'volatile-lru');
    expect(await warningsOf(redis)).toHaveLength(1);
    await redis.config('SET', 'maxmemory-policy', 'noeviction');
    expect(await warningsOf(redis)).toEqual([]);
  });

  it('warns of a replica, which takes no writes', async () => {
    await using replica = await RedisServer.start({ args: ['--replicaof', '127.0.0.1', String(server.port)] });
    const warnings = await warningsOf(opened(new Redis(replica.url, clientOptions)));
    expect(warnings.join('\n')).toMatch(/is a replica, and takes no writes/);
  });
});

it('a cluster client is told of its own options', () => {
  const node = [{ host: '127.0.0.1', port: server.port }];
  const usual = clientWarning(opened(new Cluster(node, { lazyConnect: true })));
  expect(usual).toContain('retryDelayOnFailover: 0');
  expect(usual).toContain('redisOptions: { socketTimeout: 1000 }');
  const options = { ...clusterOptions, lazyConnect: true, enableAutoPipelining: true };
  expect(clientWarning(opened(new Cluster(node, options)))).toMatch(/enableAutoPipelining: false/);
});

describe('ready()', () => {
  it('waits until the server is there', async () => {
    const late = await RedisServer.start();
    await late.kill();
    const store = new RedisStore(opened(new Redis(late.url, { ...clientOptions })), {
      instances: 1,
      logger: { warn() {} },
    });
    let isReady = false;
    const ready = store.ready('1m').then(() => {
      isReady = true;
    });
    await until('the circuit is open', async () => store.states.get('redis') !== 'closed' && store.states.size > 0);
    expect(isReady).toBe(false);
    await late.restart();
    await ready;
    await store.close();
    await late.stop();
  });

  it('rejects at once when the store is closed, also where it waits already', async () => {
    const redis = opened(new Redis({ ...clientOptions, port: 1, host: '127.0.0.1' }));
    redis.on('error', () => {});
    const store = new RedisStore(redis, { instances: 1, logger: { warn() {} } });
    const closed = expect.objectContaining({ code: 'CLOSED' });
    const waiting = expect(store.ready('366d')).rejects.toEqual(closed);
    await store.close();
    await waiting;
    await expect(store.ready('366d')).rejects.toEqual(closed);
  });

  it('says when it has waited long enough, and why', async () => {
    const redis = opened(new Redis({ ...clientOptions, port: 1, host: '127.0.0.1' }));
    redis.on('error', () => {});
    const store = new RedisStore(redis, { instances: 1, logger: { warn() {} } });
    await expect(store.ready(100)).rejects.toMatchObject({
      code: 'STORE_UNAVAILABLE',
      message: expect.stringMatching(/has not answered within 100/),
      cause: expect.anything(),
    });
    await store.close();
  });
});
