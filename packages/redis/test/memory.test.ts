import { compilePenalty, compilePolicies } from '@sluice/core';
import type { Redis } from 'ioredis';
import { describe, expect, it } from 'vitest';
import { tableAfter } from '../../../test/support/documents.ts';
import { names } from '../../core/test/algorithms/arbitraries.ts';
import { RedisStore } from '../src/index.ts';
import { patient } from './support/conforms.ts';
import { withServer } from './support/server.ts';

let redis: Redis;
withServer((client) => {
  redis = client;
});

const { block } = compilePenalty({ blockFor: '100d' }, 'test', 'login');
const limits = compilePolicies(
  names.map((algorithm) => ({ name: algorithm, algorithm, limit: 100, window: '300d' })),
  'test',
).map((policy) => ({ ...policy, id: policy.algorithm, name: 'default' }));

/** Bytes of the server's memory that a client takes, its name included, after so many grants of one unit. */
async function bytesAfter(policy: (typeof limits)[number] | NonNullable<typeof block>, grants: number) {
  const store = new RedisStore(redis, patient);
  const key = `user:${100_000 + grants}`;
  for (let i = 0; i < grants; i++) await store.consume([{ policy, key, cost: 1 }]);
  const [name] = await redis.keys(`ratelimit:${policy.algorithm}:{${key}}*`);
  return (await redis.memory('USAGE', name!))!;
}

describe('what a client takes of the memory of a server', () => {
  // Per algorithm what one grant takes, and for the log also what a hundred do.
  const rows = tableAfter('docs/redis.md', '| algorithm | state | bytes').slice(1);
  const documented = limits.map((policy) => {
    const figures = rows.find(([name]) => name?.includes(policy.algorithm))?.[2]?.match(/\d[\d,]*/g) ?? [];
    return { ...policy, figures: figures.map((text) => Number(text.replaceAll(',', ''))) };
  });

  it.each(documented)('is no more, for a $algorithm, than documented', async (policy) => {
    const [once = 0, often = once] = policy.figures;
    expect(await bytesAfter(policy, 1)).toBeLessThanOrEqual(once);
    expect(await bytesAfter(policy, 100)).toBeLessThanOrEqual(often);
  });

  it('grows with the grants only for a sliding-window-log, and then by 16 bytes for each, or some 40 with room to grow', async () => {
    for (const policy of [...limits, block!]) {
      const [once, often] = [await bytesAfter(policy, 1), await bytesAfter(policy, 100)];
      if (policy.algorithm === 'sliding-window-log') expect(often - once).toBeLessThanOrEqual(40 * 100);
      else expect(often).toBeLessThanOrEqual(once + 16);
    }
  });
});
