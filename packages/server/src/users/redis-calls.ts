import { type Clock, SluiceError } from '@sluice/core';
import type { Cluster, Redis } from 'ioredis';
import type { UserScript } from './user-scripts.js';

/** RedisCalls are calls of Redis that end in time: each has an instant, in microseconds, at which nobody waits any more. */
export class RedisCalls {
  readonly #client: Redis | Cluster;
  readonly #clock: Clock;

  constructor(client: Redis | Cluster, clock: Clock) {
    this.#client = client;
    this.#clock = clock;
  }

  /** The instant so many milliseconds from now. */
  in(ms: number): number {
    return this.#clock.now() + ms * 1_000;
  }

  /**
   * The answer, if it comes in time.
   * @throws SluiceError `STORE_UNAVAILABLE` at once where there is no connection; `STORE_TIMEOUT`; or Redis' own error.
   */
  ask<T>(until: number, question: (client: Redis | Cluster) => Promise<T>): Promise<T> {
    const { status } = this.#client;
    if (status !== 'ready') {
      const message = `There is no connection to Redis: the client is in the status '${status}'. Look at the server's log.`;
      return Promise.reject(new SluiceError('STORE_UNAVAILABLE', message));
    }
    return new Promise((resolve, reject) => {
      const late = () => {
        reject(new SluiceError('STORE_TIMEOUT', 'Redis has not answered in time. Look at its load and its log.'));
      };
      // What lies in the sockets already is read first: a late process is not a late reply.
      const left = Math.max(0, (until - this.#clock.now()) / 1_000);
      const cancel = this.#clock.after(left, () => setImmediate(late), { background: true });
      question(this.#client).then(resolve, reject).finally(cancel);
    });
  }

  /** Runs a script of one key: by its digest, and as a whole on a server that has not seen it. */
  run(until: number, { sha, text }: UserScript, key: string, ...args: readonly string[]): Promise<readonly unknown[]> {
    return this.ask(until, async (client) => {
      const reply = await client.evalsha(sha, 1, key, ...args).catch((error: unknown) => {
        if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
        return client.eval(text, 1, key, ...args);
      });
      return Array.isArray(reply) ? reply : [reply];
    });
  }
}
