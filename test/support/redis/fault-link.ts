import type { Socket } from 'node:net';
import { Frames } from './frames.js';

/** A FaultLink is one client's connection through a FaultProxy to the server. */
export class FaultLink {
  readonly client: Socket;
  readonly server: Socket;
  readonly requests = new Frames();
  readonly replies = new Frames();
  /** Commands that were passed on to the server, and those of them that it has answered. */
  sent = 0;
  answered = 0;
  /** The command after whose answer the connection is to be cut, counted as `sent` does. */
  last: number | undefined;
  /** Whether a command or a reply did not get through, so that no later one may. */
  hasLost = false;
  isOver = false;
  readonly #delayed: { readonly timer: NodeJS.Timeout; readonly send: () => void }[] = [];

  constructor(client: Socket, server: Socket) {
    this.client = client;
    this.server = server;
  }

  /** Calls `send` after so many milliseconds, at once if there are none. */
  later(ms: number, send: () => void): void {
    if (ms <= 0) {
      send();
      return;
    }
    const timer = setTimeout(() => {
      this.#delayed.shift();
      send();
    }, ms);
    this.#delayed.push({ timer, send });
  }

  /** Delivers now what is delayed. */
  flush(): void {
    for (const { timer, send } of this.#delayed.splice(0)) {
      clearTimeout(timer);
      send();
    }
  }

  /** Loses what is delayed. */
  drop(): void {
    if (this.#delayed.length > 0) this.hasLost = true;
    for (const { timer } of this.#delayed.splice(0)) clearTimeout(timer);
  }

  /** Closes the connection at once, and its client is told that it is broken. */
  reset(): void {
    this.isOver = true;
    this.drop();
    this.client.resetAndDestroy();
    this.server.destroy();
  }

  /** Closes the connection in good order, after `bytes` if there are any. */
  end(bytes: Buffer = Buffer.alloc(0)): void {
    this.flush();
    this.isOver = true;
    this.client.end(bytes);
    this.server.destroy();
  }
}
