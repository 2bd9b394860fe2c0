import type { ConfigurationRecord } from '../../src/configuration/file-record.ts';
import type { ConfigurationJournal } from '../../src/configuration/file-store.ts';

/** A journal whose lines are texts in memory. It can be opened again, and fails when it is told to. */
export class MemoryJournal implements ConfigurationJournal {
  readonly path = 'rules.journal';
  lines: string[];
  compactions = 0;
  /** What the next appends, or the next compaction, fail with. */
  failure: Error | undefined;
  compactionFailure: Error | undefined;
  /** Holds appends back until it settles. */
  gate: Promise<unknown> = Promise.resolve();

  constructor(lines: readonly string[] = []) {
    this.lines = [...lines];
  }

  get records(): ConfigurationRecord[] {
    return this.lines.map((line) => JSON.parse(line));
  }

  get bytes(): number {
    return this.lines.reduce((sum, line) => sum + Buffer.byteLength(line) + 1, 0);
  }

  async append(record: ConfigurationRecord): Promise<void> {
    const line = JSON.stringify(record);
    await this.gate;
    if (this.failure) throw this.failure;
    this.lines.push(line);
  }

  async compact(records: Iterable<ConfigurationRecord>): Promise<void> {
    if (this.compactionFailure) throw this.compactionFailure;
    this.lines = Array.from(records, (record) => JSON.stringify(record));
    this.compactions++;
  }
}
