import { randomBytes } from 'node:crypto';
import { readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { SluiceError } from '@sluice/core';
import { codeOf, fileMode } from './disk.js';
import { isRunning, type LockOwner, parseOwner, thisProcess } from './lock-owner.js';

export interface LockOptions {
  /** How often an owner that others cannot see gives a sign of life, in milliseconds. @default 1_000 */
  readonly beat?: number;
  /** How long a lock may be without one before it counts as left behind, in milliseconds. @default 5_000 */
  readonly patience?: number;
  /** Called once when another process has taken the lock away, as after a long standstill: nothing may be written then. */
  readonly onLost?: (error: SluiceError) => void;
}

const prefix = 'lock-';

/**
 * A DirectoryLock keeps a directory to one process. Whoever wants it first puts down a lock of its own, under a name
 * that is never used again, and then looks for others: of two that come at once, at least one sees the other, and goes.
 * One that a killed process has left behind is told by the start time of its process, or, where that cannot be seen, by
 * the lack of a sign of life.
 */
export class DirectoryLock {
  readonly #path: string;
  readonly #timer: NodeJS.Timeout;
  #isHeld = true;

  private constructor(path: string, beat: number, onLost: ((error: SluiceError) => void) | undefined) {
    this.#path = path;
    this.#timer = setInterval(() => void this.#beat(onLost), beat).unref();
  }

  /** @throws SluiceError `STORE_UNAVAILABLE` where another process has the directory, with its pid. */
  static async take(
    directory: string,
    { beat = 1_000, patience = 5_000, onLost }: LockOptions = {},
  ): Promise<DirectoryLock> {
    const me = await thisProcess();
    const name = `${prefix}${me.pid}-${randomBytes(8).toString('hex')}`;
    const path = join(directory, name);
    try {
      await writeFile(path, JSON.stringify(me), { flag: 'wx', mode: fileMode });
    } catch (error) {
      await rm(path, { force: true }).catch(() => {});
      throw error;
    }
    // Our own signs of life go on while we wait for those of others.
    const lock = new DirectoryLock(path, beat, onLost);
    try {
      const names = await readdir(directory);
      const others = names.filter((other) => other.startsWith(prefix) && other !== name);
      await Promise.all(others.map((other) => dismiss(directory, other, me, patience)));
      return lock;
    } catch (error) {
      await lock.release();
      throw error;
    }
  }

  async release(): Promise<void> {
    clearInterval(this.#timer);
    this.#isHeld = false;
    await rm(this.#path, { force: true });
  }

  async #beat(onLost: ((error: SluiceError) => void) | undefined): Promise<void> {
    const now = new Date();
    try {
      await utimes(this.#path, now, now);
    } catch (error) {
      if (codeOf(error) !== 'ENOENT' || !this.#isHeld) return;
      clearInterval(this.#timer);
      this.#isHeld = false;
      onLost?.(
        new SluiceError(
          'STORE_UNAVAILABLE',
          `The lock ${this.#path} is gone: another service may use the directory by now, after this one stood still for ` +
            'long. Start the service again.',
        ),
      );
    }
  }
}

/** Removes a lock that was left behind. */
async function dismiss(directory: string, name: string, me: LockOwner, patience: number): Promise<void> {
  const path = join(directory, name);
  const owner = await liveOwner(path, me, patience);
  if (owner === undefined) return rm(path, { force: true });
  const where = owner.host === me.host ? '' : ` on ${owner.host}`;
  throw new SluiceError(
    'STORE_UNAVAILABLE',
    `The directory ${directory} is in use by process ${owner.pid || 'unknown'}${where}. Stop that one first, or give each ` +
      'service a directory of its own; services that are to share their counts need a Redis.',
  );
}

/** Whose lock it is, if the owner runs. */
async function liveOwner(path: string, me: LockOwner, patience: number): Promise<LockOwner | undefined> {
  const first = await signOf(path);
  const end = performance.now() + patience;
  for (let sign = first; ; sign = await signOf(path)) {
    if (sign === undefined) return undefined;
    const owner = parseOwner(sign.text);
    const answer = owner && (await isRunning(owner, me));
    if (answer === true) return owner;
    if (answer === false) return undefined;
    if (sign.text !== first!.text || sign.time !== first!.time) return owner ?? { pid: 0, host: me.host };
    if (performance.now() >= end) return undefined;
    await pause(Math.min(100, patience));
  }
}

/** What a lock says, and when it last gave a sign of life; `undefined` when it is gone. */
async function signOf(path: string): Promise<{ readonly text: string; readonly time: number } | undefined> {
  try {
    const [text, { mtimeMs }] = await Promise.all([readFile(path, 'utf8'), stat(path)]);
    return { text, time: mtimeMs };
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}
