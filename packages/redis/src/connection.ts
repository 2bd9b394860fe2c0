import { type ConnectionState, SluiceError } from '@sluice/core';
import type { RedisClient } from './client.js';

const connections = new WeakMap<RedisClient, Connection>();

/** The connection of a client, one for all stores over it: a client warns of many listeners. */
export function connectionOf(client: RedisClient): Connection {
  let connection = connections.get(client);
  if (connection === undefined) {
    connection = new Connection(client);
    connections.set(client, connection);
  }
  return connection;
}

/** A Connection knows when commands may be sent, and tells when a client has connected anew. */
export class Connection implements ConnectionState {
  readonly #client: RedisClient;
  readonly #listeners = new Set<() => void>();
  #wasReady: boolean;
  #waiting: Promise<void> | undefined;

  constructor(client: RedisClient) {
    this.#client = client;
    this.#wasReady = this.isReady;
    client.on?.('ready', () => {
      if (this.#wasReady) this.#reconnected();
      this.#wasReady = true;
    });
    // A cluster is ready all along while its masters come and go; its replicas do so for no reason.
    if (client.isCluster) {
      client.on?.('+node', (node) => {
        if (this.#wasReady && node?.options?.readOnly !== true) this.#reconnected();
      });
    }
  }

  /** Sent while a client is not ready, commands would queue up in it, and run when nobody waits for them any more. */
  get isReady(): boolean {
    const { status } = this.#client;
    return status === undefined || status === 'ready';
  }

  /** Whether what is to be sent now is sent, at once or when the client is ready for the first time. */
  get isExpected(): boolean {
    const { status, once } = this.#client;
    return this.isReady || (!this.#wasReady && status !== 'end' && once !== undefined);
  }

  get lastError(): unknown {
    return this.#client.lastError;
  }

  /**
   * Resolves when the client is ready for the first time, or again. Whoever waits must have a deadline of his own.
   * @throws SluiceError `STORE_UNAVAILABLE` for a client that will not be ready, or would be so only `again`.
   */
  async untilReady(again = false): Promise<void> {
    const client = this.#client;
    if (this.#wasReady && !again && client.status !== 'end') {
      throw new SluiceError(
        'STORE_UNAVAILABLE',
        `The Redis client has lost its connection, and is in the status '${client.status}'. Look at the server's log.`,
      );
    }
    if (client.status === 'end' || client.once === undefined) {
      throw new SluiceError(
        'STORE_UNAVAILABLE',
        `The Redis client is in the status '${client.status}': it was closed, or its retryStrategy has given up. ` +
          'Close it after the last request, and give it a retryStrategy that always returns a number.',
      );
    }
    // What comes of it is seen in the client's status.
    if (client.status === 'wait') client.connect?.().then(undefined, () => {});
    this.#waiting ??= new Promise((resolve) => {
      client.once?.('ready', () => {
        this.#waiting = undefined;
        resolve();
      });
    });
    await this.#waiting;
  }

  #reconnected(): void {
    for (const listener of this.#listeners) listener();
  }

  /** Calls `listener` after each connection but the first: the server may be another one, or have lost its data. */
  onReconnect(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
