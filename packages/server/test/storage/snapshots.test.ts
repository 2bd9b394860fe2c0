import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { compilePolicies, MemoryStore, SluiceError } from '@sluice/core';
import { ManualClock } from '@sluice/testing';
import { describe, expect, test } from 'vitest';
import type { Disk } from '../../src/storage/disk.ts';
import { Snapshots } from '../../src/storage/snapshots.ts';
import { readWhole, saveWhole } from '../../src/storage/whole-file.ts';
import { type Fault, faultyDisk, type Step } from './faulty-disk.ts';
import { temporaryDirectory } from './program.ts';

const [policy] = compilePolicies([{ limit: 10, window: '1h', algorithm: 'token-bucket' }], 'test');

function take(store: MemoryStore, key: string, cost = 1) {
  return store.consume([{ policy: policy!, key, cost }])[0]!;
}

function left(store: MemoryStore, key: string): number {
  return store.peek([{ policy: policy!, key, cost: 0 }])[0]!.remaining;
}

async function setUp(disk?: Disk) {
  const clock = new ManualClock();
  const file = join(await temporaryDirectory(), 'counts');
  const warnings: string[] = [];
  const logger = { warn: (message: string) => void warnings.push(message) };
  const store = new MemoryStore({ clock });
  const open = (of: MemoryStore) => Snapshots.open({ store: of, file, clock, logger, ...(disk && { disk }) });
  return { clock, file, warnings, store, open, snapshots: open(store) };
}

/** Counts the saves of a disk, and fails some of its steps. */
function watched() {
  const state = { saves: 0, faultOf: (_step: Step): Fault => undefined };
  const disk = faultyDisk((step) => {
    if (step === 'rename') state.saves++;
    return state.faultOf(step);
  });
  return { state, disk };
}

describe('snapshots', () => {
  test('bring back at the start what was counted until the close', async () => {
    const { file, clock, store, open, snapshots } = await setUp();
    take(store, 'alice', 7);
    await snapshots.close();
    expect((await stat(file)).mode & 0o777).toBe(0o600);

    clock.advance(360_000);
    const next = new MemoryStore({ clock });
    open(next);
    expect(left(next, 'alice')).toBe(4);
    expect(left(next, 'alice')).toBe(left(store, 'alice'));
  });

  test('are saved every ten seconds, only if something has changed', async () => {
    const { state, disk } = watched();
    const { clock, store, snapshots } = await setUp(disk);
    await clock.pass(60_000);
    expect(state.saves).toBe(0);
    for (const [key, saves] of [
      ['alice', 1],
      ['bob', 2],
    ] as const) {
      take(store, key);
      clock.advance(10_000);
      await expect.poll(() => state.saves).toBe(saves);
      await snapshots.save();
      await clock.pass(30_000);
      expect(state.saves).toBe(saves);
    }
    await snapshots.close();
    expect(state.saves).toBe(2);
    expect(clock.pending).toBe(1); // The sweep of the store.
  });

  test('are never saved twice at a time, and the last one holds everything', async () => {
    const { state, disk } = watched();
    let open = 0;
    state.faultOf = (step) => {
      if (step === 'open') expect(++open).toBe(1);
      if (step === 'rename') open--;
      return undefined;
    };
    const { clock, file, store, snapshots } = await setUp(disk);
    const saves: Promise<void>[] = [];
    for (let i = 0; i < 10; i++) {
      take(store, `key ${i}`);
      saves.push(snapshots.save());
      clock.advance(10_000);
    }
    saves.push(snapshots.close());
    await Promise.all(saves);
    const next = new MemoryStore({ clock });
    next.restore([(await readWhole(file))!]);
    expect(next.size).toBe(10);
  });

  test('go on after a disk that was full, which is said once', async () => {
    const { state, disk } = watched();
    const { clock, file, store, warnings, snapshots } = await setUp(disk);
    take(store, 'alice');
    await snapshots.save();
    const before = await readFile(file);
    take(store, 'alice');
    state.faultOf = (step) => (step === 'write' ? { code: 'ENOSPC', written: 5 } : undefined);
    for (const failures of [1, 2, 3]) {
      clock.advance(10_000);
      await expect.poll(() => snapshots.failures).toBe(failures);
      // The next timer is set when this save is over.
      await expect.poll(() => clock.pending).toBe(2);
    }
    expect(warnings).toEqual([expect.stringContaining('The disk is full: make room on it.')]);
    expect(await readFile(file)).toEqual(before);
    expect(await readdir(join(file, '..'))).toEqual(['counts']);
    await expect(snapshots.close()).rejects.toThrow('cannot be saved');

    state.faultOf = () => undefined;
    await snapshots.close();
    expect(snapshots.failures).toBe(0);
    expect(await readFile(file)).not.toEqual(before);
  });

  test('that are damaged are an error with file, position and remedy, and stay as they are', async () => {
    const { clock, file, store, open, snapshots } = await setUp();
    for (let i = 0; i < 100; i++) take(store, `key ${i}`);
    await snapshots.close();
    const bytes = await readFile(file);
    bytes[500]! ^= 1;
    await writeFile(file, bytes);
    const next = new MemoryStore({ clock });
    let error: unknown;
    try {
      open(next);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(SluiceError);
    expect(error).toMatchObject({ code: 'UNUSABLE_STATE' });
    expect((error as Error).message).toMatch(/counts is damaged, and was left as it is\. .*at byte 8, .*mv '.*counts'/);
    expect(await readFile(file)).toEqual(bytes);
    expect(next.size).toBe(0);
  });
});

describe('a whole file', () => {
  test('is as it was, or as it is to be, wherever the saving fails', async () => {
    const path = join(await temporaryDirectory(), 'file');
    expect(await readWhole(path)).toBe(undefined);
    await saveWhole(path, [Buffer.from('old'), Buffer.from(' text')]);
    for (const failing of ['open', 'write', 'datasync', 'rename'] as const) {
      const disk = faultyDisk((step) => (step === failing ? { code: 'ENOSPC', written: 2 } : undefined));
      await expect(saveWhole(path, [Buffer.from('new')], disk)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
      expect((await readWhole(path))!.toString()).toBe('old text');
      expect(await readdir(join(path, '..'))).toEqual(['file']);
    }
    await saveWhole(path, [Buffer.from('new')]);
    expect((await readWhole(path))!.toString()).toBe('new');
  });

  test('is what was saved last, where two save at once', async () => {
    const path = join(await temporaryDirectory(), 'file');
    await Promise.all(['a', 'b', 'c'].map((text) => saveWhole(path, Array(50).fill(Buffer.from(text)))));
    expect((await readWhole(path))!.toString()).toBe('c'.repeat(50));
  });

  test('that cannot be read is an error, and not absent', async () => {
    const directory = await temporaryDirectory();
    await expect(readWhole(directory)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
  });
});
