import { readFile, readlink } from 'node:fs/promises';
import { hostname } from 'node:os';

/** A LockOwner is the process that made a lock, told so that another process can find out whether it still runs. */
export interface LockOwner {
  readonly pid: number;
  readonly host: string;
  /** In which of its runs the machine was. Undefined, as the next two, where there is no Linux to ask. */
  readonly boot?: string | undefined;
  /** Which processes the pid counts: those of a container count for themselves. */
  readonly namespace?: string | undefined;
  /** When the process started, in ticks since the machine did: a pid is used again by others. */
  readonly started?: string | undefined;
}

export async function thisProcess(): Promise<LockOwner> {
  const [boot, namespace, process_] = await Promise.all([
    readFile('/proc/sys/kernel/random/boot_id', 'utf8').then((text) => text.trim(), nothing),
    readlink('/proc/self/ns/pid').catch(nothing),
    statusOf(process.pid),
  ]);
  return { pid: process.pid, host: hostname(), boot, namespace, started: process_?.started };
}

/** Whether the owner runs; `undefined` where that cannot be seen from here: in another container, or on another machine. */
export async function isRunning(owner: LockOwner, me: LockOwner): Promise<boolean | undefined> {
  const isSeen = owner.boot === me.boot && owner.namespace === me.namespace && owner.host === me.host;
  if (!isSeen) return undefined;
  if (me.started === undefined || owner.started === undefined) {
    // A process with that pid may be another one.
    return isThere(owner.pid) ? undefined : false;
  }
  const status = await statusOf(owner.pid);
  return status !== undefined && status.started === owner.started && !status.isDead;
}

/** Reads the text of a lock; `undefined` for what is none, such as one that is half written. */
export function parseOwner(text: string): LockOwner | undefined {
  try {
    const owner = JSON.parse(text) as LockOwner | null;
    return Number.isSafeInteger(owner?.pid) && owner!.pid > 0 ? owner! : undefined;
  } catch {
    return undefined;
  }
}

function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

async function statusOf(pid: number): Promise<{ readonly started: string; readonly isDead: boolean } | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(nothing);
  if (text === undefined) return undefined;
  // The name of the program, the second field, may hold spaces and brackets.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  // A process that was killed is listed as a zombie until its parent takes note.
  return { started: fields[19]!, isDead: /^[ZXx]$/.test(fields[0]!) };
}

function nothing(): undefined {}
