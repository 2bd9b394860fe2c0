import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as after } from 'node:timers/promises';

/** A folder that is gone when this process has ended. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-nginx-'));
  // Where root starts nginx, its workers are another user, who has a folder of his own in there.
  chmodSync(folder, 0o711);
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A port that nothing listens on. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

/** The port on which a service says that it listens. */
export async function portOf(service: ChildProcess): Promise<number> {
  let said = '';
  for await (const text of service.stdout ?? []) {
    said += text;
    const [, port] = /listening on http:\/\/\S+:(\d+)/.exec(said) ?? [];
    if (port !== undefined) return Number(port);
  }
  throw new Error(`The service has ended, and never said where it listens: ${said}`);
}

/** Resolves when something accepts connections on the port. */
export async function accepts(port: number): Promise<void> {
  for (;;) {
    const socket = connect(port, '127.0.0.1');
    try {
      await once(socket, 'connect');
      return;
    } catch {
      await after(20);
    } finally {
      socket.destroy();
    }
  }
}

/** Ends the processes when this one is to end, or one of them has, and then this one. */
export function endTogether(...children: readonly ChildProcess[]): void {
  const end = async () => {
    for (const child of children) child.kill();
    await Promise.all(children.map((child) => child.exitCode ?? child.signalCode ?? once(child, 'close')));
    process.exit(1);
  };
  for (const child of children) child.once('close', end);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, end);
}
