import { SluiceError } from '@sluice/core';
import { type Disk, type DiskFile, explained, fileMode, realDisk, writeAll } from './disk.js';

export type Chunks = Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

/** Stands behind the name of a file that is not finished. */
const unfinished = '.new';

/** The saves under way, by path: those of one file take turns. */
const turns = new Map<string, Promise<void>>();

/**
 * Writes a whole file, so that after any crash it is there wholly as it was or wholly as it is to be: it is written beside
 * (`.new`), made durable, and then renamed. Saves of the same path take turns.
 * @throws SluiceError `STORE_UNAVAILABLE` when it cannot be written; the file is as it was then.
 */
export async function saveWhole(path: string, chunks: Chunks, disk: Disk = realDisk): Promise<void> {
  const before = turns.get(path);
  const save = (before ?? Promise.resolve()).catch(() => {}).then(() => write(path, chunks, disk));
  turns.set(path, save);
  try {
    await save;
  } finally {
    if (turns.get(path) === save) turns.delete(path);
  }
}

/** The whole file; `undefined` where there is none. */
export async function readWhole(path: string, disk: Disk = realDisk): Promise<Buffer | undefined> {
  try {
    return await disk.read(path);
  } catch (error) {
    throw new SluiceError('STORE_UNAVAILABLE', `${path} cannot be read: ${explained(error)}`, { cause: error });
  }
}

async function write(path: string, chunks: Chunks, disk: Disk): Promise<void> {
  try {
    const { file } = await writeBeside(path, chunks, disk);
    await file.close();
    await putInPlace(path, disk);
    await disk.syncDirectory(path);
  } catch (error) {
    if (error instanceof SluiceError) throw error;
    throw new SluiceError('STORE_UNAVAILABLE', `${path} cannot be saved: ${explained(error)}`, { cause: error });
  }
}

/** Writes what is to be in the place of a file, durably, and leaves it open. */
export async function writeBeside(
  path: string,
  chunks: Chunks,
  disk: Disk,
): Promise<{ readonly file: DiskFile; readonly length: number }> {
  let file: DiskFile | undefined;
  try {
    file = await disk.open(path + unfinished, 'w', fileMode);
    let length = 0;
    for await (const chunk of chunks) {
      await writeAll(file, chunk, length);
      length += chunk.length;
    }
    await file.datasync();
    return { file, length };
  } catch (error) {
    await file?.close().catch(() => {});
    await disk.remove(path + unfinished).catch(() => {});
    throw error;
  }
}

/** Puts what `writeBeside` wrote in the place of the file. That is durable once the directory is. */
export async function putInPlace(path: string, disk: Disk): Promise<void> {
  try {
    await disk.rename(path + unfinished, path);
  } catch (error) {
    await disk.remove(path + unfinished).catch(() => {});
    throw error;
  }
}
