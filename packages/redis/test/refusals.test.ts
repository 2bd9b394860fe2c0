import { type CompiledPolicy, compilePolicies } from '@sluice/core';
import type { Redis } from 'ioredis';
import { beforeEach, describe, expect, it } from 'vitest';
import { names } from '../../core/test/algorithms/arbitraries.ts';
import { RedisStore } from '../src/index.ts';
import { commandsOf } from './support/commands.ts';
import { patient } from './support/conforms.ts';
import { withServer } from './support/server.ts';

let redis: Redis;
let store: RedisStore;
withServer((client) => {
  redis = client;
  store = new RedisStore(client, patient);
});
beforeEach(() => redis.flushall());

const reads = new Set(['eval', 'evalsha', 'time', 'get', 'strlen', 'getrange', 'info', 'config|resetstat']);
const compile = (name: CompiledPolicy['algorithm'], limit = 5) =>
  compilePolicies([{ algorithm: name as 'fixed-window', limit, window: '300d', name: `p-${limit}` }], 'test')[0]!;

describe.each(names)('%s: what is refused', (algorithm) => {
  const policy = compile(algorithm);
  const name = `ratelimit:${algorithm}:{alice}:p-5`;
  const state = async () => [await redis.dumpBuffer(name), await redis.pexpiretime(name)];

  it('writes nothing, neither state nor expiry, however much is asked for', async () => {
    await store.consume([{ policy, key: 'alice', cost: 4 }]);
    const before = await state();
    await redis.config('RESETSTAT');
    for (const cost of [2, 5, 6, 1_000_000_000, 2 ** 52, Number.MAX_SAFE_INTEGER]) {
      const [decision] = await store.consume([{ policy, key: 'alice', cost }]);
      expect(decision).toMatchObject({ allowed: false, remaining: 1 });
      await store.consume([{ policy, key: 'new', cost: cost + 4 > 2 ** 53 ? cost : cost + 4 }]);
    }
    for (const command of (await commandsOf(redis)).keys()) expect(reads).toContain(command);
    expect(await state()).toEqual(before);
    expect(await redis.keys('*')).toEqual([name]);
  });

  it('charges no other policy either, and a day is not spent on what a second refuses', async () => {
    const day = compile(algorithm, 100);
    const charges = [policy, day].map((policy) => ({ policy, key: 'alice', cost: 1 }));
    for (let i = 0; i < 5; i++) await store.consume(charges);
    await redis.config('RESETSTAT');
    for (let i = 0; i < 20; i++) {
      const [first, second] = await store.consume(charges);
      expect(first).toMatchObject({ allowed: false, remaining: 0 });
      expect(second).toMatchObject({ allowed: true, remaining: 95 });
    }
    for (const command of (await commandsOf(redis)).keys()) expect(reads).toContain(command);
  });

  it('is decided anew under a limit that is raised or lowered, at once', async () => {
    const limited = (limit: number) => ({ ...compile(algorithm, limit), id: policy.id, name: policy.name });
    await store.consume([{ policy, key: 'alice', cost: 5 }]);
    const take = async (limit: number, cost: number) =>
      (await store.consume([{ policy: limited(limit), key: 'alice', cost }]))[0]!;
    expect(await take(5, 1)).toMatchObject({ allowed: false, remaining: 0 });
    expect(await take(8, 2)).toMatchObject({ allowed: true, limit: 8, remaining: 1 });
    expect(await take(6, 1)).toMatchObject({ allowed: false, limit: 6, remaining: 0 });
    expect(await take(20, 13)).toMatchObject({ allowed: true, limit: 20, remaining: 0 });
  });
});

describe('a look', () => {
  it('writes nothing', async () => {
    const charges = names.map((name) => ({ policy: compile(name), key: 'alice', cost: 1 }));
    await store.consume(charges);
    await redis.config('RESETSTAT');
    await store.peek(charges);
    await store.peek(charges.map((charge) => ({ ...charge, cost: 5 })));
    await store.consume(charges.map((charge) => ({ ...charge, cost: 0 })));
    for (const command of (await commandsOf(redis)).keys()) expect(reads).toContain(command);
  });
});
