import { SluiceError } from '@sluice/core';
import { show } from '@sluice/core/toolkit';
import { type Disk, type DiskFile, explained, fileMode, realDisk, writeAll } from './disk.js';
import { type JournalForm, readJournal } from './journal-contents.js';
import { headerLine, recordLine } from './journal-line.js';
import { putInPlace, readWhole, saveWhole, writeBeside } from './whole-file.js';

export interface JournalOptions<T> extends JournalForm<T> {
  readonly disk?: Disk;
}

interface Append {
  /** Text cannot change any more, as the record could. */
  readonly json: string;
  readonly resolve: () => void;
  readonly reject: (error: SluiceError) => void;
}

interface Compaction<T> {
  readonly records: Iterable<T>;
  readonly resolve: () => void;
  readonly reject: (error: SluiceError) => void;
}

/** Lines are put together in pieces of so many records, between which the event loop gets its turn. */
const slice = 1_000;

/**
 * A Journal is a file of records, one line of JSON each, with a number and a checksum, that grows at its end. A record
 * whose append has resolved is there after whatever happens to the process or the machine; of one whose append has
 * not, or has failed, all is there or nothing.
 *
 * One process at a time may use a file: the lock of the data directory sees to it.
 */
export class Journal<T> {
  readonly path: string;
  readonly #kind: string;
  /** What stood in the file when it was opened. What is appended later is not added. */
  readonly records: readonly T[];
  /** The file with the torn bytes of an append that a crash cut short, where there were any when it was opened. */
  readonly torn: string | undefined;
  readonly #disk: Disk;
  #file: DiskFile;
  /** Bytes of whole, durable lines. */
  #length: number;
  #next: number;
  #appends: Append[] = [];
  /** Those that are being written. */
  #batch: readonly Append[] = [];
  #compaction: Compaction<T> | undefined;
  /** Appends that were acknowledged together in this turn of the event loop: not everybody may have seen it yet. */
  #unseen = 0;
  #working: Promise<void> | undefined;
  #closed: SluiceError | undefined;
  #closing: Promise<void> | undefined;
  /** Why nothing can be written until the journal is opened again. */
  #failed: SluiceError | undefined;

  private constructor(
    path: string,
    kind: string,
    disk: Disk,
    file: DiskFile,
    records: readonly T[],
    length: number,
    next: number,
    torn: string | undefined,
  ) {
    this.path = path;
    this.#kind = kind;
    this.#disk = disk;
    this.#file = file;
    this.records = records;
    this.#length = length;
    this.#next = next;
    this.torn = torn;
  }

  /**
   * Opens a journal, or begins one. Bytes of an append that a crash cut short, and that nobody was told of as written, are
   * saved beside (`.torn-…`) and cut off.
   * @throws SluiceError `UNUSABLE_STATE` for any other damage, with file, line and byte, and for a journal of another kind;
   * the file is left as it is. `STORE_UNAVAILABLE` where it cannot be read or written.
   */
  static async open<T>(path: string, { kind, isRecord, disk = realDisk }: JournalOptions<T>): Promise<Journal<T>> {
    let bytes = await readWhole(path, disk);
    if (bytes === undefined) {
      bytes = Buffer.from(headerLine(kind, 1));
      await saveWhole(path, [bytes], disk);
    }
    const { records, next, length, lacksNewline } = readJournal(path, bytes, { kind, isRecord });
    const torn = bytes.length > length ? `${path}.torn-${length}-${Date.now()}` : undefined;
    if (torn !== undefined) await saveWhole(torn, [bytes.subarray(length)], disk);
    let file: DiskFile | undefined;
    try {
      file = await disk.open(path, 'r+', fileMode);
      if (torn !== undefined) await file.truncate(length);
      if (lacksNewline) await writeAll(file, Buffer.from('\n'), length);
      if (torn !== undefined || lacksNewline) await file.datasync();
      return new Journal(path, kind, disk, file, records, lacksNewline ? length + 1 : length, next, torn);
    } catch (error) {
      await file?.close().catch(() => {});
      throw unavailable(`${path} cannot be written`, error);
    }
  }

  /** The size of the file. */
  get bytes(): number {
    return this.#length;
  }

  /**
   * Resolves when the record is durable. Those that wait together share one sync.
   * @throws SluiceError `STORE_UNAVAILABLE` when it cannot be written, and then it is not: where the disk was full, the
   * next may be; where it is not known what the disk holds, nothing is written until the journal is opened again.
   * `INVALID_OPTION` for what JSON cannot say. `CLOSED` after `close`.
   */
  append(record: T): Promise<void> {
    if (this.#closed) return Promise.reject(this.#closed);
    return new Promise((resolve, reject) => {
      this.#appends.push({ json: this.#jsonOf(record), resolve, reject });
      this.#work();
    });
  }

  /**
   * Replaces everything acknowledged so far by `records`, which say the same in less room; after a crash at any step,
   * either is there. Appends may go on meanwhile, and come after.
   *
   * `records` is iterated once, at a moment when no append is under way and whoever waited for one has seen the answer:
   * hand over a view of the present state (`map.values()`, a generator), not a copy. A list, which was put together
   * before, is refused with `INVALID_OPTION` while other appends are under way: what they write would be lost.
   * @throws SluiceError as `append`; the file is as it was then.
   */
  compact(records: Iterable<T>): Promise<void> {
    if (this.#closed) return Promise.reject(this.#closed);
    const others = this.#appends.length + this.#batch.length > 0 || this.#unseen > 1;
    if (this.#compaction || (Array.isArray(records) && others)) {
      const what = this.#compaction ? 'it is being compacted already' : 'records are being appended';
      const remedy = this.#compaction
        ? 'Wait for it.'
        : 'Hand over a view of the state, such as map.values(), not a list.';
      return Promise.reject(
        new SluiceError('INVALID_OPTION', `${this.path} cannot be compacted now: ${what}. ${remedy}`),
      );
    }
    return new Promise((resolve, reject) => {
      this.#compaction = { records, resolve, reject };
      this.#work();
    });
  }

  /** Writes what is waiting, and closes the file. */
  async close(): Promise<void> {
    this.#closed ??= new SluiceError('CLOSED', `${this.path} has been closed. Open it again to write to it.`);
    await this.#working;
    this.#closing ??= this.#file.close();
    await this.#closing;
  }

  #work(): void {
    this.#working ??= this.#run();
  }

  async #run(): Promise<void> {
    for (;;) {
      if (this.#compaction) await this.#compactNow(this.#compaction);
      else if (this.#appends.length > 0) await this.#appendNow();
      else break;
    }
    // In the same step as the look at what waits: what comes a moment later starts anew.
    this.#working = undefined;
  }

  async #appendNow(): Promise<void> {
    const batch = this.#appends;
    this.#batch = batch;
    this.#appends = [];
    const error = this.#failed ?? (await this.#write(batch));
    this.#batch = [];
    for (const { resolve, reject } of batch) {
      if (error) reject(error);
      else resolve();
    }
    if (error) return;
    this.#unseen += batch.length;
    setImmediate(() => {
      this.#unseen -= batch.length;
    });
  }

  /** Writes lines of their own for all of them, or none; says what went wrong. */
  async #write(batch: readonly Append[]): Promise<SluiceError | undefined> {
    let length = this.#length;
    let isWritten = false;
    try {
      const lines = Buffer.from(batch.map(({ json }, i) => recordLine(this.#next + i, json)).join(''));
      length += lines.length;
      await writeAll(this.#file, lines, this.#length);
      isWritten = true;
      await this.#file.datasync();
    } catch (cause) {
      const error = unavailable(`${this.path} cannot be written`, cause);
      // Never a half line before a good one. After a sync that failed, nobody knows what the disk holds.
      const isCut = await this.#file.truncate(this.#length).then(
        () => true,
        () => false,
      );
      if (isWritten || !isCut) this.#fail(cause);
      return error;
    }
    this.#length = length;
    this.#next += batch.length;
    return undefined;
  }

  async #compactNow({ records, resolve, reject }: Compaction<T>): Promise<void> {
    if (this.#unseen > 0) await turn();
    let isInPlace = false;
    try {
      if (this.#failed) throw this.#failed;
      const present = [...records];
      const { file, length } = await writeBeside(this.path, this.#linesOf(present), this.#disk);
      const old = this.#file;
      try {
        await putInPlace(this.path, this.#disk);
        // From here on, what is appended to the old file would be lost, and perhaps what is appended to the new one.
        isInPlace = true;
        await this.#disk.syncDirectory(this.path);
      } catch (error) {
        await file.close().catch(() => {});
        throw error;
      }
      this.#file = file;
      this.#length = length;
      this.#next += present.length;
      await old.close().catch(() => {});
      this.#compaction = undefined;
      resolve();
    } catch (error) {
      this.#compaction = undefined;
      if (isInPlace) this.#fail(error);
      reject(error instanceof SluiceError ? error : unavailable(`${this.path} cannot be compacted`, error));
    }
  }

  async *#linesOf(records: readonly T[]): AsyncGenerator<Uint8Array, void, void> {
    yield Buffer.from(headerLine(this.#kind, this.#next));
    for (let from = 0; from < records.length; from += slice) {
      const part = records.slice(from, from + slice);
      yield Buffer.from(part.map((record, i) => recordLine(this.#next + from + i, this.#jsonOf(record))).join(''));
      await turn();
    }
  }

  #jsonOf(record: T): string {
    const json = JSON.stringify(record);
    if (json !== undefined) return json;
    throw new SluiceError('INVALID_OPTION', `${this.path} takes records that JSON can say; got ${show(record)}.`);
  }

  #fail(cause: unknown): void {
    this.#failed ??= new SluiceError(
      'STORE_UNAVAILABLE',
      `${this.path} is not written to any more, since it is not known what the disk holds: ${explained(cause)} ` +
        'Start the service again: it then reads what is there.',
      { cause },
    );
  }
}

function unavailable(what: string, cause: unknown): SluiceError {
  return new SluiceError('STORE_UNAVAILABLE', `${what}: ${explained(cause)}`, { cause });
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
