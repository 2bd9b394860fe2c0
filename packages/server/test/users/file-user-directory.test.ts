import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ManualClock } from '@sluice/testing';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Problem } from '../../src/problem.ts';
import { Journal } from '../../src/storage/journal.ts';
import { FileUserDirectory } from '../../src/users/file-user-directory.ts';
import type { SeenUser } from '../../src/users/seen-users.ts';
import type { User } from '../../src/users/user.ts';
import { isUserRecord, type UserJournal, type UserRecord } from '../../src/users/user-journal.ts';
import { bucket, directorySuite, queue } from './directory-suite.ts';

const day = 86_400_000;
let folder: string;
let files = 0;
const journals: Journal<UserRecord>[] = [];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-users-'));
});
afterEach(async () => {
  for (const journal of journals.splice(0)) await journal.close();
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const newPath = () => join(folder, `users-${++files}`);

async function openJournal(path: string): Promise<Journal<UserRecord>> {
  const journal = await Journal.open(path, { kind: 'users', isRecord: isUserRecord });
  journals.push(journal);
  return journal;
}

interface Opening {
  readonly ttl?: number;
  readonly maxUsers?: number;
  readonly clock?: ManualClock;
  readonly warnings?: string[];
}

function directoryOf(
  journal: UserJournal,
  { ttl = 30 * day, maxUsers = 1_000, clock = new ManualClock(), warnings = [] }: Opening,
) {
  return new FileUserDirectory({
    journal,
    ttl,
    maxUsers,
    clock,
    logger: { warn: (message) => warnings.push(message) },
  });
}

async function allOf(users: FileUserDirectory): Promise<readonly User[]> {
  return (await users.page(1_000_000)).users;
}

directorySuite('a FileUserDirectory', async ({ clock, maxUsers }) =>
  directoryOf(await openJournal(newPath()), { clock, maxUsers }),
);

describe('a FileUserDirectory, opened again', () => {
  test('knows the limits that were set and the users who were saved', async () => {
    const [path, clock] = [newPath(), new ManualClock()];
    const users = directoryOf(await openJournal(path), { clock });
    await users.set('alice', bucket);
    await users.set('bob', queue);
    await users.set('carol', queue);
    users.see('dave');
    await users.remove('carol');
    clock.advance(1_000);
    await users.set('alice', queue);
    const saved = JSON.parse(JSON.stringify([...users.export()])) as SeenUser[];
    expect(saved).toEqual([{ id: 'dave', createdAt: '2026-01-01T00:00:00.000Z', lastSeen: Date.UTC(2026, 0, 1) }]);

    const again = directoryOf(await openJournal(path), { clock });
    expect((await allOf(again)).map(({ id }) => id)).toEqual(['alice', 'bob']);
    again.import(saved);
    expect(await allOf(again)).toEqual(await allOf(users));
  });

  test('does not bring back whom it has removed since users were saved', async () => {
    const [path, clock] = [newPath(), new ManualClock()];
    const users = directoryOf(await openJournal(path), { clock });
    users.see('alice');
    await users.set('bob', bucket);
    const saved = [...users.export()];
    clock.advance(1_000);
    await users.remove('alice');
    await users.remove('bob');

    const again = directoryOf(await openJournal(path), { clock });
    again.import(saved);
    expect(await allOf(again)).toEqual([]);
    // Who came back after his removal is another one.
    clock.advance(1_000);
    users.see('alice');
    again.import(users.export());
    expect(await allOf(again)).toMatchObject([{ id: 'alice' }]);
  });

  test('forgets saved users whose time has passed, and has no more than it may', async () => {
    const clock = new ManualClock();
    const users = directoryOf(await openJournal(newPath()), { clock, maxUsers: 3, ttl: 10 * day });
    const at = clock.now() / 1_000;
    const seen = (id: string, lastSeen: number) => ({ id, createdAt: '2025-01-01T00:00:00.000Z', lastSeen });
    users.import([
      seen('old', at - 11 * day),
      seen('a', at - 9 * day),
      seen('future', at + day),
      seen('b', at),
      seen('c', at),
    ]);
    expect((await allOf(users)).map(({ id }) => id)).toEqual(['a', 'b', 'future']);
    clock.advance(10 * day + 60_000);
    expect(users.size).toBe(0);
  });

  test('is as it was, whatever was set and removed at once, and however often its journal was written anew', async () => {
    const ids = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f');
    const step = fc.record({ id: ids, what: fc.constantFrom('bucket', 'queue', 'remove', 'see'), wait: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const path = newPath();
        const clock = new ManualClock();
        const users = directoryOf(await openJournal(path), { clock });
        const running: unknown[] = [];
        for (const { id, what, wait } of steps) {
          clock.advance(1);
          if (what === 'remove') running.push(users.remove(id));
          else if (what === 'see') running.push(users.see(id));
          else running.push(users.set(id, what === 'bucket' ? bucket : queue));
          if (wait) await running.at(-1);
        }
        await Promise.all(running);
        await users.close();
        const again = directoryOf(await openJournal(path), { clock });
        const own = (await allOf(users)).filter(({ limits }) => limits !== undefined);
        expect(await allOf(again)).toEqual(own);
      }),
      { numRuns: 30 },
    );
  });

  test('has written its journal anew before it has grown far beyond what it says', async () => {
    const [path, clock] = [newPath(), new ManualClock()];
    const journal = await openJournal(path);
    const users = directoryOf(journal, { clock });
    users.see('seen');
    await users.set('gone', bucket);
    await users.remove('gone');
    let largest = 0;
    for (let i = 0; i < 5_000; i += 100) {
      await Promise.all(
        Array.from({ length: 100 }, (_, j) => users.set(`user-${(i + j) % 7}`, { ...bucket, max_tokens: i + j + 1 })),
      );
      largest = Math.max(largest, journal.bytes);
    }
    await users.close();
    const again = directoryOf(await openJournal(path), { clock });
    expect(await allOf(again)).toEqual((await allOf(users)).filter(({ id }) => id !== 'seen'));
    // A record is some 190 bytes: 5,000 of them would be 950,000.
    expect(largest).toBeLessThan(400_000);
    again.import([{ id: 'gone', createdAt: '2026-01-01T00:00:00.000Z', lastSeen: clock.now() / 1_000 }]);
    expect(await again.find('gone')).toBeUndefined();
  });
});

describe('a FileUserDirectory', () => {
  test('shows limits when they are durable, and not before', async () => {
    let durable = () => {};
    const journal: UserJournal = {
      records: [],
      append: () => new Promise((resolve) => (durable = resolve)),
      compact: async () => {},
    };
    const users = directoryOf(journal, {});
    const setting = users.set('alice', bucket);
    expect(await users.find('alice')).toBeUndefined();
    expect(users.see('alice').limits).toBeUndefined();
    durable();
    await setting;
    expect(users.see('alice').limits).toEqual(bucket);
  });

  test('does what is asked of one user in the order in which it is asked', async () => {
    const users = directoryOf(await openJournal(newPath()), {});
    const all = [users.set('alice', bucket), users.remove('alice'), users.remove('alice'), users.set('alice', queue)];
    expect(await Promise.all(all)).toMatchObject([{ limits: bucket }, true, false, { limits: queue }]);
    expect(await users.find('alice')).toMatchObject({ limits: queue });
  });

  test('leaves users as they are where nothing can be written, and says so', async () => {
    const warnings: string[] = [];
    const journal = await openJournal(newPath());
    const users = directoryOf(journal, { warnings });
    await users.set('alice', bucket);
    users.see('bob');
    await journal.close();
    for (const attempt of [
      users.set('alice', queue),
      users.remove('alice'),
      users.remove('bob'),
      users.set('new', queue),
    ]) {
      const problem = (await attempt.catch((error: unknown) => error)) as Problem;
      expect(problem).toMatchObject({ status: 503, detail: expect.stringContaining('is as he was') });
    }
    expect(users.see('alice').limits).toEqual(bucket);
    expect((await allOf(users)).map(({ id }) => id)).toEqual(['alice', 'bob']);
    expect(warnings).toHaveLength(4);
  });

  test('forgets users who have not been seen for long, and none with limits of his own', async () => {
    const clock = new ManualClock();
    const users = directoryOf(await openJournal(newPath()), { clock, ttl: 30 * day });
    users.see('idle');
    users.see('busy');
    await users.set('vip', bucket);
    for (let i = 0; i < 60; i++) {
      clock.advance(day / 2);
      users.see('busy');
    }
    expect((await allOf(users)).map(({ id }) => id)).toEqual(['busy', 'idle', 'vip']);
    clock.advance(60_000);
    expect(await users.find('idle')).toBeUndefined();
    expect((await allOf(users)).map(({ id }) => id)).toEqual(['busy', 'vip']);
    expect(users.size).toBe(2);
    expect(users.see('idle').createdAt).toBe(new Date(clock.now() / 1_000).toISOString());
  });

  test('lets who is given limits take the place of who was seen the longest time ago', async () => {
    const clock = new ManualClock();
    const users = directoryOf(await openJournal(newPath()), { clock, maxUsers: 2 });
    users.see('first');
    users.see('second');
    clock.advance(120_000);
    users.see('first');
    await users.set('vip', bucket);
    expect((await allOf(users)).map(({ id }) => id)).toEqual(['first', 'vip']);
    await users.set('first', queue);
    const problem = (await users.set('third', queue).catch((error: unknown) => error)) as Problem;
    expect(problem).toMatchObject({ status: 507, detail: expect.stringContaining('--max-users') });
    expect(await users.set('first', bucket)).toMatchObject({ limits: bucket });
    expect((await allOf(users)).map(({ id }) => id)).toEqual(['first', 'vip']);
  });

  test('shows pages in the order of the ids', async () => {
    const users = directoryOf(await openJournal(newPath()), { maxUsers: 100_000 });
    const ids = Array.from({ length: 25_000 }, (_, i) => `user-${(i * 7_919) % 25_000}`);
    for (const id of ids) users.see(id);
    const found: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await users.page(6_000, cursor);
      found.push(...page.users.map(({ id }) => id));
      cursor = page.next;
    } while (cursor !== undefined);
    expect(found).toEqual(ids.sort());
  });
});
