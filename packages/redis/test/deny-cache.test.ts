import { once } from 'node:events';
import { type Charge, compilePolicies, type Decision, type PolicyInput } from '@sluice/core';
import { ManualClock } from '@sluice/testing';
import { Redis } from 'ioredis';
import { afterEach, describe, expect, it } from 'vitest';
import type { RedisServer } from '../../../test/support/redis/server.ts';
import { until } from '../../../test/support/redis/until.ts';
import { clientOptions, type RedisDenyCacheOptions, RedisStore, type RedisStoreOptions } from '../src/index.ts';
import { commandsOf } from './support/commands.ts';
import { patient } from './support/conforms.ts';
import { withServer } from './support/server.ts';

let redis: Redis;
let server: RedisServer;
withServer((client, its) => {
  redis = client;
  server = its;
});

const compiled = (input: PolicyInput) => compilePolicies([input], 'test')[0]!;
const limit = compiled({ algorithm: 'token-bucket', limit: 3, window: '1h' });

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
  await redis.flushall();
});

function client(options = {}): Redis {
  const made = new Redis({ ...clientOptions, port: server.port, host: '127.0.0.1', ...options });
  made.on('error', () => {});
  closers.push(() => made.disconnect());
  return made;
}

function storeOf(denyCache: boolean | RedisDenyCacheOptions, options: Partial<RedisStoreOptions> = {}): RedisStore {
  // One that sends nothing again: over others, a busy machine can be too late to give units back.
  const store = new RedisStore(client(), { ...patient, denyCache, ...options } as RedisStoreOptions);
  closers.push(() => store.close());
  return store;
}

function chargeOf(key: string, cost = 1, policy = limit): Charge {
  return { policy, key, cost };
}

/** Who decides now on one more unit: `'deny-cache'`, or `'store'`, and whether it is granted. */
async function ask(store: RedisStore, key: string): Promise<string> {
  const [decision] = (await store.consume([chargeOf(key)])) as readonly Decision[];
  return `${decision!.allowed ? 'granted' : 'refused'} by ${decision!.source}`;
}

/** Takes all, and has the store remember a refusal. */
async function exhaust(store: RedisStore, key: string): Promise<void> {
  await store.consume([chargeOf(key, 3)]);
  expect(await ask(store, key)).toBe('refused by store');
  expect(await ask(store, key)).toBe('refused by deny-cache');
}

/** Resolves when what is published from now on is heard by that subscriber, and by the stores that it tells. */
async function untilHeard(subscriber: Redis, channel = 'ratelimit:freed'): Promise<void> {
  await until('the subscriber has subscribed', async () => (await listenersTo(channel)) > 0);
  const heard = once(subscriber, 'message');
  await redis.publish(channel, 'nobody');
  await heard;
}

async function listenersTo(channel: string): Promise<number> {
  const [, listeners] = (await redis.call('PUBSUB', 'NUMSUB', channel)) as [string, number];
  return listeners;
}

/** A store that hears what others give back, once it does. */
async function hearing(options: RedisDenyCacheOptions = {}, more: Partial<RedisStoreOptions> = {}) {
  const subscriber = client();
  const store = storeOf({ subscriber, ...options }, more);
  await untilHeard(subscriber);
  return { store, subscriber };
}

describe('a RedisStore with a deny cache', () => {
  it('asks Redis nothing for what it has refused', async () => {
    const store = storeOf(true);
    await exhaust(store, 'alice');
    await redis.config('RESETSTAT');
    const answer = store.consume([chargeOf('alice')]);
    expect(Array.isArray(answer)).toBe(true);
    expect(answer).toMatchObject([{ allowed: false, limit: 3, remaining: 0, source: 'deny-cache' }]);
    expect((await commandsOf(redis)).get('evalsha')).toBe(undefined);
  });

  it('has one only where it is told to', async () => {
    for (const store of [storeOf(false), new RedisStore(client(), patient)]) {
      await store.consume([chargeOf('alice', 3)]);
      for (let i = 0; i < 2; i++) expect(await ask(store, 'alice')).toBe('refused by store');
    }
  });

  it('grants what it has given back itself', async () => {
    const store = storeOf(true);
    await exhaust(store, 'alice');
    await store.release([chargeOf('alice')]);
    expect(await ask(store, 'alice')).toBe('granted by store');
    await exhaust(store, 'alice');
    await store.takeBack([chargeOf('alice')]);
    expect(await ask(store, 'alice')).toBe('granted by store');
    await exhaust(store, 'alice');
    await store.reset('alice', [limit]);
    expect(await ask(store, 'alice')).toBe('granted by store');
  });

  it('grants what is asked for right behind a reset', async () => {
    const store = storeOf(true);
    await exhaust(store, 'alice');
    const done = store.reset('alice', [limit]);
    expect(await ask(store, 'alice')).toBe('granted by store');
    await done;
  });

  it('remembers for limiters that answer otherwise what it remembers for all', async () => {
    const store = storeOf(true);
    await exhaust(store, 'alice');
    const denying = store.answering('deny');
    expect(denying.consume([chargeOf('alice')])).toMatchObject([{ source: 'deny-cache' }]);
    await denying.release([chargeOf('alice')]);
    expect(await ask(store, 'alice')).toBe('granted by store');
  });

  it('refuses by what it remembers while Redis is down, and lets `onError` answer what it does not know', async () => {
    const clock = new ManualClock();
    const store = storeOf({ recheck: '1m' }, { onError: 'deny', clock });
    await exhaust(store, 'alice');
    await server.pause();
    try {
      expect(await ask(store, 'alice')).toBe('refused by deny-cache');
      const answer = store.consume([chargeOf('bob')]);
      await clock.pass(10_000);
      // The deadline has passed, and what lay in the socket has been read.
      expect(await answer).toMatchObject([{ allowed: false, source: 'closed' }]);
      expect(await store.consume([chargeOf('alice')])).toMatchObject([{ source: 'deny-cache' }]);
    } finally {
      server.resume();
    }
  });

  it('closes without the client, and remembers nothing any more', async () => {
    const { store, subscriber } = await hearing();
    await exhaust(store, 'alice');
    await store.close();
    await expect(async () => store.consume([chargeOf('alice')])).rejects.toMatchObject({ code: 'CLOSED' });
    expect(['connecting', 'connect', 'ready']).toContain(subscriber.status);
  });
});

describe('what another process gives back', () => {
  it.each([
    ['a reset', (other: RedisStore, key: string) => other.reset(key, [limit])],
    ['a refund', (other: RedisStore, key: string) => other.release([chargeOf(key)])],
    [
      'a reset among other calls',
      (other: RedisStore, key: string) => {
        void other.peek([chargeOf(key)]);
        void other.peek([chargeOf(key)]);
        return other.reset(key, [limit]);
      },
    ],
    [
      'a refund among other calls',
      (other: RedisStore, key: string) => {
        void other.peek([chargeOf(key)]);
        void other.peek([chargeOf(key)]);
        return other.release([chargeOf(key)]);
      },
    ],
  ])('is granted as soon as it is heard of: %s', async (_what, giveBack) => {
    const { store, subscriber } = await hearing({ recheck: '1h' });
    const other = new RedisStore(client(), patient);
    for (const key of ['alice', 'ip:203.0.113.7', 'user@example.org']) {
      await exhaust(store, key);
      await exhaust(store, 'bob');
      const heard = once(subscriber, 'message');
      await giveBack(other, key);
      expect(await heard).toEqual(['ratelimit:freed', key]);
      expect(await ask(store, key)).toBe('granted by store');
      expect(await ask(store, 'bob')).toBe('refused by deny-cache');
      await store.reset('bob', [limit]);
    }
  });

  it('is granted too where the key is known by its digest only', async () => {
    const { store, subscriber } = await hearing({ recheck: '1h' });
    const key = 'a key with spaces {}';
    await exhaust(store, key);
    const heard = once(subscriber, 'message');
    await new RedisStore(client(), patient).reset(key, [limit]);
    expect(await heard).toEqual(['ratelimit:freed', expect.stringMatching(/^##/)]);
    expect(await ask(store, key)).toBe('granted by store');
  });

  it('is told of only where the key had no unit left', async () => {
    const { store, subscriber } = await hearing();
    const heard: string[] = [];
    subscriber.on('message', (_channel, key) => heard.push(key));
    const other = new RedisStore(client(), patient);
    await store.consume([chargeOf('alice', 2)]);
    await other.release([chargeOf('alice')]);
    await store.consume([chargeOf('alice', 2)]);
    const second = once(subscriber, 'message');
    await other.release([chargeOf('alice')]);
    await second;
    expect(heard).toEqual(['alice']);
  });

  it('is told of by the name of the store, and by what the client puts before it', async () => {
    const prefixed = client({ keyPrefix: '{app}:' });
    const subscriber = prefixed.duplicate();
    subscriber.on('error', () => {});
    closers.push(() => subscriber.disconnect());
    const store = new RedisStore(prefixed, { ...patient, prefix: 'api', denyCache: { subscriber, recheck: '1h' } });
    closers.push(() => store.close());
    await untilHeard(subscriber, '{app}:api:freed');
    await exhaust(store, 'alice');
    await new RedisStore(prefixed, { ...patient, prefix: 'api' }).reset('alice', [limit]);
    await until('the refusal is void', async () => (await ask(store, 'alice')) === 'granted by store');
  });

  it('is found out within a second where nobody hears, and within ten where somebody does', async () => {
    const clock = new ManualClock();
    const deaf = storeOf(true, { clock });
    const { store } = await hearing({}, { clock });
    await exhaust(deaf, 'alice');
    expect(await ask(store, 'alice')).toBe('refused by store');
    await redis.del('ratelimit:token-bucket:{alice}');
    clock.advance(999.999);
    expect(await ask(deaf, 'alice')).toBe('refused by deny-cache');
    clock.advance(0.001);
    expect(await ask(deaf, 'alice')).toBe('granted by store');
    clock.advance(8_999.999);
    expect(await ask(store, 'alice')).toBe('refused by deny-cache');
    clock.advance(0.001);
    expect(await ask(store, 'alice')).toBe('granted by store');
  });

  it('may have been missed while the subscriber was not connected: all that is remembered is void then', async () => {
    const clock = new ManualClock();
    const { store, subscriber } = await hearing({ recheck: '1h' }, { clock });
    await exhaust(store, 'alice');
    const closed = once(subscriber, 'close');
    await redis.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await closed;
    expect(await ask(store, 'alice')).toBe('refused by store');
    // It connects anew in a moment, and forgets again what was refused meanwhile.
    await until('what was refused meanwhile is void', async () => (await ask(store, 'alice')) === 'refused by store');
    await untilHeard(subscriber);
    expect(await ask(store, 'alice')).toBe('refused by deny-cache');
    await new RedisStore(client(), patient).reset('alice', [limit]);
    await until('the news has come', async () => (await ask(store, 'alice')) === 'granted by store');
  });

  it('counts for a second where the subscriber is not connected', async () => {
    const clock = new ManualClock();
    const store = storeOf({ subscriber: client({ port: 1 }), recheck: '1h' }, { clock });
    await exhaust(store, 'alice');
    clock.advance(1_000);
    expect(await ask(store, 'alice')).toBe('refused by store');
  });

  it('is heard by a subscriber that waits for its first command', async () => {
    const subscriber = client({ lazyConnect: true });
    const store = storeOf({ subscriber, recheck: '1h' });
    await untilHeard(subscriber);
    await exhaust(store, 'alice');
    await new RedisStore(client(), patient).reset('alice', [limit]);
    await until('the news has come', async () => (await ask(store, 'alice')) === 'granted by store');
  });

  it('is heard by all stores that share a subscriber, until the last of them is closed', async () => {
    const { store, subscriber } = await hearing({ recheck: '1h' });
    const other = storeOf({ subscriber, recheck: '1h' });
    await exhaust(store, 'alice');
    expect(await ask(other, 'alice')).toBe('refused by store');
    await store.close();
    await new RedisStore(client(), patient).reset('alice', [limit]);
    await until('the news has come', async () => (await ask(other, 'alice')) === 'granted by store');
    expect(await listenersTo('ratelimit:freed')).toBe(1);
    await other.close();
    await until('it is unsubscribed', async () => (await listenersTo('ratelimit:freed')) === 0);
    expect(subscriber.status).toBe('ready');
  });
});

describe('users who may not publish or subscribe', () => {
  const rules = ['+evalsha', '+eval', '+time', '+get', '+set', '+del', '+ping'];
  const as = async (user: string, ...more: string[]) => {
    await redis.call('ACL', 'SETUSER', user, 'reset', 'on', '>secret', '~ratelimit:*', ...rules, ...more);
    return client({ username: user, password: 'secret', enableReadyCheck: false });
  };

  it('give units back as ever', async () => {
    const store = new RedisStore(await as('mute'), patient);
    await store.consume([chargeOf('alice', 3)]);
    await store.release([chargeOf('alice')]);
    expect(await ask(store, 'alice')).toBe('granted by store');
    await store.reset('alice', [limit]);
    expect(await store.peek([chargeOf('alice')])).toMatchObject([{ remaining: 3 }]);
  });

  it('tell of them with `+publish` and the right to the channel', async () => {
    const { store } = await hearing({ recheck: '1h' });
    await exhaust(store, 'alice');
    await new RedisStore(await as('speaking', '+publish', '&ratelimit:freed'), patient).reset('alice', [limit]);
    await until('the news has come', async () => (await ask(store, 'alice')) === 'granted by store');
  });

  it('are warned of, once, where they are to hear', async () => {
    const warnings: string[] = [];
    const logger = { warn: (message: string) => void warnings.push(message) };
    const subscriber = await as('deaf');
    const clock = new ManualClock();
    const store = storeOf({ subscriber, recheck: '1h' }, { logger, clock });
    await until('the store warns', async () => warnings.length > 0);
    expect(warnings).toEqual([expect.stringContaining("Give its user the rights '+subscribe &ratelimit:freed'")]);
    await exhaust(store, 'alice');
    clock.advance(1_000);
    expect(await ask(store, 'alice')).toBe('refused by store');
  });
});

describe('options that cannot work', () => {
  it.each([
    [5, 'INVALID_OPTION', "RedisStore: 'denyCache' takes an object of options, like denyCache: true or"],
    [{ maxkeys: 5 }, 'UNKNOWN_OPTION', 'Did you mean "maxKeys"?'],
    [{ maxKeys: 0 }, 'INVALID_OPTION', "'maxKeys' must be an integer from 1 to 1000000"],
    [{ recheck: '2h' }, 'INVALID_WINDOW', "'recheck' must be"],
    [{ subscriber: {} }, 'INVALID_OPTION', 'must be a client of ioredis'],
    [{ subscriber: null }, 'INVALID_OPTION', 'denyCache: { subscriber: redis.duplicate() }'],
  ])('as %o throw with the remedy', (denyCache, code, text) => {
    const make = () => new RedisStore(redis, { ...patient, denyCache: denyCache as RedisDenyCacheOptions });
    expect(make).toThrow(expect.objectContaining({ code, message: expect.stringContaining(text) }));
  });

  it('as the client of the store itself throw with the remedy', () => {
    const make = () => new RedisStore(redis, { ...patient, denyCache: { subscriber: redis } });
    expect(make).toThrow(/could do nothing else once it has subscribed.*redis\.duplicate\(\)/);
  });
});
