import { type Disk, type DiskFile, realDisk } from '../../src/storage/disk.ts';

/** A step that a disk is asked for. */
export type Step = 'open' | 'write' | 'datasync' | 'truncate' | 'rename' | 'remove' | 'syncDirectory';

/** What becomes of a step: it is done, or does not come to be; of a write, so many bytes do. */
export type Fault = { readonly code: string; readonly written?: number } | undefined;

/** A real disk that asks before each step whether it goes wrong. */
export function faultyDisk(faultOf: (step: Step, path: string) => Fault): Disk {
  const check = (step: Step, path: string) => {
    const fault = faultOf(step, path);
    if (fault) throw failure(fault.code, step);
  };
  return {
    async open(path, flags, mode) {
      check('open', path);
      const file = await realDisk.open(path, flags, mode);
      const write = async (bytes: Uint8Array, offset: number, length: number, position: number) => {
        const fault = faultOf('write', path);
        if (fault === undefined) return file.write(bytes, offset, length, position);
        if (fault.written) await file.write(bytes, offset, Math.min(fault.written, length), position);
        throw failure(fault.code, 'write');
      };
      return {
        write: write as DiskFile['write'],
        async datasync() {
          check('datasync', path);
          await file.datasync();
        },
        async truncate(length) {
          check('truncate', path);
          await file.truncate(length);
        },
        close: () => file.close(),
      };
    },
    read: (path) => realDisk.read(path),
    async rename(from, to) {
      check('rename', from);
      await realDisk.rename(from, to);
    },
    async remove(path) {
      check('remove', path);
      await realDisk.remove(path);
    },
    async syncDirectory(path) {
      check('syncDirectory', path);
      await realDisk.syncDirectory(path);
    },
  };
}

function failure(code: string, step: Step): Error {
  return Object.assign(new Error(`${code}: the disk fails, ${step}`), { code });
}
