// Appends numbers to a journal and compacts it, for ever; prints what has been acknowledged. With a number, it kills
// itself instead of doing that step of the disk; with `half` too, after a write of a few bytes if it is one.
import { writeSync } from 'node:fs';
import { Journal } from '../../src/storage/journal.ts';
import { faultyDisk } from './faulty-disk.ts';

export interface Numbered {
  readonly number: number;
  readonly text: string;
}

const [path, lastStep, half] = process.argv.slice(2);
let steps = 0;
const disk = faultyDisk((step) => {
  if (++steps < Number(lastStep ?? Number.POSITIVE_INFINITY)) return undefined;
  if (half !== undefined && step === 'write' && steps === Number(lastStep)) return { code: 'EIO', written: 17 };
  process.kill(process.pid, 'SIGKILL');
  return undefined;
});

const journal = await Journal.open<Numbered>(path!, { kind: 'numbers', disk });
/** The latest number of each of ten writers: what a compaction keeps. */
const state = new Map<number, Numbered>(journal.records.map((record) => [record.number % 10, record]));
let acknowledged = 0;
let next = Math.max(-1, ...journal.records.map(({ number }) => number)) + 1;
writeSync(1, 'open\n');

async function write(): Promise<void> {
  for (;;) {
    const number = next++;
    const record = { number, text: 'é'.repeat(number % 300) };
    await journal.append(record);
    state.set(number % 10, record);
    writeSync(1, `${number}\n`);
    // No two at a time: nothing is acknowledged while the journal is compacted.
    if (acknowledged++ % 7 === 0) await journal.compact(state.values());
  }
}

await Promise.all([write(), write(), write()]);
