import { type ChildProcess, fork } from 'node:child_process';
import { on, once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** What the packages of the repository and their TypeScript need: the flags of this process are the test runner's. */
const execArgv = ['--conditions=source', '--import', 'tsx'];
const cwd = fileURLToPath(new URL('.', import.meta.url));

interface Member {
  readonly process: ChildProcess;
  readonly messages: AsyncIterator<readonly unknown[]>;
  complaint: string;
}

/** A Fleet is several processes that run the same program of this folder, and are talked to all at once. */
export class Fleet {
  readonly #members: readonly Member[];

  /** Starts a process for each list of arguments. Each has to say something when it is ready. */
  constructor(program: string, args: readonly (readonly string[])[]) {
    const path = join(cwd, program);
    this.#members = args.map((its) =>
      memberOf(fork(path, its, { cwd, execArgv, stdio: ['ignore', 'inherit', 'pipe', 'ipc'] })),
    );
  }

  /** Sends all the same message. */
  tell(message: unknown): void {
    for (const { process } of this.#members) process.send(message as object);
  }

  /** Waits for the next message of each. Rejects with what a process printed if it has ended instead. */
  hear<T>(): Promise<readonly T[]> {
    return Promise.all(
      this.#members.map(async (member) => {
        const { value, done } = await member.messages.next();
        if (!done) return value[0] as T;
        throw new Error(`A process of the fleet ended with ${member.process.exitCode}:\n${member.complaint}`);
      }),
    );
  }

  async stop(): Promise<void> {
    await Promise.all(
      this.#members.map(async ({ process }) => {
        if (process.exitCode !== null || process.signalCode !== null) return;
        const ended = once(process, 'close');
        process.kill('SIGKILL');
        await ended;
      }),
    );
  }
}

function memberOf(process: ChildProcess): Member {
  const member: Member = { process, messages: on(process, 'message', { close: ['close'] }), complaint: '' };
  process.stderr?.setEncoding('utf8').on('data', (text: string) => {
    member.complaint += text;
  });
  return member;
}
