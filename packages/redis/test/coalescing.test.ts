import { once } from 'node:events';
import { type Charge, compilePolicies, type Decision, systemClock } from '@sluice/core';
import { ManualClock } from '@sluice/testing';
import fc from 'fast-check';
import type { Redis } from 'ioredis';
import { beforeEach, describe, expect, it } from 'vitest';
import { until } from '../../../test/support/redis/until.ts';
import { compile, names } from '../../core/test/algorithms/arbitraries.ts';
import type { RedisClient } from '../src/client.ts';
import { Coalescing } from '../src/coalescing.ts';
import { connectionOf } from '../src/connection.ts';
import { clientOptions, RedisStore } from '../src/index.ts';
import { Questions } from '../src/question.ts';
import { ScriptRunner } from '../src/script-runner.ts';
import { ScriptStore } from '../src/script-store.ts';
import { Scripts } from '../src/scripts/scripts.ts';
import { StoreKeys } from '../src/store-keys.ts';
import { oneServer, type Topology } from '../src/topology.ts';
import { commandsOf } from './support/commands.ts';
import { patient } from './support/conforms.ts';
import { serverTime, withServer } from './support/server.ts';

let redis: Redis;
withServer((client) => {
  redis = client;
});
beforeEach(() => redis.flushall());

const [policy] = compilePolicies([{ limit: 10, window: '300d', algorithm: 'fixed-window' }], 'test');
const charge = (key: string, cost = 1): Charge => ({ policy: policy!, key, cost });
const nameOf = (key: string) => `ratelimit:fixed-window:{${key}}`;

/** A client whose calls reach the server when a test says so. */
class HeldClient implements RedisClient {
  /** How many keys each call has that is held back. */
  readonly calls: number[] = [];
  /** What calls failed with, but for scripts that the server did not know. */
  readonly errors: string[] = [];
  #held: (() => void)[] = [];

  evalsha(sha: string, keys: number, ...rest: string[]): Promise<unknown> {
    return this.#hold(keys, () => redis.evalsha(sha, keys, ...rest));
  }

  eval(script: string, keys: number, ...rest: string[]): Promise<unknown> {
    return this.#hold(keys, () => redis.eval(script, keys, ...rest));
  }

  /** Lets through what is held back now, in order, and resolves when it has been answered. */
  async pass(): Promise<void> {
    for (const send of this.#held.splice(0)) send();
    this.calls.length = 0;
    await redis.ping();
    await redis.ping();
  }

  /** Lets everything through until nothing comes any more. */
  async passAll(): Promise<void> {
    while (this.#held.length > 0) await this.pass();
  }

  #hold(keys: number, send: () => Promise<unknown>): Promise<unknown> {
    this.calls.push(keys);
    return new Promise((resolve, reject) => {
      const fail = (error: Error) => {
        if (!error.message.startsWith('NOSCRIPT')) this.errors.push(error.message);
        reject(error);
      };
      this.#held.push(() => void send().then(resolve, fail));
    });
  }
}

function heldStore({ topology = oneServer, deadline = 10_000_000, clock = systemClock, sendsAgain = false } = {}) {
  const client = new HeldClient();
  const runner = new ScriptRunner(client, connectionOf(client), new Scripts(), { clock, deadline, sendsAgain });
  const store = new ScriptStore(runner, new StoreKeys('ratelimit'), topology);
  /** The scripts are loaded then, and the server's clock is known. */
  const warmUp = async () => {
    const first = store.consume([charge('warm')]);
    await client.passAll();
    const more = [store.consume([charge('warm')]), store.consume([charge('warm')]), store.consume([charge('warm')])];
    await client.passAll();
    await Promise.all([first, ...more]);
  };
  return { client, runner, store, warmUp };
}

describe('calls that come while one is under way', () => {
  it('go together when it is answered, and one that comes while nothing is under way goes at once', async () => {
    const { client, store, warmUp } = heldStore();
    await warmUp();
    const asked = Array.from({ length: 16 }, (_, i) => store.consume([charge(`user:${i}`)]));
    expect(client.calls).toEqual([1]);
    await new Promise((resolve) => setImmediate(resolve));
    expect(client.calls).toEqual([1]);
    await client.pass();
    expect(client.calls).toEqual([15]);
    await client.pass();
    expect(client.calls).toEqual([]);
    for (const [decision] of await Promise.all(asked)) expect(decision).toMatchObject({ allowed: true, remaining: 9 });
    const last = store.consume([charge('user:0')]);
    expect(client.calls).toEqual([1]);
    await client.passAll();
    expect(await last).toMatchObject([{ remaining: 8 }]);
  });

  it('go when the turn ends that brings more than 16 of them, unless four are under way', async () => {
    const { client, store, warmUp } = heldStore();
    await warmUp();
    const turn = async (length: number) => {
      const asked = Array.from({ length }, (_, i) => store.consume([charge(`user:${i}`)]));
      await new Promise((resolve) => setImmediate(resolve));
      return asked;
    };
    const asked = await turn(17);
    expect(client.calls).toEqual([1, 16]);
    asked.push(...(await turn(15)));
    expect(client.calls).toEqual([1, 16]);
    asked.push(...(await turn(16)), ...(await turn(16)));
    expect(client.calls).toEqual([1, 16, 31, 16]);
    asked.push(...(await turn(16)));
    expect(client.calls).toEqual([1, 16, 31, 16]);
    await client.pass();
    expect(client.calls).toEqual([16]);
    await client.passAll();
    asked.push(...(await turn(300)));
    expect(client.calls).toEqual([1, 64, 64, 64]);
    await client.passAll();
    const answers = await Promise.all(asked);
    expect(answers.map(([decision]) => decision!.remaining).filter((left) => left === 9)).toHaveLength(300);
    expect(answers.every(([decision]) => decision!.allowed)).toBe(true);
  });

  it('go in scripts of 64 keys at the most, but all keys of one call in the same', async () => {
    const { client, store, warmUp } = heldStore();
    await warmUp();
    const many = Array.from({ length: 70 }, (_, i) => charge(`tenant:${i}`));
    const asked = [store.consume([charge('first')])];
    for (let i = 0; i < 100; i++) asked.push(store.consume([charge(`user:${i}`)]));
    asked.push(store.consume(many));
    for (let i = 0; i < 10; i++) asked.push(store.consume([charge(`user:${i}`), charge(`group:${i}`)]));
    await client.pass();
    expect(client.calls).toEqual([64, 36, 70]);
    await client.pass();
    // The server did not know the script for one call of so many keys; nothing goes before it is answered.
    expect(client.calls).toEqual([70]);
    await client.pass();
    expect(client.calls).toEqual([20]);
    await client.passAll();
    for (const decisions of await Promise.all(asked)) expect(decisions.every(({ allowed }) => allowed)).toBe(true);
  });

  it('are taken all or none, each by itself', async () => {
    const { client, store } = heldStore();
    const asked = [store.peek([charge('nobody')])];
    for (let i = 0; i < 12; i++) asked.push(store.consume([charge('alice'), charge(`user:${i}`, i === 3 ? 11 : 1)]));
    asked.push(store.peek([charge('alice', 0), charge('user:3', 0), charge('user:11', 0)]));
    await client.passAll();
    const answers = await Promise.all(asked);
    const granted = answers.slice(1, 13).map((decisions) => decisions.every(({ allowed }) => allowed));
    expect(granted).toEqual([true, true, true, false, ...Array(7).fill(true), false]);
    expect(answers[13]!.map(({ remaining }) => remaining)).toEqual([0, 10, 10]);
  });

  it('are carried out in their order, whatever they ask for', async () => {
    const { client, store } = heldStore();
    const told = { policy: policy!, key: 'bob', remaining: 2, resetAfter: 86_400_000, at: Date.now() };
    const all = [
      store.consume([charge('alice', 7)]),
      store.consume([charge('alice', 7)]),
      store.release([{ ...charge('alice', 4) }]),
      store.consume([charge('alice', 7)]),
      store.reset('alice', [policy!]),
      store.peek([charge('alice')]),
      store.lower([told]),
      store.consume([charge('bob')]),
    ];
    await client.passAll();
    const decisions = (await Promise.all(all)).flatMap((answer) => answer ?? []);
    expect(decisions.map(({ allowed, remaining }) => [allowed, remaining])).toEqual([
      [true, 3],
      [false, 3],
      [true, 0],
      [true, 10],
      [true, 1],
    ]);
  });

  it('do not wait for what is told a server before it is asked: the two go out one behind the other', async () => {
    const { client, store } = heldStore();
    const told = store.lower([{ policy: policy!, key: 'bob', remaining: 2, resetAfter: 86_400_000, at: Date.now() }]);
    const asked = store.consume([charge('bob')]);
    expect(client.calls).toEqual([1, 1]);
    await client.passAll();
    await told;
    expect(await asked).toMatchObject([{ allowed: true, remaining: 1 }]);
  });

  it('fail alone where a key holds what is no state, and where the server has lost the scripts none fails', async () => {
    await redis.lpush(nameOf('list'), 'a');
    await redis.set(nameOf('text'), 'nonsense');
    await redis.script('FLUSH');
    const { client, store } = heldStore();
    const keys = ['first', 'alice', 'list', 'bob', 'text', 'carol'];
    const asked = keys.map((key) => store.consume([charge(key)]));
    const both = store.consume([charge('dave'), charge('list')]);
    const freed = store.release([charge('list')]);
    const last = store.peek([charge('dave', 0)]);
    const settled = Promise.allSettled([...asked, both, freed]);
    await client.passAll();
    const failed = (await settled).map((one) => (one.status === 'rejected' ? one.reason.message : undefined));
    const of = (name: string) => expect.stringContaining(`under ratelimit:fixed-window:{${name}`);
    expect(failed.slice(0, 6)).toEqual([undefined, undefined, of('list'), undefined, of('text'), undefined]);
    expect(failed.slice(6)).toEqual([of('dave'), of('list')]);
    // What fails has charged nothing.
    expect(await last).toMatchObject([{ remaining: 10 }]);
  });

  it('tell the client of a server that has become a replica, so that it can leave it', async () => {
    const { client, store, warmUp } = heldStore();
    await warmUp();
    const asked = ['first', 'alice', 'bob'].map((key) => store.consume([charge(key)]));
    const settled = Promise.allSettled(asked);
    await client.pass();
    await redis.replicaof('127.0.0.1', 1);
    try {
      await client.passAll();
      const failed = (await settled).map((one) => (one.status === 'rejected' ? one.reason.message : undefined));
      expect(failed).toEqual([undefined, expect.stringContaining('READONLY'), expect.stringContaining('READONLY')]);
      expect(client.errors).toEqual([expect.stringContaining('READONLY')]);
    } finally {
      await redis.replicaof('NO', 'ONE');
    }
  });

  it('are sent by themselves where a server refuses them together for one of their keys', async () => {
    await redis.call('ACL', 'SETUSER', 'narrow', 'reset', 'on', '>secret', '~ratelimit:*{user*', '+@all');
    const narrow = redis.duplicate({ username: 'narrow', password: 'secret' });
    const store = new RedisStore(narrow, patient);
    // What is asked for before there is a connection does not go together.
    await store.consume([charge('user:0')]);
    const keys = ['user:0', 'user:1', 'admin:1', 'user:2'];
    const settled = await Promise.allSettled(keys.map((key) => store.consume([charge(key)])));
    expect(settled.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'fulfilled']);
    for (const key of ['user:1', 'user:2'])
      expect(await store.peek([charge(key, 0)])).toMatchObject([{ remaining: 9 }]);
    await store.close();
    narrow.disconnect();
  });
});

describe('a call that waits for another one', () => {
  it('is not sent when its own time is up, and the others are', async () => {
    const clock = new ManualClock(Date.now());
    const { client, store, warmUp } = heldStore({ clock, deadline: 50_000 });
    await warmUp();
    const first = store.consume([charge('first')]);
    const early = store.consume([charge('early')]);
    clock.jump(30);
    const late = store.consume([charge('late')]);
    const settled = Promise.allSettled([first, early, late]);
    clock.jump(25);
    await client.pass();
    expect(client.calls).toEqual([1]);
    await client.passAll();
    expect((await settled).slice(1)).toMatchObject([
      { status: 'rejected', reason: { code: 'STORE_TIMEOUT' } },
      { status: 'fulfilled' },
    ]);
    expect(await redis.exists(nameOf('early'))).toBe(0);
  });

  it('is not held for ever by one that is never answered', async () => {
    const clock = new ManualClock(Date.now());
    const { client, store, warmUp } = heldStore({ clock, deadline: 50_000 });
    await warmUp();
    for (const key of ['first', 'second']) void store.consume([charge(key)]).catch(() => {});
    expect(client.calls).toEqual([1]);
    clock.jump(40);
    void store.consume([charge('third')]).catch(() => {});
    expect(client.calls).toEqual([1]);
    clock.jump(15);
    void store.consume([charge('fourth')]).catch(() => {});
    // The second is waited for by nobody any more.
    expect(client.calls).toEqual([1, 2]);
    await client.passAll();
  });

  it('goes out at once where an answer takes a quarter of the deadline', async () => {
    const clock = new ManualClock(Date.now());
    const { client, store } = heldStore({ clock, deadline: 50_000 });
    const asked = store.consume([charge('far')]);
    clock.jump(20);
    await client.passAll();
    await asked;
    const both = [store.consume([charge('far')]), store.consume([charge('far')])];
    expect(client.calls).toEqual([1, 1]);
    await client.passAll();
    await Promise.all(both);
  });

  it('changes nothing if it reaches the server behind its own fence, and those beside it do what they ask for', async () => {
    const { client, runner, warmUp } = heldStore();
    await warmUp();
    const calls = new Coalescing(runner);
    const question = new Questions().consume([charge('any')]);
    const ask = (key: string, ms: number) =>
      new Promise((resolve, reject) => {
        const until = systemClock.now() + ms * 1_000;
        calls.run({ question, keys: [nameOf(key)], part: 0, server: 'redis', until, resolve, reject });
      });
    const asked = [ask('first', 60_000), ask('early', 200), ask('late', 60_000), ask('later', 60_000)];
    const settled = Promise.allSettled(asked);
    const due = (await serverTime(redis)) + 201_000;
    await client.pass();
    expect(client.calls).toEqual([3]);
    await until('the first fence has passed', async () => (await serverTime(redis)) > due);
    await client.passAll();
    expect((await settled).map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'fulfilled']);
    expect(await redis.exists(nameOf('early'))).toBe(0);
    expect(await redis.exists(nameOf('late'), nameOf('later'))).toBe(2);
  });
});

describe('a call that waits while the connection is lost', () => {
  it('is not asked of the next one, which may have lost its counts', async () => {
    const client = new HeldClient();
    const listeners: (() => void)[] = [];
    const told: RedisClient = Object.assign(client, {
      on: (event: string, listener: () => void) => event === 'ready' && listeners.push(listener),
    });
    const store = new RedisStore(told, patient);
    const first = store.consume([charge('first')]);
    const second = store.consume([charge('second')]);
    const settled = Promise.allSettled([first, second]);
    for (const listener of listeners) listener();
    await client.passAll();
    expect(await settled).toMatchObject([
      { status: 'fulfilled' },
      { status: 'rejected', reason: { code: 'STORE_UNAVAILABLE' } },
    ]);
    expect(await redis.exists(nameOf('second'))).toBe(0);
    await store.close();
  });
});

describe('in a cluster', () => {
  it('only calls of the same slot go together, and none waits for another slot', async () => {
    const topology: Topology = {
      isSpread: true,
      partOf: (key) => key.length,
      serverOf: () => 'a server',
      keyOn: () => 'key',
    };
    const { client, store, warmUp } = heldStore({ topology });
    await warmUp();
    const asked = ['a', 'b', 'cc', 'd', 'ee', 'fff'].map((key) => store.consume([charge(key)]));
    expect(client.calls).toEqual([1, 1, 1]);
    await client.pass();
    expect(client.calls).toEqual([2, 1]);
    await client.passAll();
    for (const [decision] of await Promise.all(asked)) expect(decision).toMatchObject({ allowed: true, remaining: 9 });
  });
});

describe('many calls at once', () => {
  it('are decided as one after the other, in the order in which they are made', async () => {
    const keys = ['alice', 'bob', 'carol'];
    const policies = names.map((algorithm) => compile({ algorithm, limit: 6, window: '300d' }));
    const call = fc.record({
      ask: fc.constantFrom('consume', 'consume', 'consume', 'peek', 'release', 'reset'),
      key: fc.constantFrom(...keys),
      cost: fc.integer({ min: 0, max: 3 }),
      of: fc.uniqueArray(fc.nat(names.length - 1), { minLength: 1, maxLength: 3 }),
    });
    // What a client sends again is void after 40 ms if it gives back, which a busy machine may take.
    const single = redis.duplicate(clientOptions);
    await once(single, 'ready');
    const property = fc.asyncProperty(fc.array(call, { minLength: 20, maxLength: 200 }), async (calls) => {
      const play = async (isAtOnce: boolean) => {
        await redis.flushall();
        const store = new RedisStore(single, patient);
        const answers: unknown[] = [];
        for (const { ask, key, cost, of } of calls) {
          const charges = of.map((i) => ({ policy: policies[i]!, key, cost }));
          let answer: unknown;
          if (ask === 'consume' || ask === 'peek') answer = store[ask](charges);
          else if (ask === 'release') answer = store.release(charges);
          else answer = store.reset(key, [charges[0]!.policy]);
          if (!isAtOnce) await answer;
          answers.push(answer);
        }
        const all = (await Promise.all(answers)) as (readonly Decision[] | undefined)[];
        await store.close();
        return all.map((one) => one?.map(({ allowed, remaining }) => [allowed, remaining]));
      };
      expect(await play(true)).toEqual(await play(false));
    });
    await fc.assert(property, { numRuns: 60 });
    single.disconnect();
  });

  it('take few scripts, and grant exactly the limit', async () => {
    const store = new RedisStore(redis, patient);
    await store.consume([charge('warm')]);
    await redis.config('RESETSTAT');
    const asked = Array.from({ length: 1_000 }, () => store.consume([charge('hot')]));
    const granted = (await Promise.all(asked)).filter(([decision]) => decision!.allowed);
    expect(granted).toHaveLength(10);
    expect((await commandsOf(redis)).get('evalsha')).toBeLessThanOrEqual(1 + Math.ceil(1_000 / 64));
    await store.close();
  });
});
