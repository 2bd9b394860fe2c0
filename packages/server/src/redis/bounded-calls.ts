import { type Clock, SluiceError } from '@sluice/core';
import type { Cluster, Redis } from 'ioredis';
import { before } from '../bounds.js';
import { microsOf, timeOfServer } from './fence.js';
import { run, type Script } from './script.js';

/** BoundedCalls are calls of Redis that end in time: each has an instant, in microseconds, at which nobody waits any more. */
export class BoundedCalls {
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
   * The answer, if it comes in time. The question is sent before this returns.
   * @throws SluiceError `STORE_UNAVAILABLE` at once where there is no connection; `STORE_TIMEOUT`; or Redis' own error.
   */
  async ask<T>(until: number, question: (client: Redis | Cluster) => Promise<T>): Promise<T> {
    const { status } = this.#client;
    // A client that is not connected may keep commands, a cluster's above all, and send them when nobody waits.
    if (status !== 'ready') {
      const message = `There is no connection to Redis: the client is in the status '${status}'. Look at the server's log.`;
      throw new SluiceError('STORE_UNAVAILABLE', message);
    }
    return before(this.#clock, until, 'Redis', question(this.#client));
  }

  /** Runs a script. A reply that is no list is given as a list of one. */
  run(
    until: number,
    script: Script,
    keys: readonly string[],
    args: readonly (string | number)[] = [],
  ): Promise<readonly unknown[]> {
    return this.ask(until, async (client) => {
      const reply = await run(client, script, keys, args);
      return Array.isArray(reply) ? reply : [reply];
    });
  }

  /** A fence: the time of the server that has a key when it is `until` here, or a little before; microseconds. */
  async fence(until: number, key: string): Promise<number> {
    const now = microsOf(await this.run(until, timeOfServer, [key]));
    return Math.floor(now + until - this.#clock.now());
  }
}
