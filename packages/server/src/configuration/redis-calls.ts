import { randomUUID } from 'node:crypto';
import type { Clock } from '@sluice/core';
import type { Cluster, Redis } from 'ioredis';
import { Problem } from '../problem.js';
import { before, pause } from './bounds.js';
import { lookScript, timeScript } from './redis-scripts.js';

/**
 * RedisCalls are the calls of a RedisConfigurationStore, each with its bound. A script that writes carries a fence, the
 * server's time from which on it changes nothing, and a name of its own, by which it is found afterwards where its answer
 * was lost.
 */
export class RedisCalls {
  /** The version, one hash per kind, and the audit log. */
  readonly keys: readonly string[];
  readonly #client: Redis | Cluster;
  readonly #clock: Clock;
  /** Milliseconds. */
  readonly #deadline: number;

  constructor(client: Redis | Cluster, keys: readonly string[], deadline: number, clock: Clock) {
    this.#client = client;
    this.keys = keys;
    this.#deadline = deadline;
    this.#clock = clock;
  }

  /**
   * Sends what changes nothing.
   * @throws Problem 503 where it is not answered in time.
   */
  async ask<T>(send: () => Promise<T>): Promise<T> {
    try {
      return await before(this.#clock, this.#due(), send());
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
    const due = this.#due();
    const fence = await this.#fence(due);
    const name = randomUUID();
    let reply: readonly unknown[];
    try {
      const sent = this.eval(script, [String(fence), name, ...args], more);
      reply = (await before(this.#clock, due, sent)) as unknown[];
    } catch (cause) {
      reply = await this.#lookFor(name, fence, cause);
    }
    if (reply[0] === 'late') throw unavailable('The write was not made: Redis took too long to come to it. Try again.');
    return reply;
  }

  /** The server's time when the deadline passes here, or a little before. Also proves that the server can be reached. */
  async #fence(due: number): Promise<number> {
    try {
      const time = (await this.#persist(due, () => this.eval(timeScript))) as [string, string];
      return timeOf(time) + due - this.#clock.now();
    } catch (cause) {
      throw unavailable(`The write was not made: ${this.#reasonOf(cause)}.`, cause);
    }
  }

  /** Finds out what became of a write that was not answered: while its fence has not passed, it may yet be made. */
  async #lookFor(name: string, fence: number, cause: unknown): Promise<readonly unknown[]> {
    const due = this.#due();
    const refused = isReply(cause);
    try {
      for (;;) {
        const reply = (await this.#persist(due, () => this.eval(lookScript, [name]))) as [string, string, unknown];
        const [seconds, micros, written] = reply;
        if (Array.isArray(written)) return written;
        if (refused || timeOf([seconds, micros]) > fence) break;
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
        return await before(this.#clock, due, send());
      } catch (error) {
        if (this.#clock.now() + 25_000 >= due) throw error;
        await pause(this.#clock, 25);
      }
    }
  }

  #due(): number {
    return this.#clock.now() + this.#deadline * 1_000;
  }
}

export function unavailable(detail: string, cause?: unknown): Problem {
  return Object.assign(new Problem(503, 'Configuration unavailable', detail), { cause });
}

function timeOf([seconds, micros]: readonly [string, string]): number {
  return Number(seconds) * 1_000_000 + Number(micros);
}

/** Whether a server has said no, where else nothing is known. */
function isReply(error: unknown): error is Error {
  return error instanceof Error && error.name === 'ReplyError';
}
