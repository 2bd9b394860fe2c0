import { SluiceError } from '@sluice/core';
import { show } from '@sluice/core/toolkit';
import type { RedisClient } from './client.js';

interface ScriptOptions {
  keys: string[];
  arguments: string[];
}

/** A NodeRedisClient is the slice of a client, cluster or sentinel of node-redis (the package `redis`) that is used. */
export interface NodeRedisClient {
  evalSha(sha: string, options: ScriptOptions): Promise<unknown>;
  eval(script: string, options: ScriptOptions): Promise<unknown>;
  readonly isOpen: boolean;
  /** A cluster has none. */
  readonly isReady?: boolean;
  on(event: string, listener: (error: unknown) => void): unknown;
  once(event: string, listener: () => void): unknown;
}

/**
 * Makes a client of node-redis one that a RedisStore takes. Connect it yourself: `await client.connect()`.
 *
 * An `error` event that nobody listens to would end the process, so this listens; the store tells of what fails.
 * @throws SluiceError `INVALID_OPTION` for what is no such client.
 */
export function fromNodeRedis(client: NodeRedisClient): RedisClient {
  if (typeof client?.evalSha !== 'function' || typeof client.on !== 'function') {
    throw new SluiceError(
      'INVALID_OPTION',
      `fromNodeRedis takes a client of node-redis, like createClient(); got ${show(client)}.`,
    );
  }
  let wrapped = wrappers.get(client);
  if (wrapped === undefined) {
    wrapped = new NodeRedis(client);
    wrappers.set(client, wrapped);
  }
  return wrapped;
}

/** One for each client, so that many stores over one do not listen to it many times. */
const wrappers = new WeakMap<NodeRedisClient, RedisClient>();

class NodeRedis implements RedisClient {
  readonly isCluster: boolean;
  readonly sendsAgain = false;
  readonly #client: NodeRedisClient;
  #lastError: unknown;

  constructor(client: NodeRedisClient) {
    this.#client = client;
    this.isCluster = Array.isArray((client as { masters?: unknown }).masters);
    client.on('error', (error: unknown) => {
      this.#lastError = error;
    });
  }

  get lastError(): unknown {
    return this.#lastError;
  }

  get status(): string {
    const { isOpen, isReady = isOpen } = this.#client;
    if (isReady) return 'ready';
    return isOpen ? 'connecting' : 'end';
  }

  masterOf(slot: number): string | undefined {
    const { slots } = this.#client as { slots?: readonly { master?: { address?: string } }[] };
    return slots?.[slot]?.master?.address;
  }

  evalsha(sha: string, numberOfKeys: number, ...args: string[]): Promise<unknown> {
    return this.#client.evalSha(sha, { keys: args.slice(0, numberOfKeys), arguments: args.slice(numberOfKeys) });
  }

  eval(script: string, numberOfKeys: number, ...args: string[]): Promise<unknown> {
    return this.#client.eval(script, { keys: args.slice(0, numberOfKeys), arguments: args.slice(numberOfKeys) });
  }

  once(event: 'ready', listener: () => void): void {
    this.#client.once(event, listener);
  }

  on(event: 'ready' | '+node', listener: () => void): void {
    // A cluster of node-redis tells of its servers by another name.
    this.#client.on(event === '+node' ? 'node-ready' : event, listener);
  }
}
