import { type FreedKeys, SluiceError } from '@sluice/core';
import { messageOf, show } from '@sluice/core/toolkit';
import type { RedisClient } from './client.js';
import { isDigest } from './store-keys.js';

/**
 * A RedisSubscriber is the slice of an ioredis client that hears of keys that others have given units back: a connection
 * of its own, since one that has subscribed can do nothing else. It stays its user's.
 */
export interface RedisSubscriber {
  readonly status: string;
  readonly isCluster?: boolean;
  subscribe(channel: string): PromiseLike<unknown>;
  unsubscribe(channel: string): PromiseLike<unknown>;
  connect(): PromiseLike<unknown>;
  on(event: 'message', listener: (channel: string, message: string) => void): unknown;
  on(event: 'ready' | 'close', listener: () => void): unknown;
}

/** @throws SluiceError `INVALID_OPTION` for what cannot hear, or could do nothing else from then on. */
export function checkSubscriber(subscriber: RedisSubscriber, client: RedisClient): void {
  const where = "RedisStore: 'denyCache.subscriber'";
  const remedy = 'Give it a connection of its own: denyCache: { subscriber: redis.duplicate() }.';
  if ((subscriber as unknown) === client) {
    throw new SluiceError(
      'INVALID_OPTION',
      `${where} is the client of the store, which could do nothing else once it has subscribed. ${remedy}`,
    );
  }
  const { status, ...rest } = (subscriber ?? {}) as Partial<RedisSubscriber>;
  const methods = ['subscribe', 'unsubscribe', 'connect', 'on'] as const;
  const has = (method: (typeof methods)[number]) => typeof (subscriber as typeof rest)?.[method] === 'function';
  if (typeof status === 'string' && methods.every(has)) return;
  throw new SluiceError(
    'INVALID_OPTION',
    `${where} must be a client of ioredis, whichever client the store has; got ${show(subscriber)}. ${remedy}`,
  );
}

type Freed = (key?: string) => void;

/** What of one client is subscribed to: a client warns of many listeners, and leaves a channel for all who hear it. */
class Subscription {
  readonly #client: RedisSubscriber;
  readonly #listeners = new Map<string, Set<Freed>>();
  readonly #heard = new Set<string>();
  readonly #warned = new Set<string>();
  readonly #warn: (message: string) => void;

  constructor(client: RedisSubscriber, warn: (message: string) => void) {
    this.#client = client;
    this.#warn = warn;
    client.on('message', (channel, message) => {
      // A digest does not tell of which key it is.
      const key = isDigest(message) ? undefined : message;
      for (const freed of this.#listeners.get(channel) ?? []) freed(key);
    });
    client.on('ready', () => {
      for (const channel of this.#listeners.keys()) this.#subscribe(channel);
    });
    client.on('close', () => {
      for (const channel of this.#heard) this.#miss(channel);
      this.#heard.clear();
    });
    // What comes of it is seen in the client's status.
    if (client.status === 'wait') client.connect().then(undefined, () => {});
  }

  hears(channel: string): boolean {
    return this.#heard.has(channel);
  }

  listen(channel: string, freed: Freed): () => void {
    let listeners = this.#listeners.get(channel);
    if (listeners === undefined) {
      listeners = new Set();
      this.#listeners.set(channel, listeners);
      if (this.#client.status === 'ready') this.#subscribe(channel);
    }
    listeners.add(freed);
    return () => {
      if (!listeners.delete(freed) || listeners.size > 0) return;
      this.#listeners.delete(channel);
      this.#heard.delete(channel);
      if (this.#client.status === 'ready') this.#client.unsubscribe(channel).then(undefined, () => {});
    };
  }

  #subscribe(channel: string): void {
    this.#client.subscribe(channel).then(
      () => {
        // What was published before then was not heard.
        this.#miss(channel);
        if (this.#listeners.has(channel) && this.#client.status === 'ready') this.#heard.add(channel);
      },
      (error: unknown) => {
        // Without a connection there is another attempt on the next one.
        if (this.#client.status !== 'ready' || this.#warned.has(channel)) return;
        this.#warned.add(channel);
        this.#warn(
          `RedisStore: nothing is heard of keys that other processes give units back, since the subscriber failed to ` +
            `subscribe to '${channel}': ${messageOf(error)}. Give its user the rights '+subscribe &${channel}'. ` +
            'Meanwhile a refusal is repeated for a second at the most before Redis is asked again.',
        );
      },
    );
  }

  #miss(channel: string): void {
    for (const freed of this.#listeners.get(channel) ?? []) freed();
  }
}

const subscriptions = new WeakMap<RedisSubscriber, Subscription>();

/** The keys that the scripts of all processes with this prefix tell of. `warn` is told once if they cannot be heard. */
export function freedKeys(subscriber: RedisSubscriber, prefix: string, warn: (message: string) => void): FreedKeys {
  const channel = `${prefix}:freed`;
  let subscription = subscriptions.get(subscriber);
  if (subscription === undefined) {
    subscription = new Subscription(subscriber, warn);
    subscriptions.set(subscriber, subscription);
  }
  const news = subscription;
  return {
    // A cluster does not tell when the connection over which it hears was cut.
    get isHeard() {
      return subscriber.isCluster !== true && news.hears(channel);
    },
    listen: (freed) => news.listen(channel, freed),
  };
}
