import { createLimiter, type Duration, type Limiter } from '@sluice/core';
import { Redis } from 'ioredis';
import { Redis as Redis5 } from 'ioredis5';
import { createClient } from 'redis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { FaultProxy } from '../../../test/support/redis/fault-proxy.ts';
import { RedisServer } from '../../../test/support/redis/server.ts';
import { fromNodeRedis, type RedisClient, RedisStore } from '../src/index.ts';

const limit = 100;
const policies = { limit, window: '1d', algorithm: 'token-bucket' } as const;

/** So long that a busy machine does not decide what a test sees. */
const deadline = '300ms';
/** Milliseconds after which clients connect again, which is too late for what was asked before. */
const pause = 350;

/** A client under test. */
interface Subject {
  readonly client: RedisClient;
  /** Resolves when the server has answered everything that was sent before. */
  settled(): Promise<unknown>;
  close(): unknown;
}

function subjectOf(client: Redis | Redis5): Subject {
  client.on('error', () => {});
  const settled = async () => {
    // Without an offline queue, commands fail until the client is connected.
    while (client.status !== 'ready') await new Promise((resolve) => client.once('ready', resolve));
    await client.ping();
  };
  return { client, settled, close: () => client.disconnect() };
}

const subjects: Readonly<Record<string, (port: number) => Promise<Subject>>> = {
  'a client of ioredis, which sends again what was not answered': async (port) =>
    subjectOf(new Redis(port, { retryStrategy: () => pause })),
  'a client of ioredis 5': async (port) => subjectOf(new Redis5(port, { retryStrategy: () => pause })),
  'a client of ioredis with the recommended options': async (port) =>
    subjectOf(
      new Redis(port, {
        enableOfflineQueue: false,
        maxRetriesPerRequest: 0,
        autoResendUnfulfilledCommands: false,
        retryStrategy: () => pause,
      }),
    ),
  'a client of node-redis': async (port) => {
    const client = createClient({ socket: { host: '127.0.0.1', port, reconnectStrategy: () => pause } });
    const adapted = fromNodeRedis(client);
    await client.connect();
    return { client: adapted, settled: () => client.ping(), close: () => client.destroy() };
  },
};

let server: RedisServer;
let proxy: FaultProxy;
let direct: Redis;
/** Has a connection of its own, and says what was charged. */
let witness: Limiter;
const closers: (() => unknown)[] = [];

beforeAll(async () => {
  server = await RedisServer.start();
});
afterAll(() => server.stop());
beforeEach(async () => {
  proxy = await FaultProxy.to(server.port);
  direct = new Redis(server.port);
  await direct.flushall();
  witness = createLimiter({ policies, store: storeOf(direct, '10s') });
});
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
  direct.disconnect();
  await proxy.close();
});

function storeOf(client: RedisClient, deadline: Duration): RedisStore {
  return new RedisStore(client, { instances: 1, deadline, logger: { warn() {} } });
}

async function open(create: (port: number) => Promise<Subject>, within: Duration = deadline) {
  const subject = await create(proxy.port);
  closers.push(subject.close);
  const limiter = createLimiter({ policies, store: storeOf(subject.client, within) });
  // The scripts are loaded then, and the server's clock is known as well as it will ever be.
  for (let call = 0; call < 50; call++) await limiter.consume('other');
  await limiter.release('other');
  return { ...subject, limiter };
}

const charged = async (key: string) => limit - (await witness.peek(key)).remaining;
const times = async () => Number(/cmdstat_evalsha:calls=(\d+)/.exec(await direct.info('commandstats'))?.[1] ?? 0);

for (const [name, create] of Object.entries(subjects)) {
  describe(name, () => {
    it('charges once when the connection is lost behind a call, whose answer was lost with it', async () => {
      const { limiter, settled } = await open(create);
      proxy.cutAfterRequest('EVALSHA');
      expect(await limiter.consume('key', 3)).toMatchObject({ allowed: true, source: 'fallback' });
      await settled();
      expect(await charged('key')).toBe(3);
      // What the process has granted is what Redis has charged: it is not told of it a second time.
      await expect.poll(async () => (await limiter.consume('key', 2)).source).toBe('store');
      expect((await witness.peek('key')).remaining).toBe((await limiter.peek('key')).remaining);
    });

    it('charges once when an answer is lost, and the connection only later', async () => {
      const { limiter, settled } = await open(create);
      proxy.swallowReplies(1);
      expect(await limiter.consume('key', 3)).toMatchObject({ allowed: true, source: 'fallback' });
      // The next answer is one too many for the proxy, which ends the connection.
      await settled().catch(() => {});
      await settled();
      expect(await charged('key')).toBe(3);
    });

    it('charges nothing for a call that a stopped server carries out after the deadline', async () => {
      const { limiter, settled } = await open(create);
      await server.pause();
      expect(await limiter.consume('key', 3)).toMatchObject({ allowed: true, source: 'fallback' });
      server.resume();
      await settled();
      expect(await charged('key')).toBe(0);
    });

    it('gives back once what was released when the answer was lost', async () => {
      const { limiter, settled } = await open(create);
      await limiter.consume('key', 10);
      proxy.cutAfterRequest('EVALSHA');
      await limiter.release('key', 4);
      await settled();
      expect(await charged('key')).toBe(6);
    });
  });
}

describe('a client that sends again what was not answered', () => {
  it('really does: the server is asked twice, and the second call finds that it is too late', async () => {
    const { limiter, settled } = await open(async (port) => subjectOf(new Redis(port, { retryStrategy: () => pause })));
    const before = await times();
    proxy.cutAfterRequest('EVALSHA');
    await limiter.consume('key');
    await settled();
    expect((await times()) - before).toBe(2);
    expect(await charged('key')).toBe(1);
  });

  const hasty = async (port: number) => subjectOf(new Redis(port, { retryStrategy: () => 1 }));

  it('charges twice, and says so, if it is connected again within the deadline', async () => {
    const { limiter } = await open(hasty, '10s');
    proxy.cutAfterRequest('EVALSHA');
    const decision = await limiter.consume('key', 3);
    expect(decision).toMatchObject({ allowed: true, source: 'store', remaining: limit - 6 });
    expect(await charged('key')).toBe(6);
  });

  it('gives back once after the pause of its defaults, however long the deadline', async () => {
    const { limiter, settled } = await open(async (port) => subjectOf(new Redis(port)), '10s');
    for (let i = 0; i < 3; i++) {
      await limiter.consume('key', 10);
      proxy.cutAfterRequest('EVALSHA');
      await limiter.release('key', 4);
      await settled();
      expect(await charged('key')).toBeGreaterThanOrEqual(6 * (i + 1));
    }
  });

  it('gives back twice if it is connected again at once', async () => {
    const { limiter } = await open(hasty, '10s');
    await limiter.consume('key', 10);
    proxy.cutAfterRequest('EVALSHA');
    await limiter.release('key', 4);
    expect(await charged('key')).toBe(2);
  });
});

describe('a process that decides while calls of its own are under way', () => {
  it('adds up what it has granted by itself and what Redis has granted meanwhile', async () => {
    const { limiter } = await open(async (port) => subjectOf(new Redis(port)), '1s');
    await limiter.consume('key', limit - 2);
    await server.pause();
    const first = limiter.consume('key');
    await new Promise((resolve) => setTimeout(resolve, 500));
    const second = limiter.consume('key');
    // Too late for the first, which is granted here; in time for the second.
    expect(await first).toMatchObject({ allowed: true, source: 'fallback' });
    server.resume();
    expect(await second).toMatchObject({ allowed: true, source: 'store' });
    expect(await limiter.consume('key')).toMatchObject({ allowed: false });
  });
});
