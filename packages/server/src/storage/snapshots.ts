import { closeSync, openSync, readSync } from 'node:fs';
import { type Clock, type Logger, type MemoryStore, SluiceError, systemClock } from '@sluice/core';
import { messageOf } from '@sluice/core/toolkit';
import { codeOf, type Disk, explained, realDisk } from './disk.js';
import { saveWhole } from './whole-file.js';

export interface SnapshotsOptions {
  readonly store: MemoryStore;
  /** Path of the file. */
  readonly file: string;
  /** Milliseconds between two saves. @default 10_000 */
  readonly interval?: number;
  /** @default systemClock */
  readonly clock?: Clock;
  /** @default console */
  readonly logger?: Logger;
  readonly disk?: Disk;
}

/** Bytes that are read at a time. */
const piece = 2 ** 20;

/**
 * Snapshots keep what a store counts over restarts: they save its dump at intervals, if it has changed, and at the end.
 * A process that is killed loses what was taken since the last save. The file holds the secret of the store, and only
 * its owner may read it.
 */
export class Snapshots {
  readonly #store: MemoryStore;
  readonly #path: string;
  readonly #interval: number;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #disk: Disk;
  /** The store's `changes` at the last save. */
  #saved: number;
  #saving: Promise<void> | undefined;
  #cancelTimer: (() => void) | undefined;
  #isClosed = false;
  /** Saves that failed since the last that did not. */
  #failures = 0;

  private constructor(options: SnapshotsOptions) {
    const { store, file, interval = 10_000, clock = systemClock, logger = console, disk = realDisk } = options;
    this.#store = store;
    this.#path = file;
    this.#interval = interval;
    this.#clock = clock;
    this.#logger = logger;
    this.#disk = disk;
    this.#saved = store.changes;
  }

  /**
   * Restores the store from the file, if there is one, and begins to save.
   * @throws SluiceError `UNUSABLE_STATE` for a damaged file, with the position, and leaves it as it is;
   * `STORE_UNAVAILABLE` where it cannot be read.
   */
  static open(options: SnapshotsOptions): Snapshots {
    restore(options.store, options.file);
    const snapshots = new Snapshots(options);
    snapshots.#arm();
    return snapshots;
  }

  /** Saves that failed since the last that did not. */
  get failures(): number {
    return this.#failures;
  }

  /**
   * Saves the store, if it has changed since the last time; a save that is under way comes first.
   * @throws SluiceError `STORE_UNAVAILABLE` where it cannot be written: the last snapshot stays as it is.
   */
  async save(): Promise<void> {
    while (this.#saving) await this.#saving.catch(() => {});
    const { changes } = this.#store;
    if (changes === this.#saved) return;
    this.#saving = saveWhole(this.#path, this.#store.dump(), this.#disk);
    try {
      await this.#saving;
      this.#saved = changes;
      this.#failures = 0;
    } catch (error) {
      this.#failures++;
      throw error;
    } finally {
      this.#saving = undefined;
    }
  }

  /** Saves a last time; to be called before the store is closed. @throws SluiceError as `save`. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancelTimer?.();
    await this.save();
  }

  #arm(): void {
    this.#cancelTimer = this.#clock.after(this.#interval, () => void this.#saveInTime(), { background: true });
  }

  async #saveInTime(): Promise<void> {
    try {
      await this.save();
    } catch (error) {
      // Every ten seconds the same line would help nobody.
      if (this.#failures === 1) this.#logger.warn(`sluice: counts are not saved: ${messageOf(error)}`);
    }
    if (!this.#isClosed) this.#arm();
  }
}

function restore(store: MemoryStore, path: string): void {
  try {
    const file = openSync(path, 'r');
    try {
      store.restore(piecesOf(file));
    } finally {
      closeSync(file);
    }
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return;
    if (error instanceof SluiceError && error.code === 'UNUSABLE_STATE') {
      throw new SluiceError(
        'UNUSABLE_STATE',
        `${path} is damaged, and was left as it is. ${error.message} To start without it, move it away: mv '${path}' '${path}.damaged'`,
        { cause: error },
      );
    }
    throw new SluiceError('STORE_UNAVAILABLE', `${path} cannot be read: ${explained(error)}`, { cause: error });
  }
}

function* piecesOf(file: number): Generator<Uint8Array, void, void> {
  for (;;) {
    const bytes = Buffer.allocUnsafe(piece);
    const length = readSync(file, bytes);
    if (length === 0) return;
    yield bytes.subarray(0, length);
  }
}
