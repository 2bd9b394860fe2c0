import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { run } from '../run.js';
import { until } from './until.js';

/**
 * A GuardedProcess never outlives the process that started it, however that ends: its guard, a shell, reads from a pipe
 * that the system closes then, and kills it and removes its folder.
 */
export class GuardedProcess {
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;
  #output = '';
  /** Resolves when the process has ended and the output is complete. */
  readonly complete: Promise<unknown>;

  constructor(command: string, args: readonly string[], folder: string) {
    this.#child = spawn(command, args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#output = (this.#output + text).slice(-50_000);
      });
    }
    // If the command cannot be run at all, there is an error instead of an exit.
    this.#exited = new Promise((resolve) => this.#child.once('exit', resolve).once('error', resolve));
    this.complete = new Promise((resolve) => this.#child.once('close', resolve));
    this.#child.once('error', (error) => {
      this.#output += error.message;
    });
    if (this.#child.pid !== undefined) this.#guard(this.#child.pid, folder);
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  get isRunning(): boolean {
    return this.pid !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** The last of what the process has printed. */
  get output(): string {
    return this.#output;
  }

  /** Stops the process as a debugger does, and resolves when it stands still. */
  async pause(): Promise<void> {
    this.#child.kill('SIGSTOP');
    await until(`process ${this.pid} stands still`, async () => (await stateOf(this.pid!)) === 'T');
  }

  resume(): void {
    this.#child.kill('SIGCONT');
  }

  /** Kills the process, also a paused one, and resolves when it is gone. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#exited;
  }

  #guard(pid: number, folder: string): void {
    const script = 'trap "" INT TERM HUP; read -r _; kill -9 "$0"; rm -rf -- "$1"';
    const guard = spawn('sh', ['-c', script, String(pid), folder], { stdio: ['pipe', 'ignore', 'ignore'] });
    // Gone with the process at the latest, before the system can give its number to another.
    this.#child.once('exit', () => guard.kill('SIGKILL'));
    guard.stdin.on('error', () => {});
  }
}

/** The letter by which the system tells the state of a process. */
async function stateOf(pid: number): Promise<string | undefined> {
  if (!existsSync('/proc/self/stat')) return (await run('ps', ['-o', 'state=', '-p', String(pid)])).stdout.trim()[0];
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  return stat.slice(stat.lastIndexOf(')') + 2)[0];
}
