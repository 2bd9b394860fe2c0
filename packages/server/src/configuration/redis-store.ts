import { type Clock, SluiceError, systemClock } from '@sluice/core';
import { show } from '@sluice/core/toolkit';
import type { Cluster, Redis } from 'ioredis';
import { firstThatFit, pageBytes } from '../page-bytes.js';
import { keepConnected } from '../redis/lasting-connection.js';
import * as bounds from './audit-bounds.js';
import type {
  AuditEntry,
  Change,
  Configuration,
  ConfigurationStore,
  Expected,
  RecoverySource,
  Written,
} from './configuration.js';
import { Contents, kinds, type Stored } from './contents.js';
import { LostWrites } from './lost-writes.js';
import { ConfigurationCalls, unavailable } from './redis-calls.js';
import { recover } from './redis-recovery.js';
import { versionScript, writeScript } from './redis-scripts.js';
import { endText, entryOf, storedOf, unreadable } from './redis-values.js';

export interface RedisConfigurationStoreOptions {
  /** @default 'ratelimit' */
  readonly prefix?: string;
  /** Milliseconds that one call may take; a write of which the answer is lost takes as long again. @default 1_000 */
  readonly deadline?: number;
  /** Entries of the audit log, as far as their bytes go. @default 10_000 */
  readonly auditLength?: number;
  /** Bytes that it takes, about, at the most. @default 16 MiB */
  readonly auditBytes?: number;
  readonly clock?: Clock;
}

/** Entries of the audit log that are read at a time. */
const portion = 100;

type Decoded = Map<string, { readonly text: string; readonly stored: Stored }>;

/**
 * A RedisConfigurationStore keeps the configuration in Redis, for any number of instances. A write is one script.
 *
 * The client stays its owner's; to hear of changes, the store makes a connection of its own.
 */
export class RedisConfigurationStore implements ConfigurationStore {
  readonly #client: Redis | Cluster;
  readonly #calls: ConfigurationCalls;
  readonly #clock: Clock;
  readonly #auditLength: string;
  readonly #auditBytes: string;
  /** The version, one hash per kind, and the audit log. */
  readonly #keys: readonly string[];
  readonly #channel: string;
  readonly #listeners = new Set<() => void>();
  /** What was loaded last of each kind: most of it is the same the next time, and need not be read again. */
  readonly #known: Decoded[] = kinds.map(() => new Map());
  #disconnect: (() => void) | undefined;
  /** The highest version that was ever seen, and the name of the write that made it, where that is known. */
  #seen: readonly [version: number, write: string] = [0, ''];
  #isClosed = false;

  constructor(client: Redis | Cluster, options: RedisConfigurationStoreOptions = {}) {
    const { prefix = 'ratelimit', deadline = 1_000, clock = systemClock } = options;
    const { auditLength = bounds.auditLength, auditBytes = bounds.auditBytes } = options;
    this.#client = client;
    this.#clock = clock;
    this.#auditLength = String(auditLength);
    this.#auditBytes = String(auditBytes);
    this.#keys = ['version', ...kinds, 'audit'].map((name) => `${prefix}:{config}:${name}`);
    this.#channel = `${prefix}:{config}:changed`;
    this.#calls = new ConfigurationCalls(client, this.#keys, deadline, clock);
  }

  /**
   * Resolves to all of one version.
   * @throws SluiceError `UNUSABLE_STATE` where a part of what was written is missing, or is not to be read.
   * @throws LostWrites where Redis lacks what this process has seen of it.
   * @throws Problem 503 where Redis does not answer.
   */
  async load(): Promise<Configuration> {
    return this.#read(this.#seen);
  }

  /** @throws as `load` does: what is lost is noticed with the next look, not with the next write. */
  async version(): Promise<number> {
    const reply = await this.#calls.ask(() => this.#calls.eval(versionScript, this.#seenArgs));
    return this.#look(reply as unknown[]);
  }

  /**
   * @throws Problem 503 where Redis does not answer; it says whether the write was made, or that this is not known. Also
   * where what Redis has is not to be read, or lacks what this process has seen of it: nothing is written then.
   */
  async write(change: Change, by: string, expected: Expected): Promise<Written> {
    this.#checkOpen();
    const { kind, id, value } = change;
    const reply = await this.#calls.write(writeScript, [
      String(kinds.indexOf(kind) + 2),
      kind,
      id,
      value === null ? '' : JSON.stringify(value),
      endText(value),
      typeof expected === 'string' ? expected : ` ${expected.join(' ')} `,
      by,
      String(Math.floor(this.#clock.now() / 1_000)),
      ...this.#seenArgs,
      this.#auditLength,
      this.#channel,
      this.#auditBytes,
    ]);
    if (reply[0] === 'written') return { outcome: 'written', entry: this.#written(reply) };
    if (reply[0] === 'conflict') {
      const found = reply[1] as string;
      const key = this.#keys[kinds.indexOf(kind) + 1]!;
      return { outcome: 'conflict', found: found === '' ? null : storedOf(kind, id, found, key) };
    }
    const failure = this.#failureOf(reply);
    throw unavailable(`The write was not made. ${failure.message}`, failure);
  }

  async recover(from: RecoverySource, inForce: Configuration, by: string): Promise<AuditEntry> {
    this.#checkOpen();
    const parts = {
      calls: this.#calls,
      seen: this.#seen,
      // All that is there, be it less than what was seen.
      read: () => this.#read([0, '']),
      auditLength: this.#auditLength,
      auditBytes: this.#auditBytes,
      channel: this.#channel,
    };
    const entry = await recover(parts, from, inForce, by);
    this.#see(entry.version, '');
    return entry;
  }

  async audit(limit: number, before?: number): Promise<readonly AuditEntry[]> {
    if (limit < 1 || (before ?? 1) < 1) return [];
    const key = this.#keys[4]!;
    const items: [id: string, fields: string[]][] = [];
    let last = before === undefined ? '+' : String(before - 1);
    let bytes = 0;
    // In parts, of which one is at most what the log may take in all, and mostly far less.
    while (items.length < limit && bytes <= pageBytes) {
      const count = Math.min(limit - items.length, portion);
      const part = await this.#calls.ask(() => this.#client.xrevrange(key, last, '-', 'COUNT', count));
      items.push(...part);
      for (const item of part) bytes += bytesOf(item);
      if (part.length < count) break;
      last = String(Number.parseInt(part.at(-1)![0], 10) - 1);
    }
    return firstThatFit(items, limit, bytesOf).map(([streamId, fields]) => entryOf(streamId, fields, key));
  }

  onChange(listener: () => void): () => void {
    const own = () => listener();
    this.#listeners.add(own);
    if (this.#disconnect === undefined && !this.#isClosed) this.#subscribe();
    return () => this.#listeners.delete(own);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#listeners.clear();
    this.#disconnect?.();
  }

  #subscribe(): void {
    const tell = () => {
      for (const listener of this.#listeners) listener();
    };
    const client = this.#client;
    const subscriber = client.isCluster ? (client as Cluster).duplicate() : (client as Redis).duplicate();
    this.#disconnect = keepConnected(subscriber, this.#clock);
    // It connects anew by itself; until it has, the poll of the version finds what is new.
    subscriber.on('error', () => {});
    subscriber.on('message', tell);
    // What was published while there was no connection was not heard.
    subscriber.on('ready', () => void subscriber.subscribe(this.#channel).then(tell, () => {}));
  }

  /**
   * Reads everything between two looks at the version, and again where it has changed meanwhile. A script would copy every
   * value once more and hold up the decisions of all instances, and a server that is full refuses transactions.
   */
  async #read([version, write]: readonly [number, string]): Promise<Configuration> {
    const keys = this.#keys as [string, string, string, string, string];
    const look = [versionScript, keys.length, ...keys, String(version), write] as const;
    const [, rules, allow, block] = keys;
    for (let attempts = 20; attempts > 0; attempts--) {
      const results = await this.#calls.ask(async () => {
        const batch = this.#client.pipeline().eval(...look);
        return repliesOf(
          await batch
            .hgetall(rules)
            .hgetall(allow)
            .hgetall(block)
            .eval(...look)
            .exec(),
        );
      });
      const [first, last] = [results[0], results.at(-1)] as [unknown[], unknown[]];
      if (first.join(' ') !== last.join(' ')) continue;
      const contents = new Contents();
      contents.version = this.#look(first);
      this.#decode(results.slice(1, -1) as Record<string, string>[], contents);
      return contents.snapshot();
    }
    throw unavailable('The configuration was written faster than it could be read.');
  }

  #decode(hashes: readonly Record<string, string>[], contents: Contents): void {
    for (const [i, kind] of kinds.entries()) {
      const known = this.#known[i]!;
      const next: Decoded = new Map();
      for (const [id, text] of Object.entries(hashes[i]!)) {
        let decoded = known.get(id);
        if (decoded?.text !== text) decoded = { text, stored: storedOf(kind, id, text, this.#keys[i + 1]!) };
        next.set(id, decoded);
        contents.set(kind, id, decoded.stored);
      }
      this.#known[i] = next;
    }
  }

  /** The version that a look has found. */
  #look(reply: readonly unknown[]): number {
    if (reply[0] !== 'version') throw this.#failureOf(reply);
    const [, version, write] = reply as [string, number, string];
    this.#see(version, write);
    return version;
  }

  #written(reply: readonly unknown[]): AuditEntry {
    const fields = reply[2] as string[];
    const entry = entryOf(reply[1] as string, fields, this.#keys[4]!);
    this.#see(entry.version, fields[1]!);
    return entry;
  }

  #see(version: number, write: string): void {
    const [highest, name] = this.#seen;
    if (version > highest || (version === highest && name === '')) this.#seen = [version, write];
  }

  get #seenArgs(): readonly [string, string] {
    return [String(this.#seen[0]), this.#seen[1]];
  }

  #checkOpen(): void {
    if (this.#isClosed) throw unavailable('The write was not made: the service is shutting down.');
  }

  #failureOf([what, detail, other]: readonly unknown[]): SluiceError {
    if (what === 'behind') return new LostWrites(Number(detail), this.#seen[0], other === 'other');
    if (what === 'unreadable') return unreadable(String(detail), 'what it keeps of the configuration');
    const key = detail === 'version' ? this.#keys[0]! : String(detail);
    return new SluiceError(
      'UNUSABLE_STATE',
      `Redis has lost a part of the configuration: ${show(key)} is not as it was written. Set its maxmemory-policy to ` +
        `'noeviction', and restore its data; or go on with the rules in force in an instance that runs, by ` +
        `POST /ratelimit/rules/recover with {"from":"service"}; or delete ${this.#keys.join(', ')} to begin without rules.`,
    );
  }
}

/** What an entry of the stream takes. */
function bytesOf([, fields]: readonly [string, readonly string[]]): number {
  return fields.reduce((sum, field) => sum + Buffer.byteLength(field), 0);
}

/** @throws whatever the first command that failed has said. */
function repliesOf(results: readonly (readonly [error: Error | null, reply: unknown])[] | null): unknown[] {
  return (results ?? []).map(([error, reply]) => {
    if (error) throw error;
    return reply;
  });
}
