import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { FaultLink } from './fault-link.js';
import { commandOf, isPush } from './frames.js';

/** What a proxy does with what it is given. */
type Fault =
  | { readonly kind: 'none' | 'hang' | 'refuse' | 'cut-mid-reply' }
  | { readonly kind: 'delay'; readonly ms: number }
  | { readonly kind: 'swallow'; left: number }
  | { readonly kind: 'cut-after'; readonly command: string | undefined };

const none: Fault = { kind: 'none' };

/**
 * A FaultProxy stands between clients and a server on the loopback, and fails in the way it was last told, which goes
 * for the connections that are open as well as for new ones. It knows whole commands and replies: nothing depends on
 * how they happen to be cut into packets. It lives in the process of the test, and is as late as that.
 *
 * Connections have no holes, as they have none with TCP: one on which anything was lost delivers nothing more, and is
 * reset when the fault ends. There is one fault at a time: a new one ends the one before.
 */
export class FaultProxy {
  readonly port: number;
  /** Connections that clients have opened so far, refused ones included. */
  connections = 0;
  /** Commands that clients have sent so far, lost ones included. */
  requests = 0;
  /** Replies that were passed on to clients so far. */
  replies = 0;
  readonly #target: number;
  readonly #server: Server;
  readonly #links = new Set<FaultLink>();
  #fault: Fault = none;

  private constructor(server: Server, target: number) {
    this.port = (server.address() as AddressInfo).port;
    this.#target = target;
    this.#server = server;
    server.on('connection', (client) => this.#accept(client));
  }

  /** A proxy to a port of the loopback, on a free port, that lets everything pass. */
  static async to(target: number): Promise<FaultProxy> {
    const server = createServer({ noDelay: true }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new FaultProxy(server, target);
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** Connections that are open now. */
  get open(): number {
    return [...this.#links].filter((link) => !link.isOver).length;
  }

  /** Ends the fault. Delayed replies are delivered at once. */
  pass(): void {
    this.#set(none);
  }

  /** Delivers every reply so many milliseconds later. */
  delay(ms: number): void {
    this.#set({ kind: 'delay', ms });
  }

  /** Accepts connections and loses everything, both ways: what clients send does not reach the server. */
  hang(): void {
    this.#set({ kind: 'hang' });
  }

  /**
   * Delivers commands and loses replies: all, or the next `count`, and then lets pass. A connection on which one was
   * lost stays open; if a reply is to pass on it afterwards, it is reset instead.
   */
  swallowReplies(count = Number.POSITIVE_INFINITY): void {
    this.#set({ kind: 'swallow', left: count });
  }

  /** Resets the connections that are open now, once. */
  cut(): void {
    for (const link of [...this.#links]) link.reset();
  }

  /**
   * Once: delivers the next command (of that name, if one is given, such as `'EVALSHA'`), waits for the server's
   * answer to it, loses this and closes the connection. Replies to earlier commands of the connection arrive; later
   * commands do not reach the server.
   */
  cutAfterRequest(command?: string): void {
    this.#set({ kind: 'cut-after', command: command?.toUpperCase() });
  }

  /** Once: delivers the first half of the next reply, and closes its connection. */
  cutMidReply(): void {
    this.#set({ kind: 'cut-mid-reply' });
  }

  /** Resets new connections at once. Those that are open go on; `cut()` ends them. */
  refuse(): void {
    this.#set({ kind: 'refuse' });
  }

  /** Ends the proxy and all connections. May be called again. */
  async close(): Promise<void> {
    this.cut();
    if (!this.#server.listening) return;
    this.#server.close();
    await once(this.#server, 'close');
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #set(fault: Fault): void {
    this.#fault = fault;
    for (const link of [...this.#links]) {
      link.last = undefined;
      if (fault.kind === 'hang') link.drop();
      else if (link.hasLost) link.reset();
      else link.flush();
    }
  }

  #accept(client: Socket): void {
    this.connections++;
    client.on('error', () => {});
    if (this.#fault.kind === 'refuse') {
      client.resetAndDestroy();
      return;
    }
    const server = connect({ port: this.#target, host: '127.0.0.1', noDelay: true });
    const link = new FaultLink(client, server);
    this.#links.add(link);
    client.on('data', (bytes) => {
      for (const request of link.requests.push(bytes)) this.#onRequest(link, request);
    });
    client.on('close', () => {
      link.isOver = true;
      link.drop();
      server.destroySoon();
      this.#links.delete(link);
    });
    server.on('data', (bytes) => {
      for (const reply of link.replies.push(bytes)) this.#onReply(link, reply);
    });
    let isBroken = false;
    server.on('error', () => {
      isBroken = true;
    });
    server.on('close', () => {
      if (link.isOver) return;
      // What hangs does not tell that the server has gone.
      if (this.#fault.kind === 'hang') link.hasLost = true;
      else if (isBroken) link.reset();
      else link.end();
    });
  }

  #onRequest(link: FaultLink, request: Buffer): void {
    if (link.isOver) return;
    this.requests++;
    const fault = this.#fault;
    if (fault.kind === 'hang' || link.last !== undefined) {
      link.hasLost = true;
      return;
    }
    link.sent++;
    if (fault.kind === 'cut-after' && (fault.command === undefined || fault.command === commandOf(request))) {
      link.last = link.sent;
      this.#fault = none;
    }
    link.server.write(request);
  }

  #onReply(link: FaultLink, reply: Buffer): void {
    if (link.isOver) return;
    if (!isPush(reply)) link.answered++;
    const fault = this.#fault;
    if (fault.kind === 'hang') {
      link.hasLost = true;
    } else if (link.answered === link.last) {
      link.end();
    } else if (fault.kind === 'swallow') {
      link.hasLost = true;
      if (!isPush(reply)) fault.left--;
      if (fault.left <= 0) this.#fault = none;
    } else if (link.hasLost && link.last === undefined) {
      link.reset();
    } else if (fault.kind === 'cut-mid-reply') {
      this.#fault = none;
      link.end(reply.subarray(0, Math.ceil(reply.length / 2)));
    } else {
      link.later(fault.kind === 'delay' ? fault.ms : 0, () => {
        this.replies++;
        link.client.write(reply);
      });
    }
  }
}
