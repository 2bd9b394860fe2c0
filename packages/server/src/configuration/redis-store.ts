import { randomUUID } from 'node:crypto';
import { type Clock, SluiceError, systemClock } from '@sluice/core';
import { show } from '@sluice/core/toolkit';
import type { Cluster, Redis } from 'ioredis';
import { Problem } from '../problem.js';
import { before, pause } from './bounds.js';
import type { AuditEntry, Change, Configuration, ConfigurationStore, Expected, Written } from './configuration.js';
import { Contents, kinds, type Stored } from './contents.js';
import { lookScript, timeScript, versionScript, writeScript } from './redis-scripts.js';
import { entryOf, storedOf, unreadable } from './redis-values.js';

export interface RedisConfigurationStoreOptions {
  /** @default 'ratelimit' */
  readonly prefix?: string;
  /** Milliseconds that one call may take; a write of which the answer is lost takes as long again. @default 1_000 */
  readonly deadline?: number;
  /** Entries of the audit log. @default 10_000 */
  readonly auditLength?: number;
  readonly clock?: Clock;
}

type Decoded = Map<string, { readonly text: string; readonly stored: Stored }>;

/**
 * A RedisConfigurationStore keeps the configuration in Redis, for any number of instances. A write is one script. It
 * carries a fence, the server's time from which on it changes nothing, and a name of its own, by which it is found
 * afterwards where its answer was lost.
 *
 * The client stays its owner's; to hear of changes, the store makes a connection of its own.
 */
export class RedisConfigurationStore implements ConfigurationStore {
  readonly #client: Redis | Cluster;
  readonly #clock: Clock;
  /** Milliseconds. */
  readonly #deadline: number;
  readonly #auditLength: number;
  /** The version, one hash per kind, and the audit log. */
  readonly #keys: readonly string[];
  readonly #channel: string;
  readonly #listeners = new Set<() => void>();
  /** What was loaded last of each kind: most of it is the same the next time, and need not be read again. */
  readonly #known: Decoded[] = kinds.map(() => new Map());
  #subscriber: Redis | Cluster | undefined;
  /** The highest version that was ever seen. */
  #highest = 0;
  #isClosed = false;

  constructor(client: Redis | Cluster, options: RedisConfigurationStoreOptions = {}) {
    const { prefix = 'ratelimit', deadline = 1_000, auditLength = 10_000, clock = systemClock } = options;
    this.#client = client;
    this.#clock = clock;
    this.#deadline = deadline;
    this.#auditLength = auditLength;
    this.#keys = ['version', ...kinds, 'audit'].map((name) => `${prefix}:{config}:${name}`);
    this.#channel = `${prefix}:{config}:changed`;
  }

  /**
   * Resolves to all of one version.
   * @throws SluiceError `UNUSABLE_STATE` where a part of what was written is missing, or is not to be read.
   * @throws Problem 503 where Redis does not answer.
   */
  async load(): Promise<Configuration> {
    const { state, written, hashes } = await this.#ask(() => this.#read());
    if (state === null && written > 0) throw this.#unusable(['lost', 'version']);
    const [, version, ...sizes] = /^1 (\d+) (\d+) (\d+) (\d+)$/.exec(state ?? '1 0 0 0 0') ?? [];
    if (version === undefined) throw this.#unusable(['unreadable', state]);
    const contents = new Contents();
    contents.version = this.#seen(Number(version));
    for (const [i, kind] of kinds.entries()) {
      const key = this.#keys[i + 1]!;
      const texts = Object.entries(hashes[i]!);
      if (texts.length !== Number(sizes[i])) throw this.#unusable(['lost', state === null ? 'version' : key]);
      const known = this.#known[i]!;
      const next: Decoded = new Map();
      for (const [id, text] of texts) {
        let decoded = known.get(id);
        if (decoded?.text !== text) decoded = { text, stored: storedOf(kind, id, text, key) };
        next.set(id, decoded);
        contents.set(kind, id, decoded.stored);
      }
      this.#known[i] = next;
    }
    return contents.snapshot();
  }

  /** @throws as `load` does: what is lost is noticed with the next look, not with the next write. */
  async version(): Promise<number> {
    const reply = (await this.#ask(() => this.#eval(versionScript))) as unknown[];
    if (reply[0] !== 'version') throw this.#unusable(reply);
    return this.#seen(Number(reply[1]));
  }

  /**
   * @throws Problem 503 where Redis does not answer; it says whether the write was made, or that this is not known. Also
   * where what Redis has is not to be read, or is older than what this process has seen of it: nothing is written then.
   */
  async write(change: Change, by: string, expected: Expected): Promise<Written> {
    if (this.#isClosed) throw unavailable('The write was not made: the service is shutting down.');
    const { kind, id, value } = change;
    const due = this.#due();
    const fence = await this.#fence(due);
    const name = randomUUID();
    const args = [
      String(fence),
      name,
      String(kinds.indexOf(kind) + 2),
      kind,
      id,
      value === null ? '' : JSON.stringify(value),
      typeof expected === 'string' ? expected : ` ${expected.join(' ')} `,
      by,
      String(this.#highest),
      String(this.#auditLength),
      this.#channel,
    ];
    let reply: unknown[];
    try {
      reply = (await before(this.#clock, due, this.#eval(writeScript, args))) as unknown[];
    } catch (cause) {
      reply = await this.#lookFor(name, fence, cause);
    }
    if (reply[0] === 'written') {
      const entry = entryOf(reply[1] as string, reply[2] as string[], this.#keys[4]!);
      this.#seen(entry.version);
      return { outcome: 'written', entry };
    }
    if (reply[0] === 'conflict') {
      const found = reply[1] as string;
      const key = this.#keys[kinds.indexOf(kind) + 1]!;
      return { outcome: 'conflict', found: found === '' ? null : storedOf(kind, id, found, key) };
    }
    if (reply[0] === 'late') throw unavailable('The write was not made: Redis took too long to come to it. Try again.');
    if (reply[0] === 'behind') {
      throw unavailable(
        `The write was not made: Redis has version ${reply[1]} of the configuration, and had ${this.#highest}, so it has ` +
          'lost writes. Restore its data, or restart every instance to go by what is there.',
      );
    }
    const unusable = this.#unusable(reply);
    throw unavailable(`The write was not made. ${unusable.message}`, unusable);
  }

  async audit(limit: number, before?: number): Promise<readonly AuditEntry[]> {
    const last = before === undefined ? '+' : String(before - 1);
    if (limit < 1 || (before ?? 1) < 1) return [];
    const entries = await this.#ask(() => this.#client.xrevrange(this.#keys[4]!, last, '-', 'COUNT', limit));
    return entries.map(([streamId, fields]) => entryOf(streamId, fields, this.#keys[4]!));
  }

  onChange(listener: () => void): () => void {
    const own = () => listener();
    this.#listeners.add(own);
    if (this.#subscriber === undefined && !this.#isClosed) this.#subscribe();
    return () => this.#listeners.delete(own);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#listeners.clear();
    this.#subscriber?.disconnect();
  }

  #subscribe(): void {
    const tell = () => {
      for (const listener of this.#listeners) listener();
    };
    const client = this.#client;
    const subscriber = client.isCluster ? (client as Cluster).duplicate() : (client as Redis).duplicate();
    this.#subscriber = subscriber;
    // It connects anew by itself; until it has, the poll of the version finds what is new.
    subscriber.on('error', () => {});
    subscriber.on('message', tell);
    // What was published while there was no connection was not heard.
    subscriber.on('ready', () => void subscriber.subscribe(this.#channel).then(tell, () => {}));
  }

  /** The server's time when the deadline passes here, or a little before. Also proves that the server can be reached. */
  async #fence(due: number): Promise<number> {
    try {
      const time = (await this.#persist(due, () => this.#eval(timeScript))) as [string, string];
      return timeOf(time) + due - this.#clock.now();
    } catch (cause) {
      throw unavailable(`The write was not made: ${this.#reasonOf(cause)}.`, cause);
    }
  }

  /** Finds out what became of a write that was not answered: while its fence has not passed, it may yet be made. */
  async #lookFor(name: string, fence: number, cause: unknown): Promise<unknown[]> {
    const due = this.#due();
    const refused = isReply(cause);
    try {
      for (;;) {
        const reply = (await this.#persist(due, () => this.#eval(lookScript, [name]))) as [string, string, unknown];
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

  /**
   * Reads everything between two looks at the version, and again where it has changed meanwhile. A script would copy every
   * value once more and hold up the decisions of all instances, and a server that is full refuses transactions.
   */
  async #read(): Promise<{ state: string | null; written: number; hashes: Record<string, string>[] }> {
    const [versionKey, rules, allow, block, audit] = this.#keys as [string, string, string, string, string];
    for (let attempts = 20; attempts > 0; attempts--) {
      const batch = this.#client.pipeline().get(versionKey).exists(audit);
      const results = await batch.hgetall(rules).hgetall(allow).hgetall(block).get(versionKey).exec();
      const replies = repliesOf(results);
      const [state, written, ...hashes] = replies as [string | null, number, ...Record<string, string>[]];
      if (replies.at(-1) === state) return { state, written, hashes };
    }
    throw new SluiceError('STORE_TIMEOUT', 'The configuration was written faster than it could be read.');
  }

  async #ask<T>(send: () => Promise<T>): Promise<T> {
    try {
      return await before(this.#clock, this.#due(), send());
    } catch (cause) {
      throw unavailable(`${this.#reasonOf(cause)}.`, cause);
    }
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

  /** The text itself, which is rarely sent: so no server is ever without the script. */
  #eval(script: string, args: readonly string[] = []): Promise<unknown> {
    return this.#client.eval(script, this.#keys.length, ...this.#keys, ...args);
  }

  #due(): number {
    return this.#clock.now() + this.#deadline * 1_000;
  }

  #seen(version: number): number {
    if (version > this.#highest) this.#highest = version;
    return version;
  }

  #unusable([what, detail]: readonly unknown[]): SluiceError {
    if (what === 'unreadable') return unreadable(String(detail), 'what it keeps of the configuration');
    const key = detail === 'version' ? this.#keys[0]! : String(detail);
    return new SluiceError(
      'UNUSABLE_STATE',
      `Redis has lost a part of the configuration: ${show(key)} is not as it was written. Set its maxmemory-policy to ` +
        `'noeviction', and restore its data; or delete ${this.#keys.join(', ')} to begin without rules.`,
    );
  }
}

/** @throws whatever the first command that failed has said. */
function repliesOf(results: readonly (readonly [error: Error | null, reply: unknown])[] | null): unknown[] {
  return (results ?? []).map(([error, reply]) => {
    if (error) throw error;
    return reply;
  });
}

function timeOf([seconds, micros]: readonly [string, string]): number {
  return Number(seconds) * 1_000_000 + Number(micros);
}

/** Whether a server has said no, where else nothing is known. */
function isReply(error: unknown): error is Error {
  return error instanceof Error && error.name === 'ReplyError';
}

function unavailable(detail: string, cause?: unknown): Problem {
  return Object.assign(new Problem(503, 'Configuration unavailable', detail), { cause });
}
