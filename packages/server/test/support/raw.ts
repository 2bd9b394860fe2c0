import { connect, type Socket } from 'node:net';

/** A connection to a service, over which bytes go as they are. */
export class RawConnection {
  readonly socket: Socket;
  /** All that came back so far. */
  received = '';
  readonly #closed: Promise<void>;

  constructor(url: string) {
    const { port, hostname } = new URL(url);
    this.socket = connect(Number(port), hostname);
    this.socket.setEncoding('latin1').on('data', (part) => {
      this.received += part;
    });
    this.socket.on('error', () => {});
    this.#closed = new Promise((resolve) => this.socket.once('close', () => resolve()));
  }

  send(bytes: string): this {
    this.socket.write(bytes, 'latin1');
    return this;
  }

  /** Resolves to all that came back when the service has closed the connection. */
  async closed(): Promise<string> {
    await this.#closed;
    return this.received;
  }
}

/** Sends bytes, and resolves to all that comes back until the service closes the connection. */
export function exchange(url: string, bytes: string): Promise<string> {
  return new RawConnection(url).send(bytes).closed();
}
