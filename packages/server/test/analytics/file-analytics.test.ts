import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ManualClock } from '@sluice/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FileAnalytics, type WholeFile } from '../../src/analytics/file-analytics.ts';
import { readWhole, saveWhole } from '../../src/storage/whole-file.ts';
import { analyticsSuite, totals } from './analytics-suite.ts';
import { decision } from './decision.ts';

const minute = 60_000;
const day = 24 * 60 * minute;
const start = Date.UTC(2026, 0, 10, 12);
const all = { from: start, to: start + 10 * minute, by: 'rule', step: minute } as const;
const silent = { warn() {} };

let folder: string;
let files = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-analytics-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

function fileAt(path = join(folder, `analytics-${files++}`)): WholeFile {
  return { path, read: () => readWhole(path), save: (chunks) => saveWhole(path, chunks) };
}

analyticsSuite((clock) => FileAnalytics.open({ file: fileAt(), logger: silent, clock }));

describe('analytics in a file', () => {
  it('go on where they were closed, in the same minute as well', async () => {
    const clock = new ManualClock(start);
    const file = fileAt();
    const first = await FileAnalytics.open({ file, logger: silent, clock });
    first.count(decision({ rule: 'a' }));
    clock.advance(minute);
    first.count(decision({ rule: 'b', outcome: 'refused' }));
    await first.close();
    const second = await FileAnalytics.open({ file, logger: silent, clock });
    second.count(decision({ rule: 'b' }));
    clock.advance(minute);
    second.count(decision({ rule: 'b' }));
    expect(totals(await second.series(all))).toEqual({ a: [1, 0, 0], b: [2, 1, 0] });
    await second.close();
    const third = await FileAnalytics.open({ file, logger: silent, clock });
    expect(totals(await third.series(all))).toEqual({ a: [1, 0, 0], b: [2, 1, 0] });
    expect(await third.top({ by: 'requests', n: 5, window: 5 * minute })).toEqual([
      { key: 'user:alice', count: 4, error: 0 },
    ]);
    clock.advance(2 * day);
    const days = { ...all, to: start + 60 * minute, step: 60 * minute };
    expect(totals(await third.series(days))).toEqual({ a: [1, 0, 0], b: [2, 1, 0] });
    await third.close();
  });

  it('are written every minute in which something was counted, and not otherwise', async () => {
    const clock = new ManualClock(start);
    let saves = 0;
    const file: WholeFile = { path: 'none', read: async () => undefined, save: async () => void saves++ };
    const analytics = await FileAnalytics.open({ file, logger: silent, clock });
    await clock.pass(minute);
    expect(saves).toBe(0);
    analytics.count(decision());
    await clock.pass(minute);
    expect(saves).toBe(1);
    await clock.pass(10 * minute);
    expect(saves).toBe(1);
    await analytics.close();
    expect(clock.pending).toBe(0);
  });

  it('are kept and written later when the file cannot be written, which is told', async () => {
    const clock = new ManualClock(start);
    const real = fileAt();
    let isFull = true;
    const file: WholeFile = {
      ...real,
      save: async (chunks) => {
        if (isFull) throw new Error('no space left on device');
        await real.save(chunks);
      },
    };
    const warnings: string[] = [];
    const logger = { warn: (message: string) => void warnings.push(message) };
    const analytics = await FileAnalytics.open({ file, logger, clock });
    analytics.count(decision({ rule: 'a' }));
    await clock.pass(minute);
    expect(warnings).toEqual(['Analytics are kept in memory, and written again in a minute: no space left on device']);
    await expect(analytics.flush()).rejects.toThrow('no space left on device');
    isFull = false;
    await analytics.close();
    const again = await FileAnalytics.open({ file, logger, clock });
    expect(totals(await again.series(all))).toEqual({ a: [1, 0, 0] });
  });

  it('are written as they were when the writing began, while counting goes on', async () => {
    const clock = new ManualClock(start);
    const saves: Uint8Array[][] = [];
    const file: WholeFile = {
      path: 'memory',
      read: async () => (saves.length > 0 ? Buffer.concat(saves[0]!) : undefined),
      save: async (all) => {
        const chunks: Uint8Array[] = [];
        for (const chunk of all) {
          chunks.push(chunk);
          clock.jump(minute);
          analytics.count(decision({ rule: 'late' }));
        }
        saves.push(chunks);
      },
    };
    const analytics = await FileAnalytics.open({ file, logger: silent, clock });
    for (let i = 0; i < 100; i++) {
      for (let rule = 0; rule < 50; rule++) analytics.count(decision({ rule: `rule-${rule}`, key: `user:${rule}` }));
      clock.jump(minute);
    }
    await analytics.flush();
    expect(saves[0]!.length).toBeGreaterThan(3);
    const again = await FileAnalytics.open({ file, logger: silent, clock });
    const query = { ...all, to: start + 200 * minute };
    const sums = totals(await again.series(query));
    expect(Object.keys(sums)).toHaveLength(50);
    expect(new Set(Object.values(sums).map(([allowed]) => allowed))).toEqual(new Set([100]));
  });

  it('are refused, and left as they are, wherever a byte of the file is wrong or the rest is missing', async () => {
    const clock = new ManualClock(start);
    const file = fileAt();
    const analytics = await FileAnalytics.open({ file, logger: silent, clock });
    for (const rule of ['a', 'b']) {
      analytics.count(decision({ rule }));
      clock.advance(minute);
    }
    await analytics.close();
    const good = await readFile(file.path);
    const lineStarts = [0, ...[...good.keys()].filter((i) => good[i] === 10).map((i) => i + 1)];
    const expectRefusal = async (bytes: Uint8Array, byte: number) => {
      await writeFile(file.path, bytes);
      const opening = FileAnalytics.open({ file, logger: silent, clock });
      const error = (await opening.catch((reason: unknown) => reason)) as Error;
      expect(error).toMatchObject({ code: 'UNUSABLE_STATE' });
      const line = lineStarts.findLastIndex((from) => from <= byte);
      expect(error.message).toContain(`${file.path} cannot be read: line ${line + 1}, at byte ${lineStarts[line]}, `);
      expect(error.message).toContain('move it away, and the analytics start empty');
      expect(await readFile(file.path)).toEqual(Buffer.from(bytes));
    };
    for (let i = 0; i < good.length; i += 7) {
      const flipped = Buffer.from(good);
      flipped[i]! ^= 0x01;
      await expectRefusal(flipped, i);
    }
    for (let length = 0; length < good.length; length += 11) await expectRefusal(good.subarray(0, length), length);
    await expectRefusal(Buffer.concat([good, Buffer.from('more\n')]), good.length);
  });

  it('forget minutes after a day and hours after 30 days', async () => {
    const clock = new ManualClock(start);
    const file = fileAt();
    const analytics = await FileAnalytics.open({ file, logger: silent, clock });
    analytics.count(decision({ rule: 'old', key: 'user:old' }));
    const rules = async () => {
      analytics.count(decision({ rule: 'new' }));
      clock.advance(minute);
      await analytics.flush();
      return (await readFile(file.path, 'utf8')).split('\n').filter((line) => line.includes('"old"'));
    };
    expect(await rules()).toHaveLength(2);
    clock.advance(day);
    expect(await rules()).toHaveLength(1);
    clock.advance(29 * day + 60 * minute);
    expect(await rules()).toHaveLength(0);
    await analytics.close();
    expect(await readFile(file.path, 'utf8')).not.toContain('user:old');
  });
});
