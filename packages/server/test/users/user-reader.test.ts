import { ManualClock } from '@sluice/testing';
import { describe, expect, test } from 'vitest';
import type { User, UserLimits } from '../../src/users/user.ts';
import { type Found, UserReader } from '../../src/users/user-reader.ts';
import { bucket, queue } from './directory-suite.ts';

const at = '2026-01-01T00:00:00.000Z';
const userWith = (id: string, limits?: UserLimits): User => ({ id, limits, createdAt: at, updatedAt: at });

interface Ask {
  readonly id: string;
  readonly renew: boolean;
  answer(limits?: UserLimits): void;
  fail(): void;
}

function scene({ cacheSize = 1_000 } = {}) {
  const clock = new ManualClock();
  const asked: Ask[] = [];
  const warnings: string[] = [];
  const reader = new UserReader({
    read: (id, renew) =>
      new Promise<Found>((resolve, reject) => {
        const answer = (limits?: UserLimits) => resolve({ user: userWith(id, limits), renewed: renew });
        asked.push({ id, renew, answer, fail: () => reject(new Error('down')) });
      }),
    ...{ clock, cacheSize, fresh: 1_000_000, renewal: 60_000_000 },
    logger: { warn: (message) => void warnings.push(message) },
  });
  const settled = () => new Promise((resolve) => setImmediate(resolve));
  return { clock, asked, warnings, reader, settled };
}

describe('who a user is', () => {
  test('is not what a read says that was under way when he was changed', async () => {
    const { reader, asked, clock } = scene();
    reader.hear(true);
    const seen = reader.see('alice');
    reader.changed('alice');
    asked[0]!.answer(bucket);
    await seen;
    const again = reader.see('alice');
    expect(again).toBeInstanceOf(Promise);
    asked[1]!.answer(queue);
    expect((await again).limits).toBe(queue);
    clock.advance(1_000);
    expect(reader.see('alice')).toMatchObject({ limits: queue });
  });

  test('is not what a read says that was under way when this process set his limits', async () => {
    const { reader, asked } = scene();
    const seen = reader.see('alice');
    reader.learn('alice', userWith('alice', queue));
    asked[0]!.answer(bucket);
    await seen;
    expect(reader.see('alice')).toMatchObject({ limits: queue });
  });

  test('is what was last known while he cannot be read, also after he was changed', async () => {
    const { reader, asked, settled, warnings } = scene();
    const seen = reader.see('alice');
    asked[0]!.answer(bucket);
    await seen;
    reader.changed('alice');
    const again = reader.see('alice');
    asked[1]!.fail();
    expect((await again).limits).toBe(bucket);
    await settled();
    expect(warnings).toHaveLength(1);
  });

  test('is not waited for after three failures, and asked about one at a time', async () => {
    const { reader, asked, clock } = scene();
    for (let i = 0; i < 3; i++) {
      const seen = reader.see(`user-${i}`);
      expect(seen).toBeInstanceOf(Promise);
      asked[i]!.fail();
      await seen;
    }
    for (let i = 0; i < 100; i++) expect(reader.see(`user-${i}`)).toMatchObject({ limits: undefined });
    expect(asked).toHaveLength(3);
    clock.advance(100);
    for (let i = 0; i < 100; i++) reader.see(`user-${i}`);
    expect(asked).toHaveLength(4);
    asked[3]!.answer(bucket);
    await reader.settled();
    expect(reader.see('user-0')).toMatchObject({ limits: bucket });
    // Those who could not be read are not taken to be known.
    expect(reader.see('user-1')).toBeInstanceOf(Promise);
  });

  test('stays known where he has limits, whatever ids are invented, and no more is remembered than there is room for', async () => {
    const { reader, asked } = scene({ cacheSize: 100 });
    const seen = reader.see('vip');
    asked[0]!.answer(bucket);
    await seen;
    for (let i = 0; i < 10_000; i++) {
      const other = reader.see(`user-${i}`);
      asked.at(-1)!.answer();
      await other;
    }
    expect(reader.see('vip')).toMatchObject({ limits: bucket });
    expect(reader.size).toBeLessThanOrEqual(101);
  });

  test('is noted as seen once a minute', async () => {
    const { reader, asked, clock } = scene();
    const renewals: boolean[] = [];
    for (const wait of [0, 2_000, 57_000, 1_001, 2_000]) {
      clock.advance(wait);
      const seen = reader.see('alice');
      renewals.push(asked.at(-1)!.renew);
      asked.at(-1)!.answer();
      await seen;
    }
    expect(renewals).toEqual([true, false, false, true, false]);
  });
});
