import { compilePolicies, createLimiter } from '@sluice/core';
import { ManualClock } from '@sluice/testing';
import type { Redis } from 'ioredis';
import { beforeEach, describe, expect, it } from 'vitest';
import { names } from '../../core/test/algorithms/arbitraries.ts';
import { RedisStore } from '../src/index.ts';
import { commandsOf } from './support/commands.ts';
import { patient } from './support/conforms.ts';
import { withServer } from './support/server.ts';

let redis: Redis;
withServer((client) => {
  redis = client;
});
beforeEach(async () => {
  await redis.flushall();
  await redis.script('FLUSH');
  await redis.config('RESETSTAT');
});

const limits = names.map((algorithm) => ({ name: algorithm, algorithm, limit: 150, window: '300d' as const }));
const policies = compilePolicies(limits, 'test');
const charges = policies.map((policy) => ({ policy, key: 'alice', cost: 1 }));

/** The first call of a process also finds out what time it is on the server. */
async function warmed(store: RedisStore): Promise<void> {
  await store.consume(charges.map((charge) => ({ ...charge, key: 'bob' })));
  await store.consume(charges.slice(0, 1).map((charge) => ({ ...charge, key: 'bob' })));
  await redis.config('RESETSTAT');
}

describe('a decision', () => {
  it('is one call, however many policies a key has', async () => {
    const limiter = createLimiter({ policies: limits, store: new RedisStore(redis, patient) });
    await limiter.consume('alice');
    await redis.config('RESETSTAT');
    for (let i = 0; i < 20; i++) await limiter.consume('alice');
    const commands = await commandsOf(redis);
    expect(commands.get('evalsha')).toBe(20);
    expect(commands.has('eval')).toBe(false);
    expect(commands.get('time')).toBe(20);
  });

  it('is one call by itself, and those that come while it is under way are one call together', async () => {
    const store = new RedisStore(redis, patient);
    await warmed(store);
    await Promise.all(Array.from({ length: 60 }, (_, i) => store.consume([{ ...charges[0]!, key: `user:${i}` }])));
    expect((await commandsOf(redis)).get('evalsha')).toBe(2);
  });

  it('is one call for several keys, too, where the server is no cluster', async () => {
    const store = new RedisStore(redis, patient);
    const keys = ['user:1', 'tenant:1', 'all'].map((key) => ({ policy: policies[0]!, key, cost: 1 }));
    await store.consume(keys);
    await redis.config('RESETSTAT');
    for (let i = 0; i < 20; i++) await store.consume(keys);
    expect((await commandsOf(redis)).get('evalsha')).toBe(20);
  });
});

describe('a script', () => {
  it('is sent in full only to a server that does not know it', async () => {
    const store = new RedisStore(redis, { ...patient, prefix: 'full' });
    // The first use of a store asks how the server is set, in a script of its own.
    await store.consume(charges);
    const before = (await commandsOf(redis)).get('eval')!;
    await redis.script('FLUSH');
    for (let i = 0; i < 10; i++) await store.consume(charges);
    expect((await commandsOf(redis)).get('eval')).toBe(before + 1);
  });

  it('that is flushed while requests are under way costs no request, and no unit twice', async () => {
    const store = new RedisStore(redis, patient);
    await warmed(store);
    const decisions = Array.from({ length: 200 }, (_, i) => {
      if (i === 100) void redis.script('FLUSH');
      return store.consume(charges);
    });
    const answers = await Promise.all(decisions);
    expect(answers.filter((answer) => answer.every(({ allowed }) => allowed))).toHaveLength(150);
    expect(answers.flat().every(({ source }) => source === 'store')).toBe(true);
    for (const { remaining } of await store.peek(charges)) expect(remaining).toBe(0);
  });

  it('is not sent again for any other error', async () => {
    const store = new RedisStore(redis, patient);
    await warmed(store);
    await redis.set('ratelimit:fixed-window:{alice}:fixed-window', 'nonsense');
    const first = charges.slice(0, 1);
    for (let i = 0; i < 3; i++) await expect(store.consume(first)).rejects.toThrow('fixed-window:{alice}');
    expect((await commandsOf(redis)).get('evalsha')).toBe(3);
  });
});

describe('processes whose clocks differ by hours', () => {
  it('share the same windows, which are those of the server', async () => {
    const clocks = [new ManualClock(0), new ManualClock(), new ManualClock(Date.UTC(2090, 0, 1))];
    const stores = clocks.map((clock) => new RedisStore(redis, { ...patient, clock }));
    const ends = new Set<number>();
    let left = 150;
    for (let round = 0; round < 3; round++) {
      for (const [i, store] of stores.entries()) {
        const [decision] = await store.consume(charges.slice(0, 1));
        expect(decision).toMatchObject({ allowed: true, remaining: --left, source: 'store' });
        ends.add(Math.round(decision!.at + decision!.resetAfter));
        // An operator sets the clock: what was learned of the server's time is wrong now.
        clocks[i]!.jump((round % 2 === 0 ? -1 : 1) * 7_200_000);
        if (clocks[i]!.now() < 0) clocks[i]!.jump(7_200_000);
      }
    }
    expect(ends.size).toBe(1);
  });
});
