import { mkdir } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { SluiceError } from '@sluice/core';
import { DirectoryLock, type LockOptions } from './directory-lock.js';
import { explained, realDisk } from './disk.js';

/** A DataDirectory is where the embedded service keeps its files. One process has it at a time. */
export class DataDirectory {
  /** Absolute. */
  readonly path: string;
  readonly #lock: DirectoryLock;

  private constructor(path: string, lock: DirectoryLock) {
    this.path = path;
    this.#lock = lock;
  }

  /**
   * Creates the directory if need be, readable for its owner only, and locks it.
   * @throws SluiceError `STORE_UNAVAILABLE` where another process has it, with its pid, or it cannot be written to.
   */
  static async open(path: string, options: LockOptions = {}): Promise<DataDirectory> {
    const directory = resolve(path);
    try {
      await createDurably(directory);
      return new DataDirectory(directory, await DirectoryLock.take(directory, options));
    } catch (error) {
      if (error instanceof SluiceError) throw error;
      throw new SluiceError(
        'STORE_UNAVAILABLE',
        `The data directory ${directory} cannot be used: ${explained(error)}`,
        { cause: error },
      );
    }
  }

  /** The path of a file in it. */
  file(name: string): string {
    return join(this.path, name);
  }

  /** Lets others have it. */
  close(): Promise<void> {
    return this.#lock.release();
  }
}

/** Creates a directory and those it is in, so that none of them is gone after a power failure with all that is in it. */
async function createDurably(directory: string): Promise<void> {
  const first = await mkdir(directory, { recursive: true, mode: 0o700 });
  if (first === undefined) return;
  for (let created = directory; created.length >= first.length; created = dirname(created)) {
    await realDisk.syncDirectory(created);
  }
}
