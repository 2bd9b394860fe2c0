import { Memo } from '@sluice/core/toolkit';
import type { RedisClient } from './client.js';
import { slotOfKey } from './store-keys.js';

/** A Topology says which server keeps a key, and which keys one script reaches. */
export interface Topology {
  /** Whether there are keys that one script does not reach together. */
  readonly isSpread: boolean;
  /** The same for keys that one script reaches together. */
  partOf(key: string): number;
  /** Names the server, as far as it is known. */
  serverOf(key: string): string;
  /** A key that was last seen on that server. */
  keyOn(server: string): string;
}

/** Every script reaches every key. */
export const oneServer: Topology = {
  isSpread: false,
  partOf: () => 0,
  serverOf: () => 'redis',
  keyOn: () => 'sluice',
};

/** A ClusterTopology knows of the servers what the client does: it asks for the masters of the slots. */
export class ClusterTopology implements Topology {
  readonly isSpread = true;
  /** A decision asks for the slot of its key several times. */
  readonly #slots = new Memo(slotOfKey);
  readonly #client: RedisClient;
  readonly #keys = new Map<string, string>();

  constructor(client: RedisClient) {
    this.#client = client;
  }

  partOf(key: string): number {
    return this.#slots.get(key);
  }

  serverOf(key: string): string {
    const slot = this.partOf(key);
    const client = this.#client;
    const master = client.masterOf === undefined ? client.slots?.[slot]?.[0] : client.masterOf(slot);
    const server = master ?? 'cluster';
    if (this.#keys.size >= 1_000 && !this.#keys.has(server)) this.#keys.clear();
    // The last key, not the first: slots move, and a probe must reach this very server.
    this.#keys.set(server, key);
    return server;
  }

  keyOn(server: string): string {
    return this.#keys.get(server) ?? 'sluice';
  }
}
