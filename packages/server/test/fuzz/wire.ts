import { connect, type Socket } from 'node:net';
import type { Sent } from './generator.ts';

export interface Received {
  readonly status: number;
  readonly type: string;
  readonly head: string;
  readonly body: string;
}

interface Waiting {
  readonly sent: Sent;
  readonly resolve: (received: Received) => void;
  readonly reject: (error: Error) => void;
}

/** A Wire sends one request after another down a connection, and makes a new one where the service has said that it ends. */
export class Wire {
  readonly #port: number;
  #socket: Socket | undefined;
  #waiting: Waiting | undefined;
  #buffer = Buffer.alloc(0);

  constructor(port: number) {
    this.#port = port;
  }

  /** To be called when the request before it is answered. Rejects where the connection ends without an answer. */
  send(sent: Sent): Promise<Received> {
    return new Promise((resolve, reject) => {
      this.#waiting = { sent, resolve, reject };
      this.#socket ??= this.#connected();
      this.#socket.write(textOf(sent));
    });
  }

  close(): void {
    this.#socket?.destroy();
  }

  #connected(): Socket {
    const socket = connect(this.#port, '127.0.0.1').setNoDelay();
    this.#buffer = Buffer.alloc(0);
    socket.on('data', (part) => {
      this.#buffer = this.#buffer.length === 0 ? part : Buffer.concat([this.#buffer, part]);
      this.#read(socket);
    });
    let cause: Error | undefined;
    socket.on('error', (error) => {
      cause = error;
    });
    socket.once('close', () => {
      if (this.#socket !== socket) return;
      this.#socket = undefined;
      this.#waiting?.reject(new Error('The connection has ended without an answer.', { cause }));
    });
    return socket;
  }

  #read(socket: Socket): void {
    const end = this.#buffer.indexOf('\r\n\r\n');
    if (end < 0 || this.#waiting === undefined) return;
    const { sent, resolve } = this.#waiting;
    const head = this.#buffer.toString('latin1', 0, end);
    const status = Number(head.slice(9, 12));
    const begin = end + 4;
    let next = begin;
    if (status !== 204 && status !== 304 && sent.method !== 'HEAD') {
      const [, length] = /\r\ncontent-length: *(\d+)/i.exec(head) ?? [];
      const last = this.#buffer.indexOf('0\r\n\r\n', begin);
      if (length === undefined && last < 0) return;
      next = length === undefined ? last + 5 : begin + Number(length);
      if (this.#buffer.length < next) return;
    }
    const body = this.#buffer.toString('utf8', begin, next);
    this.#buffer = this.#buffer.subarray(next);
    this.#waiting = undefined;
    if (/\r\nconnection: *close/i.test(head)) {
      this.#socket = undefined;
      socket.destroy();
    }
    const type = /\r\ncontent-type: *([^\r\n]*)/i.exec(head)?.[1] ?? '';
    resolve({ status, type, head, body });
  }
}

function textOf({ method, path, headers, body }: Sent): string {
  const fields = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const length = body === undefined ? '' : `Content-Length: ${Buffer.byteLength(body)}\r\n`;
  return `${method} ${path} HTTP/1.1\r\nHost: localhost\r\n${fields.join('')}${length}\r\n${body ?? ''}`;
}
