import { ManualClock } from '@sluice/testing';
import { afterEach, describe, expect, test } from 'vitest';
import { until } from '../../../../test/support/redis/until.ts';
import type { Problem } from '../../src/problem.ts';
import type { User, UserDirectory, UserLimits } from '../../src/users/user.ts';

export interface DirectoryOptions {
  readonly clock: ManualClock;
  readonly maxUsers: number;
}

export const bucket = {
  algorithm: 'token-bucket',
  max_tokens: 10,
  refill_rate: 0.000001,
} as const satisfies UserLimits;
export const queue: UserLimits = { algorithm: 'leaky-bucket', capacity: 1_000_000_000, leak_rate: 123456.789 };

/** What every directory of users does, wherever it keeps them. `open` begins with an empty one. */
export function directorySuite(
  name: string,
  open: (options: DirectoryOptions) => Promise<UserDirectory>,
  { flood = 200_000 } = {},
): void {
  describe(name, () => {
    const opened: UserDirectory[] = [];
    const clock = new ManualClock();
    const directory = async (maxUsers = 100_000): Promise<UserDirectory> => {
      const one = await open({ clock, maxUsers });
      opened.push(one);
      return one;
    };
    afterEach(async () => {
      for (const one of opened.splice(0)) await one.close();
    });

    test('registers a user with his first request, without limits of his own', async () => {
      const users = await directory();
      const at = new Date(clock.now() / 1_000).toISOString();
      const alice = { id: 'alice', limits: undefined, createdAt: at, updatedAt: at };
      expect(await users.see('alice')).toEqual(alice);
      expect(await settledIds(users, 1)).toEqual(['alice']);
      clock.advance(5_000);
      expect(await users.see('alice')).toEqual(alice);
      expect(await users.find('alice')).toEqual(alice);
      expect((await users.page(10)).users).toEqual([alice]);
      expect(users.size).toBe(1);
    });

    test('registers nobody who is only asked for', async () => {
      const users = await directory();
      expect(await users.find('bob')).toBeUndefined();
      expect(await users.find('bob')).toBeUndefined();
      expect(await users.page(10)).toEqual({ users: [], next: undefined });
    });

    test('sets the limits of users who are known and who are not', async () => {
      const users = await directory();
      const { createdAt } = await users.see('alice');
      clock.advance(1_500);
      const at = new Date(clock.now() / 1_000).toISOString();
      const alice = await users.set('alice', bucket);
      expect(alice).toEqual({ id: 'alice', limits: bucket, createdAt, updatedAt: at });
      expect(at).not.toBe(createdAt);
      expect(await users.set('bob', queue)).toEqual({ id: 'bob', limits: queue, createdAt: at, updatedAt: at });
      for (const wait of [0, 5_000]) {
        clock.advance(wait);
        expect(await users.see('alice')).toEqual(alice);
        expect(await users.find('alice')).toEqual(alice);
        expect((await users.see('bob')).limits).toEqual(queue);
      }
      expect(byId((await users.page(10)).users).map(({ limits }) => limits)).toEqual([bucket, queue]);
    });

    test('replaces the limits of one bucket by those of the other', async () => {
      const users = await directory();
      const first = await users.set('alice', bucket);
      clock.advance(2_000);
      const second = await users.set('alice', queue);
      expect(second).toEqual({ ...first, limits: queue, updatedAt: new Date(clock.now() / 1_000).toISOString() });
      clock.advance(2_000);
      expect(await users.see('alice')).toEqual(second);
      expect(await users.find('alice')).toEqual(second);
    });

    test('gives the very same limits until they change', async () => {
      const users = await directory();
      await users.set('alice', bucket);
      const { limits } = await users.see('alice');
      clock.advance(5_000);
      await users.see('alice');
      await users.find('alice');
      expect((await users.see('alice')).limits).toBe(limits);
      await users.set('alice', { ...bucket, max_tokens: 11 });
      expect((await users.see('alice')).limits).toEqual({ ...bucket, max_tokens: 11 });
    });

    test('removes users, and says whether there was one', async () => {
      const users = await directory();
      await users.set('alice', bucket);
      await users.see('bob');
      expect(await users.remove('alice')).toBe(true);
      expect(await users.remove('bob')).toBe(true);
      expect(await users.remove('alice')).toBe(false);
      expect(await users.remove('carol')).toBe(false);
      expect(await users.find('alice')).toBeUndefined();
      expect((await users.page(10)).users).toEqual([]);
      clock.advance(5_000);
      expect((await users.see('alice')).limits).toBeUndefined();
      expect(await users.find('alice')).toBeDefined();
    });

    test('keeps apart users whose ids are long, or of any characters', async () => {
      const users = await directory();
      const long = 'x'.repeat(255);
      const ids = [
        'a}b',
        '{a}',
        'a b',
        'A',
        'a',
        'ä',
        '用户',
        '😀',
        '*',
        'a:b',
        '#',
        '\u0000',
        '\r\n',
        `${long}1`,
        `${long}2`,
      ];
      for (const [i, id] of ids.entries()) await users.set(id, { ...bucket, max_tokens: i + 1 });
      for (const [i, id] of ids.entries()) {
        expect(await users.find(id)).toMatchObject({ id, limits: { max_tokens: i + 1 } });
        expect(await users.see(id)).toMatchObject({ id, limits: { max_tokens: i + 1 } });
      }
      const { users: all } = await users.page(100);
      expect(byId(all).map(({ id }) => id)).toEqual([...ids].sort());
      for (const id of ids) expect(await users.remove(id)).toBe(true);
      expect((await users.page(100)).users).toEqual([]);
    });

    test('pages through all users, each once', async () => {
      const users = await directory();
      const ids = Array.from({ length: 1_000 }, (_, i) => `user-${i}`);
      await Promise.all(ids.map((id, i) => (i % 3 === 0 ? users.set(id, bucket) : users.see(id))));
      const found: string[] = [];
      let cursor: string | undefined;
      let pages = 0;
      do {
        const page = await users.page(50, cursor);
        found.push(...page.users.map(({ id }) => id));
        cursor = page.next;
        pages++;
      } while (cursor !== undefined);
      expect(found.sort()).toEqual(ids.sort());
      expect(pages).toBeGreaterThan(5);
    });

    test.each(['', 'x', '!!', 'aWQ6', 'c2Nhbjow', Buffer.from('scan:1;2').toString('base64url'), 'a'.repeat(1_000)])(
      'refuses the cursor %j, which it has not given',
      async (cursor) => {
        const users = await directory();
        const problem = (await users.page(10, cursor).catch((error: unknown) => error)) as Problem;
        expect(problem).toMatchObject({ status: 400, errors: [{ parameter: 'cursor' }] });
      },
    );

    test('registers no more users than it may, and answers all of them', async () => {
      const users = await directory(10);
      for (let i = 0; i < 30; i++)
        expect(await users.see(`user-${i}`)).toMatchObject({ id: `user-${i}`, limits: undefined });
      const ids = await settledIds(users, 10);
      expect(ids).toEqual(Array.from({ length: 10 }, (_, i) => `user-${i}`).sort());
      expect(await users.find('user-20')).toBeUndefined();
      expect(users.size).toBe(10);
    });

    test('takes users up again when others have gone', async () => {
      const users = await directory(2);
      for (const id of ['a', 'b', 'c']) await users.see(id);
      await settledIds(users, 2);
      await users.remove('a');
      clock.advance(2_000);
      await users.see('c');
      expect(await settledIds(users, 2)).toEqual(['b', 'c']);
    });

    test('sets limits also where there are as many users as may come by themselves', async () => {
      const users = await directory(3);
      for (const id of ['a', 'b', 'c']) await users.see(id);
      await settledIds(users, 3);
      await users.set('vip', bucket);
      expect((await users.see('vip')).limits).toEqual(bucket);
      expect((await users.page(10)).users.map(({ id }) => id)).toContain('vip');
    });

    test(`stays bounded when somebody invents ${flood} ids, and keeps the limits that were set`, async () => {
      const users = await directory(1_000);
      await users.set('vip', bucket);
      for (let i = 0; i < flood; i += 1_000) {
        const invented = Array.from({ length: 1_000 }, (_, j) =>
          users.see(`${Math.random().toString(36).slice(2)}-${i + j}`),
        );
        await Promise.all(invented);
        clock.advance(10);
      }
      await settledIds(users, 1_000);
      clock.advance(2_000);
      expect(await users.see('vip')).toMatchObject({ limits: bucket });
      expect(users.size).toBe(1_000);
    });
  });
}

/** The ids of all users, when there are as many as there should be: who was registered last may still be on his way. */
async function settledIds(users: UserDirectory, count: number): Promise<readonly string[]> {
  return until(`there are ${count} users`, async () => {
    const ids = new Set<string>();
    let cursor: string | undefined;
    do {
      const page = await users.page(500, cursor);
      for (const { id } of page.users) ids.add(id);
      cursor = page.next;
    } while (cursor !== undefined);
    return ids.size === count && [...ids].sort();
  });
}

function byId(users: readonly User[]): readonly User[] {
  return [...users].sort((a, b) => (a.id < b.id ? -1 : 1));
}
