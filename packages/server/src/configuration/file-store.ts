import { type Clock, type Logger, SluiceError, systemClock } from '@sluice/core';
import { messageOf, show } from '@sluice/core/toolkit';
import { before } from '../bounds.js';
import { firstThatFit, jsonBytes } from '../page-bytes.js';
import { Problem } from '../problem.js';
import * as bounds from './audit-bounds.js';
import type {
  AuditEntry,
  Change,
  Configuration,
  ConfigurationStore,
  Expected,
  RecoverySource,
  Written,
} from './configuration.js';
import { Contents, hasEnded, kinds, meets, storedAs } from './contents.js';
import type { ConfigurationRecord, FileEntry } from './file-record.js';

/** A write that the audit log tells of, and what it takes in JSON. */
interface Audited {
  readonly entry: FileEntry;
  readonly bytes: number;
}

/** What a FileConfigurationStore needs of a journal. */
export interface ConfigurationJournal {
  /** Of its file, for messages. */
  readonly path: string;
  /** What was read when the journal was opened. */
  readonly records: Iterable<ConfigurationRecord>;
  /** Resolves when the record is durable. After one that has failed, the journal goes on as before, or takes no more. */
  append(record: ConfigurationRecord): Promise<void>;
  /** Replaces all records, or none. */
  compact(records: Iterable<ConfigurationRecord>): Promise<void>;
  /** Its length. */
  readonly bytes: number;
}

export interface FileConfigurationStoreOptions {
  readonly clock?: Clock;
  readonly logger?: Logger;
  /** Writes that the audit log tells of, as far as their bytes go. @default 10_000 */
  readonly auditLength?: number;
  /** Bytes that it takes at the most. @default 16 MiB */
  readonly auditBytes?: number;
  /** Bytes that a journal grows by, and by half its length at the least, before it is compacted. @default 4 MiB */
  readonly growth?: number;
  /** Milliseconds that a write waits for the disk. @default 5_000 */
  readonly patience?: number;
}

/**
 * A FileConfigurationStore keeps the configuration in memory, and its journal of writes on disk. Writes are made one
 * after another: what a writer expects is looked at when all earlier writes are durable.
 */
export class FileConfigurationStore implements ConfigurationStore {
  readonly #journal: ConfigurationJournal;
  readonly #clock: Clock;
  readonly #logger: Logger | undefined;
  readonly #auditLength: number;
  readonly #auditBytes: number;
  readonly #growth: number;
  readonly #patience: number;
  readonly #contents = new Contents();
  /** The latest writes, the latest last. */
  #audit: Audited[] = [];
  /** What they take. */
  #bytes = 0;
  readonly #listeners = new Set<() => void>();
  #snapshot: Configuration | undefined;
  #lastTurn: Promise<unknown> = Promise.resolve();
  #compactAt: number;
  #isClosed = false;

  /** @throws SluiceError `UNUSABLE_STATE` for a journal whose records do not follow from one another. */
  constructor(journal: ConfigurationJournal, options: FileConfigurationStoreOptions = {}) {
    const { clock = systemClock, logger, growth = 4 * 2 ** 20, patience = 5_000 } = options;
    const { auditLength = bounds.auditLength, auditBytes = bounds.auditBytes } = options;
    this.#journal = journal;
    this.#clock = clock;
    this.#logger = logger;
    this.#auditLength = auditLength;
    this.#auditBytes = auditBytes;
    this.#growth = growth;
    this.#patience = patience;
    let number = 0;
    for (const record of journal.records) {
      const fault = this.#fold(record, ++number);
      if (fault !== undefined) throw unusable(journal.path, number, fault);
    }
    // A journal as long as this at the start is compacted with the first write.
    this.#compactAt = growth;
  }

  async load(): Promise<Configuration> {
    this.#snapshot ??= this.#contents.snapshot();
    return this.#snapshot;
  }

  async version(): Promise<number> {
    return this.#contents.version;
  }

  /**
   * @throws Problem 503 where it cannot be put on disk, and where the disk takes too long: the detail says whether it may
   * yet be made. It is in force then, as any other.
   */
  async write(change: Change, by: string, expected: Expected): Promise<Written> {
    const due = this.#clock.now() + this.#patience * 1_000;
    let hasBegun = false;
    let isGivenUp = false;
    const written = this.#inTurn(async () => {
      if (isGivenUp) throw tookTooLong;
      hasBegun = true;
      return this.#write(change, by, expected);
    });
    try {
      return await before(this.#clock, due, 'The disk', written);
    } catch (error) {
      if (!(error instanceof SluiceError && error.code === 'STORE_TIMEOUT')) throw error;
      isGivenUp = true;
      throw hasBegun ? inDoubt : tookTooLong;
    }
  }

  /** @throws Problem 409: what is in force in the one process is what its file has. */
  async recover(_from: RecoverySource, _inForce: Configuration, _by: string): Promise<AuditEntry> {
    throw new Problem(
      409,
      'Nothing is lost',
      'The configuration is in files which this instance alone writes, and which have all that is in force. Nothing was changed.',
    );
  }

  async audit(limit: number, before = Number.POSITIVE_INFINITY): Promise<readonly AuditEntry[]> {
    // Versions are consecutive.
    const end = this.#audit.length - Math.max(0, this.#contents.version - before + 1);
    const latest = this.#audit.slice(Math.max(0, end - limit), Math.max(0, end)).reverse();
    return firstThatFit(latest, limit, ({ bytes }) => bytes).map(({ entry }) => entry);
  }

  onChange(listener: () => void): () => void {
    const own = () => listener();
    this.#listeners.add(own);
    return () => this.#listeners.delete(own);
  }

  /** Resolves when all writes are made; those that come later are refused. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#listeners.clear();
    await this.#lastTurn;
  }

  async #write(change: Change, by: string, expected: Expected): Promise<Written> {
    const { kind, id, value } = change;
    const found = this.#contents.get(kind, id);
    const now = Math.floor(this.#clock.now() / 1_000);
    const there = found === null || hasEnded(found, now) ? null : found;
    if (!meets(expected, value === null && Array.isArray(expected) ? found : there)) {
      return { outcome: 'conflict', found: there };
    }
    const version = this.#contents.version + 1;
    const at = new Date(now).toISOString();
    const after = value && storedAs(kind, value, { version, createdAt: there?.createdAt ?? at, updatedAt: at });
    const entry: FileEntry = { version, at, by, kind, id, before: value === null ? found : there, after };
    try {
      await this.#journal.append({ format: 1, type: 'write', entry });
    } catch (cause) {
      throw Object.assign(
        new Problem(503, 'Not stored', `The write could not be put on disk (${codeOf(cause)}), and is not in force.`),
        { cause },
      );
    }
    this.#take(entry);
    for (const listener of this.#listeners) listener();
    return { outcome: 'written', entry };
  }

  #take(entry: FileEntry): void {
    this.#contents.set(entry.kind, entry.id, entry.after);
    this.#contents.version = entry.version;
    this.#snapshot = undefined;
    const bytes = jsonBytes(entry);
    this.#audit.push({ entry, bytes });
    this.#bytes += bytes;
    this.#cut();
  }

  /** Forgets the oldest writes, now and then: to cut one off the front with each write would move all the others. */
  #cut(): void {
    const { length } = this.#audit;
    if (length < this.#auditLength * 2 && this.#bytes <= this.#auditBytes) return;
    let from = Math.max(0, length - this.#auditLength);
    let bytes = this.#audit.slice(from).reduce((sum, one) => sum + one.bytes, 0);
    const room = this.#bytes > this.#auditBytes ? (this.#auditBytes * 3) / 4 : this.#auditBytes;
    while (bytes > room && from < length - 1) bytes -= this.#audit[from++]!.bytes;
    this.#audit = this.#audit.slice(from);
    this.#bytes = bytes;
  }

  /** Compacts behind the write that has made the journal too long: nobody but the next writer waits for it. */
  async #compactWhereDue(): Promise<void> {
    if (this.#journal.bytes < this.#compactAt) return;
    try {
      await this.#journal.compact(this.#compacted());
    } catch (error) {
      this.#logger?.warn(
        `The journal of the configuration could not be compacted, and grows: ${messageOf(error)} ` +
          'Nothing is lost. Look at the free space of the data directory.',
      );
    }
    const { bytes } = this.#journal;
    this.#compactAt = bytes + Math.max(this.#growth, bytes / 2);
  }

  /** What was there before the oldest write that is kept, and the writes from then on. */
  *#compacted(): Iterable<ConfigurationRecord> {
    const writes = this.#audit.slice(-this.#auditLength).map(({ entry }) => entry);
    const base = new Contents();
    for (const kind of kinds) for (const [id, value] of this.#contents.entries(kind)) base.set(kind, id, value);
    for (const { kind, id, before } of writes.toReversed()) base.set(kind, id, before);
    yield { format: 1, type: 'base', version: this.#contents.version - writes.length };
    for (const kind of kinds) {
      for (const [id, value] of base.entries(kind)) yield { format: 1, type: 'kept', kind, id, value };
    }
    for (const entry of writes) yield { format: 1, type: 'write', entry };
  }

  /** Takes up a record, or tells what is wrong with it. */
  #fold(record: ConfigurationRecord, number: number): string | undefined {
    const { format } = record as { format?: unknown };
    if (format !== 1) {
      return `is of format ${show(format)}, and this version of sluice reads format 1. Update sluice`;
    }
    if (record.type === 'base' && number === 1) {
      this.#contents.version = record.version;
    } else if (record.type === 'kept' && kinds.includes(record.kind) && this.#audit.length === 0) {
      this.#contents.set(record.kind, record.id, record.value);
    } else if (record.type === 'write' && kinds.includes(record.entry?.kind)) {
      return this.#foldWrite(record.entry);
    } else {
      return `is no record that can stand there (${show(record.type)}). ${restore}`;
    }
    return undefined;
  }

  #foldWrite(entry: FileEntry): string | undefined {
    const { version, at, kind, id, before } = entry;
    const found = this.#contents.get(kind, id);
    const isNew = before === null && found !== null && hasEnded(found, Date.parse(at));
    if (version !== this.#contents.version + 1 || (!isNew && (before?.version ?? 0) !== (found?.version ?? 0))) {
      return `writes version ${version} of ${kind} ${show(id)}, which does not follow from the records before it. ${restore}`;
    }
    // The same thing is kept once, however many entries tell of it.
    this.#take({ ...entry, before: before && found });
    return undefined;
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (this.#isClosed) {
      return Promise.reject(new Problem(503, 'Shutting down', 'The write was not made: the service is shutting down.'));
    }
    const result = this.#lastTurn.then(work);
    this.#lastTurn = result.then(
      () => this.#compactWhereDue(),
      () => {},
    );
    return result;
  }
}

const inDoubt = new Problem(
  503,
  'Not known',
  'It is not known whether the write was made: the disk took it and did not answer. Look at what is there before trying again.',
);
const tookTooLong = new Problem(
  503,
  'Not stored',
  'The write was not made: the disk has not answered those before it. Try again.',
);
const restore = 'Nothing was changed. Restore the file from a backup, or move it away to begin without rules';

/** Records begin in the second line. */
function unusable(path: string, number: number, what: string): SluiceError {
  return new SluiceError('UNUSABLE_STATE', `${path}, line ${number + 1}: Record ${number} ${what}.`);
}

/** What kind of failure it was, as the system calls it. Messages may tell paths, which are no business of a client. */
function codeOf(error: unknown): string {
  const { code, cause } = (error ?? {}) as { code?: unknown; cause?: unknown };
  if (cause !== undefined) return codeOf(cause);
  return typeof code === 'string' ? code : 'see the log';
}
