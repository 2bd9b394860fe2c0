import { compilePolicies } from '@sluice/core';
import fc from 'fast-check';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RedisServer } from '../../../test/support/redis/server.ts';
import { names } from '../../core/test/algorithms/arbitraries.ts';
import { StoreKeys, slotOfKey } from '../src/store-keys.ts';

const keys = new StoreKeys('ratelimit');
const policies = names.flatMap((algorithm) =>
  [undefined, 'login', 'x'].map(
    (name) => compilePolicies([{ limit: 1, window: '1m', algorithm, ...(name && { name }) }], 'test')[0]!,
  ),
);
const [plain, named] = policies;

/** Texts that could be taken for another key, end the hash tag, or be no text at all in an encoding. */
const hostile = fc.oneof(
  fc.string({
    unit: fc.constantFrom('a', 'b', ':', '{', '}', '#', '\n', '\0', ' ', '\ud83d', '\ude00', 'ä', '\u0308'),
    minLength: 1,
    maxLength: 6,
  }),
  fc.string({ unit: 'binary', minLength: 1 }),
  fc.constantFrom(
    '}',
    '{}',
    '{a}',
    'a}:login',
    'a}:x',
    '##',
    '##a',
    'x'.repeat(128),
    'x'.repeat(129),
    'x'.repeat(10_000),
    '\ud83d',
    '\ufffd',
    '"\\ud83d"',
  ),
);

describe('the keys of a store', () => {
  it('are named prefix:algorithm:{key}, and the name of the policy behind it', () => {
    expect(keys.of(plain!, 'user:42')).toBe('ratelimit:fixed-window:{user:42}');
    expect(keys.of(named!, 'ip:203.0.113.7')).toBe('ratelimit:fixed-window:{ip:203.0.113.7}:login');
    expect(new StoreKeys('app/1').of(plain!, 'a@b.c')).toBe('app/1:fixed-window:{a@b.c}');
  });

  it('contain a digest where the key is long or could be mistaken', () => {
    for (const key of ['a b', '{a}', 'a\n', 'ä', '\ud83d', '##a', 'x'.repeat(129), 'x'.repeat(10_000)]) {
      expect(keys.of(plain!, key)).toMatch(/^ratelimit:fixed-window:\{##[\w-]{22}\}$/);
    }
    expect(keys.of(plain!, 'x'.repeat(128))).toBe(`ratelimit:fixed-window:{${'x'.repeat(128)}}`);
  });

  it('are never the same for two keys or two policies, as bytes', () => {
    const some = fc.constantFrom(...policies);
    const property = fc.property(hostile, hostile, some, some, (a, b, one, other) => {
      const same = Buffer.from(keys.of(one, a)).equals(Buffer.from(keys.of(other, b)));
      expect(same).toBe(a === b && one === other);
    });
    fc.assert(property, { numRuns: 5_000 });
  });

  it('have no brace but the two of the hash tag, and no byte beyond printable ASCII', () => {
    const property = fc.property(hostile, fc.constantFrom(...policies), (key, policy) => {
      expect(keys.of(policy, key)).toMatch(/^[!-z]+\{[!-z]+\}[!-z]*$/);
    });
    fc.assert(property, { numRuns: 2_000 });
  });

  it.each(['', ' ', 'a b', '{a}', 'a{', 'ä', 'x'.repeat(65), undefined as unknown as string])(
    'refuse the prefix %j, and say what may stand there',
    (prefix) => {
      const make = () => new StoreKeys(prefix === undefined ? (null as unknown as string) : prefix);
      expect(make).toThrow(
        expect.objectContaining({ code: 'INVALID_OPTION', message: expect.stringContaining("'prefix'") }),
      );
    },
  );
});

describe('the slot of a key', () => {
  let server: RedisServer;
  let redis: Redis;
  beforeAll(async () => {
    server = await RedisServer.start({ args: ['--cluster-enabled', 'yes'] });
    redis = new Redis(server.url);
  });
  afterAll(async () => {
    redis.disconnect();
    await server.stop();
  });

  it('is that of all its policies, as the server reckons it', async () => {
    const property = fc.asyncProperty(hostile, async (key) => {
      const slots = await Promise.all(policies.map((policy) => redis.cluster('KEYSLOT', keys.of(policy, key))));
      expect(new Set(slots)).toEqual(new Set([slotOfKey(key)]));
    });
    await fc.assert(property, { numRuns: 150 });
  });
});
