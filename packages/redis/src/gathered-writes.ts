import type { RedisClient } from './client.js';
import type { Connection } from './connection.js';

/** The slice of a socket, and of a client's connection, that is used. */
interface Corkable {
  cork(): void;
  uncork(): void;
}
interface Node {
  readonly stream?: Partial<Corkable>;
  readonly status?: string;
  readonly options?: { readonly host?: string; readonly port?: number };
}
interface NodesOf {
  nodes?(role: 'master'): readonly Node[];
}

/**
 * GatheredWrites sends what one turn of the event loop asks of a server of a cluster in one write: there, decisions on
 * different keys are commands of their own, and a write for each is a quarter of what they cost the client. What one
 * server keeps goes together in one command as it is.
 *
 * Of clients whose sockets cannot be seen, such as those of node-redis, nothing is gathered.
 */
export class GatheredWrites {
  readonly #client: RedisClient & Node & NodesOf;
  readonly #nodes = new Map<string, Node>();
  readonly #corked: Corkable[] = [];
  readonly #stopListening: () => void;
  readonly #uncork = () => {
    for (const stream of this.#corked.splice(0)) stream.uncork();
  };

  constructor(client: RedisClient, connection: Connection) {
    this.#client = client;
    this.#stopListening = connection.onReconnect(() => this.#nodes.clear());
  }

  /** The connection outlives the stores over it, and must not keep them. */
  close(): void {
    this.#stopListening();
  }

  /** To be called before a command is sent to that server. */
  begin(server: string): void {
    if (!this.#client.isCluster) return;
    const stream = this.#nodeOf(server).stream;
    if (typeof stream?.cork !== 'function' || typeof stream.uncork !== 'function') return;
    if (this.#corked.includes(stream as Corkable)) return;
    stream.cork();
    if (this.#corked.push(stream as Corkable) === 1) process.nextTick(this.#uncork);
  }

  #nodeOf(server: string): Node {
    const known = this.#nodes.get(server);
    if (known !== undefined && known.status !== 'end') return known;
    for (const node of this.#client.nodes?.('master') ?? []) {
      this.#nodes.set(`${node.options?.host}:${node.options?.port}`, node);
    }
    const found = this.#nodes.get(server) ?? {};
    // A server that is not found is not looked for with every command.
    this.#nodes.set(server, found);
    return found;
  }
}
