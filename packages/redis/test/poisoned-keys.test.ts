import { type AlgorithmName, compilePolicies } from '@sluice/core';
import type { Redis } from 'ioredis';
import { beforeEach, describe, expect, it } from 'vitest';
import { names } from '../../core/test/algorithms/arbitraries.ts';
import { RedisStore } from '../src/index.ts';
import { withServer } from './support/server.ts';

let redis: Redis;
withServer((client) => {
  redis = client;
});
beforeEach(() => redis.flushall());

type Poison = readonly [what: string, put: (key: string) => Promise<unknown>];
// An empty text is what there is without a key, to the log.
const texts = [
  ' ',
  'nonsense',
  '12',
  '1 2 3 4',
  '-1 -1',
  '-1 -1 -1',
  '1.5 2.5',
  'nan nan nan',
  '{"a":1}',
  'x'.repeat(16),
  'x'.repeat(24),
  'x'.repeat(32),
  '0'.repeat(16),
  '0'.repeat(24),
];
const poisons: readonly Poison[] = [
  ['a list', (key) => redis.lpush(key, 'a')],
  ['a hash', (key) => redis.hset(key, 'a', '1')],
  ['a set', (key) => redis.sadd(key, 'a')],
  ...texts.map((text): Poison => [`the text ${JSON.stringify(text)}`, (key) => redis.set(key, text)]),
];
const cases = names.flatMap((name) => poisons.map(([what, put]) => [what, name, put] as const));

describe('a key under which somebody else has put', () => {
  it.each(cases)('%s is the failure of that key alone (%s)', async (_what, algorithm: AlgorithmName, put) => {
    const [policy] = compilePolicies([{ algorithm, limit: 10, window: '300d' }], 'test');
    const warnings: string[] = [];
    const logger = { warn: (message: string) => void warnings.push(message) };
    const store = new RedisStore(redis, { instances: 1, deadline: '10s', logger });
    const take = async (key: string) => (await store.consume([{ policy: policy!, key, cost: 1 }]))[0]!;
    const name = `ratelimit:${algorithm}:{alice}`;
    await put(name);
    const poisoned = [];
    for (let i = 0; i < 12; i++) {
      poisoned.push(await take('alice'));
      expect(await take('bob')).toMatchObject({ allowed: i < 10, source: 'store' });
    }
    expect(poisoned.map(({ source }) => source)).toEqual(poisoned.map(() => 'fallback'));
    expect(poisoned.map(({ allowed }) => allowed)).toEqual(poisoned.map((_, i) => i < 10));
    expect([...store.states]).toEqual([['redis', 'closed']]);
    expect(warnings.some((warning) => warning.includes(name))).toBe(true);
    await redis.del(name);
    expect(await take('alice')).toMatchObject({ source: 'store' });
    await store.close();
  });
});
