import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type {
  Change,
  Configuration,
  ConfigurationStore,
  Expected,
  ListName,
  RuleDocument,
} from '../../src/configuration/configuration.ts';

export function rule(id: string, more: Partial<RuleDocument> = {}): RuleDocument {
  return { id, endpoint: '/login', limit: 5, window: '1m', ...more };
}

export function ruleChange(id: string, more: Partial<RuleDocument> = {}): Change {
  return { kind: 'rules', id, value: rule(id, more) };
}

export function entryChange(kind: ListName, entry: string, more: { expiresAt?: string; note?: string } = {}): Change {
  return { kind, id: entry, value: { entry, ...more } };
}

/** An instance: a store of its own over what the instances share. */
export interface StoreFixture {
  /** A store over what is there; the second one sees what the first has written. */
  open(): Promise<ConfigurationStore>;
  close(): Promise<void>;
}

/** What is kept, told in a form that can be compared. */
function told({ version, rules, allow, block }: Configuration): unknown {
  return { version, rules: [...rules], allow: [...allow], block: [...block] };
}

/** A text of so many thousand bytes. */
export function text(thousands: number): string {
  return 'x'.repeat(thousands * 1_000);
}

/** Declares what every ConfigurationStore must do. `create` makes an empty one. */
export function configurationStoreSuite(name: string, create: () => Promise<StoreFixture>): void {
  describe(name, () => {
    let fixture: StoreFixture;
    let store: ConfigurationStore;

    beforeEach(async () => {
      fixture = await create();
      store = await fixture.open();
    });
    afterEach(async () => {
      await store.close();
      await fixture.close();
    });

    async function write(change: Change, expected: Expected = 'anything') {
      const written = await store.write(change, 'loopback', expected);
      if (written.outcome !== 'written') throw new Error(`conflict: ${JSON.stringify(written.found)}`);
      return written.entry;
    }

    test('ends a page of the audit log at 4 MiB, with one entry at least, and goes on before the last of them', async () => {
      for (let limit = 1; limit <= 9; limit++) await write(ruleChange('a', { limit, description: text(900) }));
      const pages: number[][] = [];
      for (let before: number | undefined; before !== 1; before = pages.at(-1)!.at(-1)!) {
        pages.push((await store.audit(1_000, before)).map(({ version }) => version));
      }
      // Each has what was before and after, but the first.
      expect(pages).toEqual([[9, 8], [7, 6], [5, 4], [3, 2], [1]]);
    });

    test('holds nothing, at version 0, before the first write', async () => {
      expect(told(await store.load())).toEqual({ version: 0, rules: [], allow: [], block: [] });
      expect(await store.version()).toBe(0);
      expect(await store.audit(10)).toEqual([]);
    });

    test('keeps a rule as it was written, with the version and the times of the write', async () => {
      const before = Date.now() - 1_000;
      const document = rule('login', {
        description: 'é "quotes" \\ \n 🙂  two spaces',
        methods: [],
        lists: { allow: [], block: ['user:1 2'] },
        limit: 9007199254740991,
        burst: 1234567890123456,
      });
      const entry = await write({ kind: 'rules', id: 'login', value: document });
      expect(entry).toMatchObject({ version: 1, by: 'loopback', kind: 'rules', id: 'login', before: null });
      const at = Date.parse(entry.at);
      expect(at).toBeGreaterThanOrEqual(before);
      expect(at).toBeLessThanOrEqual(Date.now() + 1_000);
      const stored = { rule: document, version: 1, createdAt: entry.at, updatedAt: entry.at };
      expect(entry.after).toEqual(stored);
      expect((await store.load()).rules.get('login')).toEqual(stored);
    });

    test('keeps the entries of both lists apart', async () => {
      await write(entryChange('allow', '203.0.113.0/24', { note: 'office' }));
      await write(entryChange('block', '203.0.113.0/24', { expiresAt: '2030-01-01T00:00:00Z' }));
      const { allow, block } = await store.load();
      expect(allow.get('203.0.113.0/24')).toMatchObject({ entry: '203.0.113.0/24', note: 'office', version: 1 });
      expect(allow.get('203.0.113.0/24')).not.toHaveProperty('expiresAt');
      expect(block.get('203.0.113.0/24')).toMatchObject({ expiresAt: '2030-01-01T00:00:00Z', version: 2 });
      expect(block.get('203.0.113.0/24')).not.toHaveProperty('updatedAt');
    });

    test('replaces a rule, and remembers when it was created', async () => {
      const first = await write(ruleChange('a'));
      const second = await write(ruleChange('a', { limit: 6 }));
      expect(second.before).toEqual(first.after);
      expect(second.after).toMatchObject({ rule: { limit: 6 }, version: 2, createdAt: first.at, updatedAt: second.at });
      expect((await store.load()).rules.size).toBe(1);
    });

    test('removes what is written as null, and tells what it was', async () => {
      const first = await write(ruleChange('a'));
      const removal = await write({ kind: 'rules', id: 'a', value: null });
      expect(removal).toMatchObject({ version: 2, before: first.after, after: null });
      const left = await store.load();
      expect(left.rules.size).toBe(0);
      expect(left.version).toBe(2);
    });

    test('lists what it keeps in the order of the ids', async () => {
      for (const id of ['b', '__proto__', 'a', 'Z', '10', '9']) await write(ruleChange(id));
      expect([...(await store.load()).rules.keys()]).toEqual(['10', '9', 'Z', '__proto__', 'a', 'b']);
    });

    test.each<[string, Expected, 'written' | 'conflict', 'written' | 'conflict']>([
      ['anything', 'anything', 'written', 'written'],
      ['absent', 'absent', 'written', 'conflict'],
      ['present', 'present', 'conflict', 'written'],
      ['its version', [1], 'conflict', 'written'],
      ['its version among others', [7, 1, 11], 'conflict', 'written'],
      ['another version', [11, 2, 0], 'conflict', 'conflict'],
      ['no version at all', [], 'conflict', 'conflict'],
    ])('a writer who expects %s is heard where that is so', async (_, expected, onNothing, onVersion1) => {
      const other = entryChange('block', 'user:1');
      await write(ruleChange('there'));
      const nothing = await store.write(ruleChange('new'), 'me', expected);
      expect(nothing.outcome).toBe(onNothing);
      if (nothing.outcome === 'conflict') expect(nothing.found).toBeNull();
      const something = await store.write(ruleChange('there', { limit: 9 }), 'me', expected);
      expect(something.outcome).toBe(onVersion1);
      if (something.outcome === 'conflict') {
        expect(something.found).toEqual((await store.load()).rules.get('there'));
        expect(something.found).toMatchObject({ version: 1, rule: { limit: 5 } });
      }
      const granted = [onNothing, onVersion1].filter((outcome) => outcome === 'written').length;
      expect((await write(other)).version).toBe(granted + 2);
    });

    test('an entry of a list that has ended is absent, and comes back as a new one', async () => {
      const ended = entryChange('block', 'user:1', { expiresAt: '2020-01-01T00:00:00Z' });
      const first = await write(ended);
      await write(entryChange('block', 'user:2', { expiresAt: '2099-01-01T00:00:00Z' }));
      const absent = { outcome: 'conflict', found: null };
      expect(await store.write({ ...ended, value: null } as Change, 'me', 'present')).toEqual(absent);
      expect(await store.write(ended, 'me', 'present')).toEqual(absent);
      expect(await store.write(ended, 'me', [1])).toEqual(absent);
      const other = entryChange('block', 'user:2');
      expect(await store.write(other, 'me', 'absent')).toMatchObject({ outcome: 'conflict', found: { version: 2 } });
      const again = await write(entryChange('block', 'user:1', { note: 'again' }), 'absent');
      expect(again).toMatchObject({ version: 3, before: null, after: { note: 'again', createdAt: again.at } });
      expect((await store.load()).block.get('user:1')).toEqual(again.after);
      expect((await store.audit(10)).map(({ after }) => after)).toContainEqual(first.after);
    });

    test('an entry that has ended can be removed by its version, and the audit log tells what it was', async () => {
      const first = await write(entryChange('allow', 'user:1', { expiresAt: '2020-01-01T00:00:00Z' }));
      const removal: Change = { kind: 'allow', id: 'user:1', value: null };
      expect(await store.write(removal, 'expiry', [7])).toMatchObject({ outcome: 'conflict' });
      expect(await write(removal, [1])).toMatchObject({ before: first.after, after: null });
      expect((await store.load()).allow.size).toBe(0);
    });

    test('of many who create the same rule at once, one does, and the others are told of it', async () => {
      const writes = Array.from({ length: 20 }, (_, i) => store.write(ruleChange('a', { limit: i }), 'me', 'absent'));
      const outcomes = await Promise.all(writes);
      const winners = outcomes.filter((written) => written.outcome === 'written');
      expect(winners).toHaveLength(1);
      for (const written of outcomes) {
        if (written.outcome === 'conflict') expect(written.found).toEqual(winners[0]!.entry.after);
      }
      expect(await store.version()).toBe(1);
    });

    test('many writes at once get consecutive versions, and the audit log tells of each', async () => {
      const writes = await Promise.all(
        Array.from({ length: 50 }, (_, i) => write(ruleChange(`r${i % 7}`, { limit: i }))),
      );
      expect(writes.map(({ version }) => version).sort((a, b) => a - b)).toEqual(writes.map((_, i) => i + 1));
      const told = await store.audit(100);
      expect(told).toHaveLength(50);
      expect(told.toReversed()).toEqual(writes.toSorted((a, b) => a.version - b.version));
    });

    test('tells the latest writes first, page by page', async () => {
      for (let i = 1; i <= 7; i++) await write(ruleChange('a', { limit: i }));
      const versions = async (limit: number, before?: number) =>
        (await store.audit(limit, before)).map(({ version }) => version);
      expect(await versions(3)).toEqual([7, 6, 5]);
      expect(await versions(3, 5)).toEqual([4, 3, 2]);
      expect(await versions(3, 2)).toEqual([1]);
      expect(await versions(3, 1)).toEqual([]);
      expect(await versions(3, 0)).toEqual([]);
      expect(await versions(3, 100)).toEqual([7, 6, 5]);
      expect(await versions(0)).toEqual([]);
    });

    test('what was loaded stays as it was when more is written', async () => {
      await write(ruleChange('a'));
      const before = await store.load();
      await write(ruleChange('b'));
      expect([...before.rules.keys()]).toEqual(['a']);
      expect(before.version).toBe(1);
    });

    test('tells those who listen of each write, until they listen no more', async () => {
      let calls = 0;
      let hear: () => void = () => {};
      const off = store.onChange(() => {
        calls++;
        hear();
      });
      await heardAfter(() => write(ruleChange('a')));
      off();
      const until = calls;
      let second = 0;
      const offSecond = store.onChange(() => {
        second++;
        hear();
      });
      await heardAfter(() => write(ruleChange('b')));
      offSecond();
      expect(calls).toBe(until);
      expect(second).toBeGreaterThan(0);

      async function heardAfter(act: () => Promise<unknown>): Promise<void> {
        const heard = new Promise<void>((resolve) => {
          hear = resolve;
        });
        await act();
        await heard;
      }
    });

    test('a store that is opened later finds the configuration and the audit log', async () => {
      await write(ruleChange('a'));
      await write(entryChange('allow', 'user:1'));
      await write({ kind: 'rules', id: 'a', value: null });
      await write(ruleChange('b', { unlimited: true }));
      const [configuration, audit] = [told(await store.load()), await store.audit(10)];
      await store.close();
      const again = await fixture.open();
      expect(told(await again.load())).toEqual(configuration);
      expect(await again.version()).toBe(4);
      expect(await again.audit(10)).toEqual(audit);
      store = again;
    });

    test('recovers nothing where nothing is lost', async () => {
      await write(ruleChange('a'));
      const inForce = await store.load();
      for (const from of ['service', 'storage'] as const) {
        await expect(store.recover(from, inForce, 'me')).rejects.toMatchObject({ status: 409 });
      }
      expect(told(await store.load())).toEqual(told(inForce));
    });

    test('refuses writes once it is closed', async () => {
      await store.close();
      await expect(store.write(ruleChange('a'), 'me', 'anything')).rejects.toMatchObject({ status: 503 });
    });
  });
}
