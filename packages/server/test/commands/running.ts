import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';

export const dist = join(import.meta.dirname, '../../dist');
export const cli = join(dist, 'cli.js');
/** Where the commands of a test file run. */
export const folder = mkdtempSync(join(tmpdir(), 'sluice-cli-'));

const children = new Set<ChildProcess>();

beforeAll(() => {
  if (!existsSync(cli)) throw new Error('packages/server/dist/cli.js is missing; build first: pnpm build');
});
afterAll(() => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

/** A process of the command, as users start it: in a folder of its own, without the settings of whoever runs the tests. */
export class Running {
  readonly child: ChildProcess;
  /** With all of the output. */
  readonly #closed: Promise<unknown>;
  stdout = '';
  stderr = '';

  constructor(args: readonly string[], env: Record<string, string> = {}) {
    const clean = Object.entries(process.env).filter(([name]) => !/^(SLUICE_|INIT_CWD)/.test(name));
    this.child = spawn(process.execPath, args, { cwd: folder, env: { ...Object.fromEntries(clean), ...env } });
    children.add(this.child);
    this.#closed = once(this.child, 'close').then(() => children.delete(this.child));
    this.child.stdout!.setEncoding('utf8').on('data', (text) => {
      this.stdout += text;
    });
    this.child.stderr!.setEncoding('utf8').on('data', (text) => {
      this.stderr += text;
    });
  }

  /** Waits until standard output matches. */
  async says(pattern: RegExp): Promise<void> {
    while (!pattern.test(this.stdout)) {
      if (this.child.exitCode !== null) throw new Error(`It ended, and never said ${pattern}: ${this.stderr}`);
      await Promise.race([once(this.child.stdout!, 'data'), this.#closed]);
    }
  }

  async ended(): Promise<{ code: number | null; stdout: string; stderr: string }> {
    await this.#closed;
    return { code: this.child.exitCode, stdout: this.stdout, stderr: this.stderr };
  }
}

/** Runs the command to its end. */
export function sluice(args: readonly string[], env?: Record<string, string>): ReturnType<Running['ended']> {
  return new Running([cli, ...args], env).ended();
}
