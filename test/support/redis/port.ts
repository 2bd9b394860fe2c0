import { once } from 'node:events';
import { connect, createServer } from 'node:net';

/** A Redis node of a cluster listens on this port above its own as well. */
export const busOffset = 10_000;

/**
 * A port that is free on the loopback, and whose cluster bus port is free too. Both lie below those that systems give
 * to outgoing connections, so that none of these takes the place of a server that is down for a moment.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 11_000 + Math.floor(Math.random() * 11_000);
    if ((await isFree(port)) && (await isFree(port + busOffset))) return port;
  }
}

/** Whether a server that listens on the port answers commands: it is up, and has loaded its data. */
export async function answers(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    socket.setTimeout(1_000, () => socket.destroy(new Error(`Port ${port} does not answer`)));
    socket.write('PING\r\n');
    const [reply] = (await once(socket, 'data')) as [Buffer];
    return /^(\+PONG|-NOAUTH|-NOPERM|-MASTERDOWN)/.test(reply.toString('latin1'));
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, '127.0.0.1');
  try {
    await once(server, 'listening');
  } catch {
    return false;
  }
  server.close();
  await once(server, 'close');
  return true;
}
