import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ManualClock } from '@sluice/testing';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Change, ConfigurationStore, Expected } from '../../src/configuration/configuration.ts';
import { type ConfigurationRecord, isConfigurationRecord } from '../../src/configuration/file-record.ts';
import { FileConfigurationStore } from '../../src/configuration/file-store.ts';
import { Journal } from '../../src/storage/journal.ts';
import { MemoryJournal } from './memory-journal.ts';
import { configurationStoreSuite, entryChange, ruleChange, text } from './store-suite.ts';

configurationStoreSuite('FileConfigurationStore over a journal on disk', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-configuration-'));
  let journal: Journal<ConfigurationRecord> | undefined;
  return {
    open: async () => {
      await journal?.close();
      journal = await Journal.open(join(folder, 'configuration.journal'), {
        kind: 'rules',
        isRecord: isConfigurationRecord,
      });
      return new FileConfigurationStore(journal, { growth: 2_000 });
    },
    close: async () => {
      await journal?.close();
      await rm(folder, { recursive: true });
    },
  };
});

describe('a FileConfigurationStore', () => {
  const write = (store: ConfigurationStore, change: Change, expected: Expected = 'anything') =>
    store.write(change, 'me', expected);

  test('forgets the oldest writes where the audit log takes too many bytes, also when it is opened again', async () => {
    const journal = new MemoryJournal();
    const options = { auditBytes: 100_000, growth: 100_000 };
    const store = new FileConfigurationStore(journal, options);
    for (let limit = 1; limit <= 100; limit++) {
      await write(store, ruleChange('a', { limit, description: text(4) }));
      const told = await store.audit(1_000);
      expect(JSON.stringify(told).length).toBeLessThanOrEqual(101_000);
      // Each takes 8 kB: the latest eight are there, in any case.
      expect(told.map(({ version }) => version).slice(0, 8)).toEqual(
        Array.from({ length: Math.min(limit, 8) }, (_, i) => limit - i),
      );
    }
    expect(journal.bytes).toBeLessThan(400_000);
    const again = new FileConfigurationStore(new MemoryJournal(journal.lines), options);
    expect(JSON.stringify(await again.audit(1_000)).length).toBeLessThanOrEqual(101_000);
    expect(await again.load()).toEqual(await store.load());
    expect((await again.audit(8)).map(({ version }) => version)).toEqual([100, 99, 98, 97, 96, 95, 94, 93]);
  });

  test('keeps the latest write in the audit log, however long it is', async () => {
    const store = new FileConfigurationStore(new MemoryJournal(), { auditBytes: 1_000 });
    for (const id of ['a', 'b']) await write(store, ruleChange(id, { description: text(4) }));
    expect((await store.audit(10)).map(({ version }) => version)).toEqual([2]);
  });

  test('writes its times by the clock it is given', async () => {
    const clock = new ManualClock(Date.UTC(2026, 5, 1));
    const store = new FileConfigurationStore(new MemoryJournal(), { clock });
    await write(store, ruleChange('a'));
    clock.advance(1_500);
    expect(await write(store, ruleChange('a', { limit: 6 }))).toMatchObject({
      entry: { after: { createdAt: '2026-06-01T00:00:00.000Z', updatedAt: '2026-06-01T00:00:01.500Z' } },
    });
  });

  test('shows nothing of a write, and tells nobody, before it is durable', async () => {
    const journal = new MemoryJournal();
    const store = new FileConfigurationStore(journal);
    let calls = 0;
    store.onChange(() => calls++);
    let open = () => {};
    journal.gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    const written = write(store, ruleChange('a'));
    // All that can happen without the journal has happened after this.
    await new Promise((resolve) => setImmediate(resolve));
    expect(await store.version()).toBe(0);
    expect((await store.load()).rules.size).toBe(0);
    expect(await store.audit(10)).toEqual([]);
    expect(calls).toBe(0);
    open();
    await written;
    expect(await store.version()).toBe(1);
    expect(calls).toBe(1);
  });

  test('a write that cannot be stored is answered with 503 and leaves everything as it was', async () => {
    const journal = new MemoryJournal();
    const store = new FileConfigurationStore(journal);
    await write(store, ruleChange('a'));
    journal.failure = Object.assign(new Error("ENOSPC: no space left on device, write '/secret/path'"), {
      code: 'ENOSPC',
    });
    await expect(write(store, ruleChange('a', { limit: 9 }))).rejects.toMatchObject({
      status: 503,
      detail: 'The write could not be put on disk (ENOSPC), and is not in force.',
      cause: journal.failure,
    });
    expect(await store.version()).toBe(1);
    expect((await store.load()).rules.get('a')!.rule.limit).toBe(5);
    expect(await store.audit(10)).toHaveLength(1);
    journal.failure = undefined;
    expect(await write(store, ruleChange('a', { limit: 9 }), [1])).toMatchObject({ entry: { version: 2 } });
  });

  test('a disk that hangs is answered with 503: what it has may yet be made, what waits behind it is not', async () => {
    const clock = new ManualClock();
    const journal = new MemoryJournal();
    const store = new FileConfigurationStore(journal, { clock });
    let open = () => {};
    journal.gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    let heard = 0;
    store.onChange(() => heard++);
    const answers = Promise.allSettled([write(store, ruleChange('a')), write(store, ruleChange('b'))]);
    await clock.pass(4_999);
    const late = Promise.allSettled([write(store, ruleChange('c'))]);
    await clock.pass(1);
    expect(await answers).toMatchObject([
      { reason: { status: 503, detail: expect.stringContaining('not known whether the write was made') } },
      { reason: { status: 503, detail: expect.stringContaining('was not made') } },
    ]);
    open();
    expect(await late).toMatchObject([{ status: 'fulfilled', value: { entry: { version: 2, id: 'c' } } }]);
    // What the disk has made after all is in force, as it is after the next start.
    expect([...(await store.load()).rules.keys()]).toEqual(['a', 'c']);
    expect(heard).toBe(2);
    const again = new FileConfigurationStore(new MemoryJournal(journal.lines));
    expect(await again.load()).toEqual(await store.load());
    expect(clock.pending).toBe(0);
  });

  test.each([
    ['a journal', 2 ** 20],
    ['a compacted journal', 0],
  ])('%s in which an entry comes back after its end tells the same when it is read again', async (_, growth) => {
    const clock = new ManualClock();
    const journal = new MemoryJournal();
    const store = new FileConfigurationStore(journal, { clock, growth, auditLength: 2 });
    const expiresAt = new Date(clock.now() / 1_000 + 1_000).toISOString();
    await write(store, entryChange('block', 'user:1', { expiresAt }));
    clock.advance(1_000);
    const again = await write(store, entryChange('block', 'user:1', { note: 'again' }), 'absent');
    expect(again).toMatchObject({
      entry: { before: null, after: { version: 2, createdAt: '2026-01-01T00:00:01.000Z' } },
    });
    await write(store, ruleChange('a'));
    await store.close();
    const read = new FileConfigurationStore(new MemoryJournal(journal.lines));
    expect(await read.load()).toEqual(await store.load());
    expect(await read.audit(2)).toEqual(await store.audit(2));
  });

  test('close waits for the writes that were asked for before', async () => {
    const journal = new MemoryJournal();
    const store = new FileConfigurationStore(journal);
    const writes = [write(store, ruleChange('a')), write(store, ruleChange('b'))];
    await store.close();
    expect(journal.lines).toHaveLength(2);
    await expect(Promise.all(writes)).resolves.toHaveLength(2);
  });

  test('a compacted journal tells the same configuration and the latest writes', async () => {
    const ids = ['a', 'b', 'c', 'd'];
    const arbitraryChange = fc.record({
      kind: fc.constantFrom('rules' as const, 'allow' as const, 'block' as const),
      id: fc.constantFrom(...ids),
      isRemoval: fc.boolean(),
      limit: fc.nat(9),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(arbitraryChange, { maxLength: 40 }), fc.nat(12), async (changes, auditLength) => {
        const journal = new MemoryJournal();
        // Compacts whenever it has grown by half.
        const store = new FileConfigurationStore(journal, { auditLength, growth: 0 });
        const plain = new FileConfigurationStore(new MemoryJournal());
        for (const { kind, id, isRemoval, limit } of changes) {
          const whole = kind === 'rules' ? ruleChange(id, { limit }) : entryChange(kind, id, { note: `${limit}` });
          const change = isRemoval ? ({ ...whole, value: null } as Change) : whole;
          await write(store, change);
          await write(plain, change);
        }
        await store.close();
        if (changes.length > 0) expect(journal.compactions).toBeGreaterThan(0);
        const again = new FileConfigurationStore(new MemoryJournal(journal.lines));
        const now = await store.load();
        expect(await again.load()).toEqual(now);
        const timeless = ({ rules }: typeof now) => [...rules].map(([id, { rule, version }]) => [id, rule, version]);
        expect(timeless(now)).toEqual(timeless(await plain.load()));
        const kept = await again.audit(100);
        expect(kept.length).toBeGreaterThanOrEqual(Math.min(auditLength, changes.length));
        const told = await store.audit(100);
        expect(told.length).toBeGreaterThanOrEqual(Math.min(auditLength, changes.length));
        const both = Math.min(kept.length, told.length);
        expect(kept.slice(0, both)).toEqual(told.slice(0, both));
        expect(await write(again, ruleChange('new'))).toMatchObject({ entry: { version: changes.length + 1 } });
      }),
      { numRuns: 200 },
    );
  });

  test('a journal does not grow for ever, and is not compacted with every write', async () => {
    const journal = new MemoryJournal();
    const store = new FileConfigurationStore(journal, { auditLength: 10, growth: 5_000 });
    for (let i = 0; i < 1_000; i++) await write(store, ruleChange('a', { limit: i }));
    await store.close();
    expect(journal.bytes).toBeLessThan(20_000);
    expect(journal.compactions).toBeGreaterThan(10);
    expect(journal.compactions).toBeLessThan(200);
  });

  test('a compaction that fails is warned of, and loses nothing', async () => {
    const journal = new MemoryJournal();
    journal.compactionFailure = new Error('ENOSPC');
    const warnings: string[] = [];
    const logger = { warn: (message: string) => warnings.push(message) };
    const store = new FileConfigurationStore(journal, { growth: 0, logger });
    expect(await write(store, ruleChange('a'))).toMatchObject({ outcome: 'written' });
    expect(await write(store, ruleChange('b'))).toMatchObject({ outcome: 'written' });
    await store.close();
    expect(warnings[0]).toContain('could not be compacted, and grows: ENOSPC');
    const again = new FileConfigurationStore(new MemoryJournal(journal.lines));
    expect(await again.load()).toEqual(await store.load());
  });

  const entry = {
    version: 1,
    at: '2026-01-01T00:00:00.000Z',
    by: 'me',
    kind: 'rules',
    id: 'a',
    before: null,
    after: null,
  };
  test.each<[string, object[], string]>([
    ['of a newer format', [{ format: 2, type: 'write', entry }], 'Record 1 is of format 2'],
    ['of no format', [{ type: 'write', entry }], 'Record 1 is of format undefined'],
    ['of an unknown type', [{ format: 1, type: 'note' }], 'Record 1 is no record'],
    ['a write without an entry', [{ format: 1, type: 'write' }], 'Record 1'],
    ['a write twice', [1, 2].map(() => ({ format: 1, type: 'write', entry })), 'Record 2 writes version 1'],
    ['a gap', [{ format: 1, type: 'write', entry: { ...entry, version: 2 } }], 'does not follow'],
    [
      'a write on something else',
      [{ format: 1, type: 'write', entry: { ...entry, before: { version: 7 } } }],
      'does not follow',
    ],
    [
      'a base in the middle',
      [
        { format: 1, type: 'write', entry },
        { format: 1, type: 'base', version: 5 },
      ],
      'Record 2',
    ],
  ])('does not open a journal with %s', (_, records, message) => {
    const lines = records.map((record) => JSON.stringify(record as ConfigurationRecord));
    expect(() => new FileConfigurationStore(new MemoryJournal(lines))).toThrow(
      expect.objectContaining({ code: 'UNUSABLE_STATE', message: expect.stringContaining(message) }),
    );
  });
});
