import { appendFile, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SluiceError } from '@sluice/core';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Journal } from '../../src/storage/journal.ts';
import { type Fault, faultyDisk, type Step } from './faulty-disk.ts';
import { temporaryDirectory } from './program.ts';

async function journalPath(): Promise<string> {
  return join(await temporaryDirectory(), 'rules.journal');
}

/** A journal of `count` records, closed again. */
async function written(count: number): Promise<{ readonly path: string; readonly bytes: Buffer }> {
  const path = await journalPath();
  const journal = await Journal.open<string>(path, { kind: 'numbers' });
  for (let i = 1; i <= count; i++) await journal.append(`record ${i}`);
  await journal.close();
  return { path, bytes: await readFile(path) };
}

async function recordsOf(path: string): Promise<readonly unknown[]> {
  const journal = await Journal.open(path, { kind: 'numbers' });
  await journal.close();
  return journal.records;
}

async function faultOf(promise: Promise<unknown>): Promise<SluiceError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(SluiceError);
  return error as SluiceError;
}

describe('a journal', () => {
  test('gives back what was appended, in order, whatever JSON can say', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.jsonValue()), async (records) => {
        const path = await journalPath();
        const journal = await Journal.open<unknown>(path, { kind: 'numbers' });
        expect(journal.records).toEqual([]);
        await Promise.all(records.map((record) => journal.append(record)));
        const { bytes } = journal;
        await journal.close();
        expect((await stat(path)).size).toBe(bytes);
        expect(await recordsOf(path)).toEqual(JSON.parse(JSON.stringify(records)));
      }),
      { numRuns: 30 },
    );
  });

  test('is readable for its owner only, and every line is JSON', async () => {
    const { path, bytes } = await written(2);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    const lines = bytes.toString().trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([
      { sluice: 'journal', format: 1, first: 1 },
      { seq: 1, record: 'record 1' },
      { seq: 2, record: 'record 2' },
    ]);
  });

  test('shares one sync among the appends that wait together', async () => {
    let syncs = 0;
    const disk = faultyDisk((step) => {
      if (step === 'datasync') syncs++;
      return undefined;
    });
    const journal = await Journal.open<number>(await journalPath(), { kind: 'numbers', disk });
    syncs = 0;
    await Promise.all(Array.from({ length: 500 }, (_, i) => journal.append(i)));
    await journal.close();
    expect(syncs).toBe(2);
  });

  test('acknowledges nothing before it is synced', async () => {
    const steps: string[] = [];
    const disk = faultyDisk((step) => {
      steps.push(step);
      return undefined;
    });
    const journal = await Journal.open<number>(await journalPath(), { kind: 'numbers', disk });
    steps.length = 0;
    await journal.append(1).then(() => steps.push('acknowledged'));
    await journal.close();
    expect(steps).toEqual(['write', 'datasync', 'acknowledged']);
  });

  test('goes on with an append that comes as the one before it is acknowledged', async () => {
    const journal = await Journal.open<number>(await journalPath(), { kind: 'numbers' });
    for (let turns = 0; turns < 12; turns++) {
      await journal.append(turns);
      for (let i = 0; i < turns; i++) await undefined;
    }
    await journal.close();
    expect(await recordsOf(journal.path)).toHaveLength(12);
  });

  test('writes what is waiting when it is closed, and takes no more', async () => {
    const journal = await Journal.open<number>(await journalPath(), { kind: 'numbers' });
    const appends = [journal.append(1), journal.append(2)];
    await journal.close();
    await Promise.all(appends);
    expect((await faultOf(journal.append(3))).code).toBe('CLOSED');
    expect(await recordsOf(journal.path)).toEqual([1, 2]);
  });

  test('refuses what JSON cannot say, and goes on', async () => {
    const journal = await Journal.open<unknown>(await journalPath(), { kind: 'numbers' });
    expect((await faultOf(journal.append(undefined))).code).toBe('INVALID_OPTION');
    await journal.append(1);
    await journal.close();
    expect(await recordsOf(journal.path)).toEqual([1]);
  });
});

describe('a journal whose last append was cut short', () => {
  test('goes on without it at any byte, and keeps the bytes beside', async () => {
    const { path, bytes } = await written(2);
    const start = bytes.lastIndexOf(0x0a, -2) + 1;
    // Without its line end alone, the record is whole.
    for (let length = start + 1; length < bytes.length - 1; length++) {
      await writeFile(path, bytes.subarray(0, length));
      const journal = await Journal.open<string>(path, { kind: 'numbers' });
      expect(journal.records).toEqual(['record 1']);
      expect(await readFile(journal.torn!)).toEqual(bytes.subarray(start, length));
      await journal.append('record 3');
      await journal.close();
      expect(await recordsOf(path)).toEqual(['record 1', 'record 3']);
    }
  });

  test('keeps a record that lacks its line end only', async () => {
    const { path, bytes } = await written(2);
    await writeFile(path, bytes.subarray(0, -1));
    const journal = await Journal.open<string>(path, { kind: 'numbers' });
    expect(journal.records).toEqual(['record 1', 'record 2']);
    expect(journal.torn).toBe(undefined);
    await journal.append('record 3');
    await journal.close();
    expect(await recordsOf(path)).toEqual(['record 1', 'record 2', 'record 3']);
  });

  test('and where the disk had only made room for it', async () => {
    const { path } = await written(1);
    await appendFile(path, Buffer.alloc(50));
    const journal = await Journal.open<string>(path, { kind: 'numbers' });
    expect(journal.records).toEqual(['record 1']);
    expect(await readFile(journal.torn!)).toEqual(Buffer.alloc(50));
    await journal.close();
  });
});

describe('a damaged journal is refused, and left as it is', () => {
  /** What is said of a journal of three records with these bytes in its place. */
  async function said(change: (bytes: Buffer) => Buffer): Promise<string> {
    const { path, bytes } = await written(3);
    const changed = change(Buffer.from(bytes));
    await writeFile(path, changed);
    const { code, message } = await faultOf(Journal.open(path, { kind: 'numbers' }));
    expect(code).toBe('UNUSABLE_STATE');
    expect(message).toContain(path);
    expect(await readFile(path)).toEqual(changed);
    expect(await readdir(join(path, '..'))).toEqual(['rules.journal']);
    return message;
  }
  const lineStart = (bytes: Buffer, line: number) => {
    let at = 0;
    for (let i = 1; i < line; i++) at = bytes.indexOf(0x0a, at) + 1;
    return at;
  };

  test('wherever a bit is flipped', async () => {
    const { path, bytes } = await written(3);
    for (let at = 0; at < bytes.length; at++) {
      const flipped = Buffer.from(bytes);
      flipped[at]! ^= 1 << (at % 8);
      await writeFile(path, flipped);
      const { code, message } = await faultOf(Journal.open(path, { kind: 'numbers' }));
      expect(code).toBe('UNUSABLE_STATE');
      const line = bytes.subarray(0, at).filter((byte) => byte === 0x0a).length + 1;
      // A line that has lost its end is one with the next; one that has got another is two.
      expect(message).toContain(`${path} is damaged: line ${line}, at byte ${lineStart(bytes, line)}: `);
      expect(await readFile(path)).toEqual(flipped);
    }
  });

  test('with the line and the byte, where a line is gone', async () => {
    const { bytes } = await written(3);
    const second = lineStart(bytes, 2);
    const third = lineStart(bytes, 3);
    expect(await said((all) => Buffer.concat([all.subarray(0, second), all.subarray(third)]))).toContain(
      `line 2, at byte ${second}: record 1 should stand there, not record 2`,
    );
  });

  test('where a line stands twice', async () => {
    const message = await said((all) => Buffer.concat([all, all.subarray(lineStart(all, 4))]));
    expect(message).toContain('line 5, at byte');
    expect(message).toContain('record 4 should stand there, not record 3');
  });

  test('where it is a journal of something else', async () => {
    const { path, bytes } = await written(3);
    const { code, message } = await faultOf(Journal.open(path, { kind: 'letters' }));
    expect(code).toBe('UNUSABLE_STATE');
    expect(message).toContain(`${path} is a journal of numbers, where one of letters is expected (line 1). `);
    expect(await readFile(path)).toEqual(bytes);
  });

  test('with the line and the byte, where a record is not of its kind, also where the end of its line is missing', async () => {
    const { path, bytes } = await written(3);
    const isRecord = (record: unknown): record is string => record !== 'record 3';
    for (const found of [bytes, bytes.subarray(0, -1)]) {
      await writeFile(path, found);
      const { code, message } = await faultOf(Journal.open(path, { kind: 'numbers', isRecord }));
      expect(code).toBe('UNUSABLE_STATE');
      expect(message).toContain(
        `${path} is damaged: line 4, at byte ${lineStart(bytes, 4)}: it is not a record of a journal of numbers.`,
      );
      expect(await readFile(path)).toEqual(found);
    }
  });

  test('where garbage stands at its end', async () => {
    expect(await said((all) => Buffer.concat([all, Buffer.from('garbage')]))).toMatch(
      /line 5, at byte \d+: it is not a record, nor the beginning of one\. .*truncate -s \d+ /,
    );
  });

  test('where it is empty, something else, or of another format', async () => {
    expect(await said(() => Buffer.alloc(0))).toContain('line 1, at byte 0: it is not the first line of a journal');
    expect(await said(() => Buffer.from('rules: []\n'))).toContain('move it away');
    expect(await said((all) => Buffer.from(all.toString().replace('"format":1', '"format":2')))).toContain(
      'its format is 2, and this version knows 1 only',
    );
  });
});

describe('a journal on a disk that fails', () => {
  async function failing(): Promise<{ journal: Journal<string>; fail(fault: (step: Step) => Fault): void }> {
    let faults: (step: Step) => Fault = () => undefined;
    const disk = faultyDisk((step) => faults(step));
    const journal = await Journal.open<string>(await journalPath(), { kind: 'numbers', disk });
    await journal.append('first');
    return { journal, fail: (fault) => (faults = fault) };
  }

  test.each([0, 1, 20])(
    'rejects what a full disk takes %i bytes of, and goes on when there is room',
    async (written) => {
      const { journal, fail } = await failing();
      fail((step) => (step === 'write' ? { code: 'ENOSPC', written } : undefined));
      const { code, message } = await faultOf(journal.append('second'));
      expect(code).toBe('STORE_UNAVAILABLE');
      expect(message).toContain('The disk is full: make room on it.');
      expect(await recordsOf(journal.path)).toEqual(['first']);
      fail(() => undefined);
      await journal.append('third');
      await journal.close();
      expect(await recordsOf(journal.path)).toEqual(['first', 'third']);
    },
  );

  test('writes nothing more where half a line cannot be cut off', async () => {
    const { journal, fail } = await failing();
    fail((step) => (step === 'write' || step === 'truncate' ? { code: 'EIO', written: 20 } : undefined));
    await faultOf(journal.append('second'));
    fail(() => undefined);
    expect((await faultOf(journal.append('third'))).message).toContain('Start the service again');
    expect((await faultOf(journal.compact(new Set(['all']).values()))).code).toBe('STORE_UNAVAILABLE');
    await journal.close();
    expect(await recordsOf(journal.path)).toEqual(['first']);
  });

  test('writes nothing more after a sync that failed', async () => {
    const { journal, fail } = await failing();
    fail((step) => (step === 'datasync' ? { code: 'EIO' } : undefined));
    await faultOf(journal.append('second'));
    fail(() => undefined);
    expect((await faultOf(journal.append('third'))).message).toContain('not known what the disk holds');
    await journal.close();
    expect(await recordsOf(journal.path)).toEqual(['first']);
  });

  test.each<Step>(['open', 'write', 'datasync', 'rename'])(
    'goes on with the old file where a compaction fails at %s',
    async (failingStep) => {
      const { journal, fail } = await failing();
      fail((step) => (step === failingStep ? { code: 'ENOSPC' } : undefined));
      expect((await faultOf(journal.compact(new Set(['all']).values()))).message).toContain('cannot be compacted');
      fail(() => undefined);
      await journal.append('second');
      await journal.close();
      expect(await recordsOf(journal.path)).toEqual(['first', 'second']);
      expect(await readdir(join(journal.path, '..'))).toEqual(['rules.journal']);
    },
  );

  test('writes nothing more where it is not known which file a compaction has left', async () => {
    const { journal, fail } = await failing();
    fail((step) => (step === 'syncDirectory' ? { code: 'EIO' } : undefined));
    await faultOf(journal.compact(new Set(['all']).values()));
    fail(() => undefined);
    expect((await faultOf(journal.append('second'))).code).toBe('STORE_UNAVAILABLE');
    await journal.close();
    expect(await recordsOf(journal.path)).toEqual(['all']);
  });
});

describe('a compaction', () => {
  test('leaves what it was given, and what is appended meanwhile and later, with numbers that go on', async () => {
    const journal = await Journal.open<string>(await journalPath(), { kind: 'numbers' });
    for (let i = 0; i < 50; i++) await journal.append('x'.repeat(100));
    const before = journal.bytes;
    const compaction = journal.compact(new Set(['all', 'that']).values());
    const meanwhile = journal.append('meanwhile');
    await Promise.all([compaction, meanwhile]);
    expect(journal.bytes).toBeLessThan(before);
    await journal.append('later');
    await journal.close();
    expect(await recordsOf(journal.path)).toEqual(['all', 'that', 'meanwhile', 'later']);
    expect((await readFile(journal.path, 'utf8')).split('\n')[0]).toContain('"first":51');
  });

  test('keeps every acknowledged record of many writers, whenever one of them asks for it', async () => {
    const journal = await Journal.open<{ key: number; value: number }>(await journalPath(), { kind: 'numbers' });
    const state = new Map<number, { key: number; value: number }>();
    let isCompacting = false;
    let compactions = 0;
    await Promise.all(
      Array.from({ length: 20 }, async (_, key) => {
        for (let value = 0; value < 60; value++) {
          const record = { key, value };
          await journal.append(record);
          // The state comes to know of it some steps later, as through a few functions that wait for one another.
          for (let i = 0; i < key % 5; i++) await undefined;
          state.set(key, record);
          if (value % 20 !== key || isCompacting) continue;
          isCompacting = true;
          await journal.compact(state.values());
          isCompacting = false;
          compactions++;
        }
      }),
    );
    await journal.close();
    const found = new Map(
      ((await recordsOf(journal.path)) as { key: number; value: number }[]).map((r) => [r.key, r.value]),
    );
    expect(compactions).toBeGreaterThan(3);
    expect([...found].sort(([a], [b]) => a - b)).toEqual(Array.from({ length: 20 }, (_, key) => [key, 59]));
  });

  test('refuses a list while other appends are under way, which would be lost, and a second one at a time', async () => {
    const journal = await Journal.open<string>(await journalPath(), { kind: 'numbers' });
    const append = journal.append('first');
    expect((await faultOf(journal.compact([]))).message).toContain('records are being appended');
    await append;
    const compaction = journal.compact(['first']);
    expect((await faultOf(journal.compact(['second']))).message).toContain('being compacted already');
    await compaction;
    await journal.close();
    expect(await recordsOf(journal.path)).toEqual(['first']);
  });
});
