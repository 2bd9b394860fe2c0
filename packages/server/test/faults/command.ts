import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { cli, folder, Running } from '../commands/running.ts';
import { Client } from '../support/client.ts';

/** The command as it runs, and a client of it. */
export interface Started {
  readonly running: Running;
  readonly client: Client;
}

/** A folder that goes with the tests of the file. */
export function dataDirectory(): string {
  return mkdtempSync(join(folder, 'data-'));
}

/** Runs the command to where it listens; `program` stands before it, such as options of Node. */
export async function started(args: readonly string[], program: readonly string[] = []): Promise<Started> {
  const running = new Running([...program, cli, 'serve', '--port', '0', '--log-level', 'warn', ...args]);
  await running.says(/listening on .*\n/);
  return { running, client: new Client(/listening on (\S+)/.exec(running.stdout)![1]!) };
}

/** Ends it as an operator would; rejects if it says anything, or fails. */
export async function ended({ running, client }: Started): Promise<void> {
  running.child.kill('SIGTERM');
  const { code, stderr } = await running.ended();
  client.close();
  if (code !== 0 || stderr !== '') throw new Error(`It ended with ${code}: ${stderr}`);
}

/** Ends it as a failure of the machine would. */
export async function killed({ running, client }: Started): Promise<void> {
  running.child.kill('SIGKILL');
  await running.ended();
  client.close();
}
