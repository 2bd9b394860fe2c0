import { type FileHandle, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { messageOf } from '@sluice/core/toolkit';

/** A file that is open for writing, as far as it is used here. */
export type DiskFile = Pick<FileHandle, 'write' | 'datasync' | 'truncate' | 'close'>;

/** A Disk is what files are written to. Tests pass one that fails, or dies, at a step of their choosing. */
export interface Disk {
  /** Flags as those of `open`: `w` begins a file anew, `r+` goes on with one. */
  open(path: string, flags: 'w' | 'r+', mode: number): Promise<DiskFile>;
  /** The whole file; `undefined` where there is none. */
  read(path: string): Promise<Buffer | undefined>;
  rename(from: string, to: string): Promise<void>;
  /** Removes a file, if it is there. */
  remove(path: string): Promise<void>;
  /** Makes durable which files are in the directory of `path`. */
  syncDirectory(path: string): Promise<void>;
}

/** Only who runs the service may read what it keeps. */
export const fileMode = 0o600;

export const realDisk: Disk = {
  open,
  read: (path) => readFile(path).catch(absent),
  rename,
  remove: (path) => rm(path, { force: true }),
  async syncDirectory(path) {
    // Windows cannot open a directory, and needs no such step.
    if (process.platform === 'win32') return;
    const directory = await open(dirname(path), 'r');
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  },
};

function absent(error: unknown): undefined {
  if (codeOf(error) !== 'ENOENT') throw error;
}

/** The code of an error of the operating system, such as `ENOSPC`. */
export function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException | null)?.code;
}

/** Writes all of it at that position: a call may write less than it was given. */
export async function writeAll(file: DiskFile, bytes: Uint8Array, position: number): Promise<void> {
  for (let written = 0; written < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, written, bytes.length - written, position + written);
    written += bytesWritten;
  }
}

const remedies: { readonly [code: string]: string } = {
  ENOSPC: 'The disk is full: make room on it.',
  EDQUOT: 'The quota of the disk is used up: raise it, or make room.',
  EACCES: 'Let the user that runs the service read and write it.',
  EPERM: 'Let the user that runs the service read and write it.',
  EROFS: 'The file system is read-only: mount it writable, or choose another directory.',
  ENOTDIR: 'A part of the path is a file: choose another directory.',
  EISDIR: 'A directory has the name of a file: move it away.',
  EIO: 'The disk has failed: look at the log of the kernel, and go on with another disk.',
};

/** What the operating system said, and what to do about it. */
export function explained(error: unknown): string {
  const remedy = remedies[codeOf(error) ?? ''];
  return remedy === undefined ? messageOf(error) : `${messageOf(error)}. ${remedy}`;
}
