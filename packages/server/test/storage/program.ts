import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';

/** Programs run from where tsx is installed. */
const cwd = fileURLToPath(new URL('../../../../test', import.meta.url));

export interface Program {
  readonly child: ChildProcess;
  /** The whole lines that it has printed so far. */
  readonly lines: string[];
  /** Resolves when it has printed so many lines, or has ended. */
  printed(count: number): Promise<void>;
  /** Resolves when it has ended, and all it printed has been read: the signal that ended it, else its exit code. */
  readonly ended: Promise<string | number | null>;
}

/** Runs a TypeScript file of this folder in a Node of its own, which ends with the test at the latest. */
export function run(file: string, args: readonly string[]): Program {
  const path = fileURLToPath(new URL(file, import.meta.url));
  const child = spawn(process.execPath, ['--conditions=source', '--import', 'tsx', path, ...args], {
    cwd,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const lines: string[] = [];
  const waiting = new Set<() => void>();
  const wake = () => {
    for (const look of waiting) look();
  };
  let isOver = false;
  createInterface(child.stdout!).on('line', (line) => {
    lines.push(line);
    wake();
  });
  const ended = new Promise<string | number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      isOver = true;
      wake();
      resolve(signal ?? code);
    });
  });
  const printed = (count: number) =>
    new Promise<void>((resolve) => {
      const look = () => {
        if (lines.length < count && !isOver) return;
        waiting.delete(look);
        resolve();
      };
      waiting.add(look);
      look();
    });
  return { child, lines, printed, ended };
}

/** A directory that goes with the test. */
export async function temporaryDirectory(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'sluice-storage-'));
  onTestFinished(() => rm(path, { recursive: true, force: true }));
  return path;
}
