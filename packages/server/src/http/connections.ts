import type { Server } from 'node:http';
import type { Socket } from 'node:net';

/** Milliseconds for which requests that have come in by halves are waited for. */
const patience = 5_000;

/**
 * Connections of a server that is to be closed. Node waits for each, and once a server is closing gives none up by
 * itself: a client that has connected and says nothing, or stops amid a request, would keep the process for good.
 */
export class Connections {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  /** To be made before the server listens. */
  constructor(server: Server) {
    this.#server = server;
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
  }

  /**
   * Lets go, until the server is closed, of those that have no request, and of those whose request is answered; after
   * five seconds of all.
   */
  drain(): void {
    const release = setInterval(() => this.#release(), 50);
    const end = setTimeout(() => this.#server.closeAllConnections(), patience);
    this.#server.once('close', () => {
      clearInterval(release);
      clearTimeout(end);
    });
    this.#release();
  }

  #release(): void {
    this.#server.closeIdleConnections();
    // Those that have never said anything do not count as idle.
    for (const socket of this.#sockets) if (socket.bytesRead === 0) socket.destroy();
  }
}
