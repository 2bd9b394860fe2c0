import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

export interface Result {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Record<string, string>;
  readonly input?: string;
}

/** Runs a command to its end. */
export async function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<Result> {
  const child = spawn(command, args, { cwd: options.cwd, env: { ...process.env, ...options.env } });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text) => {
    stderr += text;
  });
  // A command may end before it has read its input; its result says how.
  child.stdin.on('error', () => {});
  child.stdin.end(options.input ?? '');
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, stdout, stderr };
}

/** Runs a command to its end, which must be a good one. */
export async function succeed(command: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const { code, stdout, stderr } = await run(command, args, options);
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${code}:\n${stdout}\n${stderr}`);
  return stdout;
}

/** A Program is one that runs until the test ends it, with all that it has started. */
export class Program {
  readonly #child: ChildProcess;
  output = '';

  constructor(command: string, args: readonly string[], options: RunOptions = {}) {
    // In a process group of its own: a package manager does not pass every signal on to the server it runs.
    this.#child = spawn(command, args, { cwd: options.cwd, env: { ...process.env, ...options.env }, detached: true });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text) => {
        this.output += text;
        this.#child.emit('output');
      });
    }
  }

  /** Waits until the output matches. */
  async says(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this.output);
      if (match) return match;
      if (this.#child.exitCode !== null) {
        throw new Error(`The program ended with ${this.#child.exitCode}, and never said ${pattern}:\n${this.output}`);
      }
      await Promise.race([once(this.#child, 'output'), once(this.#child, 'exit')]);
    }
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    // Closed only when nobody in the group holds its output any more.
    const ended = once(this.#child, 'close');
    process.kill(-this.#child.pid!);
    await ended;
  }
}
