import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';

/** Programs run from where tsx is installed. */
const cwd = fileURLToPath(new URL('../../../../test', import.meta.url));
const cli = fileURLToPath(new URL('../../src/cli.ts', import.meta.url));

/** A service in a process of its own, as the command starts it, but from the sources. */
export interface ServeCommand {
  readonly child: ChildProcess;
  readonly url: string;
  /** All that it has written to standard output and standard error so far. */
  output(): string;
  /** Sends SIGTERM, and resolves when it has ended. */
  stop(): Promise<void>;
}

/** Runs `sluice serve` on a free port, and resolves when it listens. It ends with the test at the latest. */
export async function serve(args: readonly string[]): Promise<ServeCommand> {
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(SLUICE_|INIT_CWD)/.test(name)));
  const program = ['--conditions=source', '--import', 'tsx', cli, 'serve', '--port', '0', ...args];
  const child = spawn(process.execPath, program, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  const closed = once(child, 'close');
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (part) => {
      text += part;
    });
  }
  for (;;) {
    const [url] = /http:\/\/127\.0\.0\.1:\d+/.exec(text) ?? [];
    if (url !== undefined) {
      return {
        child,
        url,
        output: () => text,
        async stop() {
          child.kill('SIGTERM');
          await closed;
        },
      };
    }
    if (child.exitCode !== null) throw new Error(`The service has ended: ${text}`);
    await Promise.race([once(child.stdout, 'data'), once(child.stderr, 'data'), closed]);
  }
}
