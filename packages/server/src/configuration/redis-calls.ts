import { randomUUID } from 'node:crypto';
import { type Clock, SluiceError } from '@sluice/core';
import type { Cluster, Redis } from 'ioredis';
import { pause } from '../bounds.js';
import { Problem } from '../problem.js';
import { BoundedCalls } from '../redis/bounded-calls.js';
import { microsOf } from '../redis/fence.js';
import { lookScript } from './redis-scripts.js';

/**
 * ConfigurationCalls are the calls of a RedisConfigurationStore, each with its bound. A script that writes carries a fence, the
 * server's time from which on it changes nothing, and a name of its own, by which it is found afterwards where its answer
 * was lost.
 */
export class ConfigurationCalls {
  /** The version, one hash per kind, and the audit log. */
  readonly keys: readonly string[];
  readonly #client: Redis | Cluster;
  readonly #calls: BoundedCalls;
  readonly #clock: Clock;
  /** Milliseconds. */
  readonly #deadline: number;

  constructor(client: Redis | Cluster, keys: readonly string[], deadline: number, clock: Clock) {
    this.#client = client;
    this.keys = keys;
    this.#calls = new BoundedCalls(client, clock);
    this.#deadline = deadline;
    this.#clock = clock;
  }

  /**
   * Sends what changes nothing.
   * @throws Problem 503 where it is not answered in time.
   */
  async ask<T>(send: () => Promise<T>): Promise<T> {
    try {
      return await this.#calls.ask(this.#due, send);
    } catch (cause) {
      throw unavailable(`${this.#reasonOf(cause)}.`, cause);
    }
  }

  /** The text itself, which is rarely sent: so no server is ever without the script. */
  eval(script: string, args: readonly string[] = [], more: readonly string[] = []): Promise<unknown> {
    return this.evalOn([...this.keys, ...more], script, args);
  }

  evalOn(keys: readonly string[], script: string, args: readonly string[]): Promise<unknown> {
    return this.#client.eval(script, keys.length, ...keys, ...args);
  }

  /**
   * Runs a script that writes, at most once: with the fence and a name as its first arguments. Resolves to its reply.
   * @throws Problem 503, which says whether it was made, or that this is not known.
   */
  async write(script: string, args: readonly string[], more: readonly string[] = []): Promise<readonly unknown[]> {
    const due = this.#due;
    const fence = await this.#fence(due);
    const name = randomUUID();
    let reply: readonly unknown[];
    try {
      const fenced = [String(fence), name, ...args];
      reply = (await this.#calls.ask(due, () => this.eval(script, fenced, more))) as unknown[];
    } catch (cause) {
      if (wasNotSent(cause)) throw unavailable(`The write was not made: ${this.#reasonOf(cause)}.`, cause);
      reply = await this.#lookFor(name, fence, cause);
    }
    if (reply[0] === 'late') throw unavailable('The write was not made: Redis took too long to come to it. Try again.');
    return reply;
  }

  /** The server's time when the deadline passes here, or a little before. Also proves that the server can be reached. */
  async #fence(due: number): Promise<number> {
    try {
      return await this.#persist(due, () => this.#calls.fence(due, this.keys[0]!));
    } catch (cause) {
      throw unavailable(`The write was not made: ${this.#reasonOf(cause)}.`, cause);
    }
  }

  /** Finds out what became of a write that was not answered: while its fence has not passed, it may yet be made. */
  async #lookFor(name: string, fence: number, cause: unknown): Promise<readonly unknown[]> {
    const due = this.#due;
    const refused = isReply(cause);
    try {
      for (;;) {
        const look = () => this.#calls.ask(due, () => this.eval(lookScript, [name]));
        const [seconds, micros, written] = (await this.#persist(due, look)) as [string, string, unknown];
        if (Array.isArray(written)) return written;
        if (refused || microsOf([seconds, micros]) > fence) break;
        if (this.#clock.now() >= due) throw cause;
        await pause(this.#clock, 10);
      }
    } catch {
      throw unavailable(
        'It is not known whether the write was made: Redis took it and did not answer. Look at what is there before trying again.',
        cause,
      );
    }
    throw unavailable(`The write was not made: ${this.#reasonOf(cause)}.`, cause);
  }

  /** Of an error of a server only the first word: the rest may tell of addresses. */
  #reasonOf(cause: unknown): string {
    if (isReply(cause)) return `Redis refused it (${cause.message.split(' ', 1)})`;
    return `Redis did not answer within ${this.#deadline} ms`;
  }

  /** Asks what changes nothing, again and again, until it is answered. */
  async #persist<T>(due: number, send: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await send();
      } catch (error) {
        if (this.#clock.now() + 25_000 >= due) throw error;
        await pause(this.#clock, 25);
      }
    }
  }

  get #due(): number {
    return this.#calls.in(this.#deadline);
  }
}

export function unavailable(detail: string, cause?: unknown): Problem {
  return Object.assign(new Problem(503, 'Configuration unavailable', detail), { cause });
}

/** Whether a server has said no, where else nothing is known. */
function isReply(error: unknown): error is Error {
  return error instanceof Error && error.name === 'ReplyError';
}

/** Whether there was no connection to send it on. */
function wasNotSent(error: unknown): boolean {
  return error instanceof SluiceError && error.code === 'STORE_UNAVAILABLE';
}
