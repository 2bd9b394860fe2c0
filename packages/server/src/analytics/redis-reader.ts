import { SluiceError } from '@sluice/core';
import type { Cluster, Redis } from 'ioredis';
import type { Dimension, TopQuery } from './analytics.js';
import type { AnalyticsKeys } from './redis-keys.js';
import type { Unit } from './series.js';
import { parseSummary, type Summary } from './sketch.js';
import { emptyTally, readTally, type Tally } from './tally.js';

/** Hashes that are asked for at a time: neither a round trip for each, nor a day in one reply. */
const batch = 120;

/** Answers with the fields of hashes, each followed by its value, or with errors. */
type Ask = (keys: readonly string[]) => Promise<readonly (readonly string[] | Error)[]>;

/** Asks a server in one round trip. */
export async function ask(client: Redis | Cluster, keys: readonly string[]): ReturnType<Ask> {
  const pipeline = client.pipeline();
  // By hgetall(), names such as `__proto__` would become fields of an object.
  for (const key of keys) pipeline.call('HGETALL', key);
  const replies = (await pipeline.exec()) ?? [];
  return replies.map(([error, reply]) => error ?? (reply as readonly string[]));
}

/** A RedisReader reads what all processes have handed over. */
export class RedisReader {
  readonly #keys: AnalyticsKeys;
  readonly #ask: Ask;

  constructor(keys: AnalyticsKeys, ask: Ask) {
    this.#keys = keys;
    this.#ask = ask;
  }

  /** Calls `visit` for each name of each interval, in the order of the intervals. The tally is the same each time. */
  async counts(
    unit: Unit['name'],
    intervals: readonly number[],
    by: Dimension,
    visit: (at: number, name: string, tally: Tally) => void,
  ): Promise<void> {
    const keys = intervals.map((at) => this.#keys.counts(unit, at, by));
    const tally = emptyTally();
    await this.#hashes(keys, (i, name, text) => {
      if (!readTally(text, tally)) throw unusable(keys[i]!);
      visit(intervals[i]!, name, tally);
    });
  }

  async summaries(minutes: readonly number[], by: TopQuery['by']): Promise<readonly Summary[]> {
    const keys = minutes.map((minute) => this.#keys.slice(minute, by));
    const summaries: Summary[] = [];
    await this.#hashes(keys, (i, _process, text) => {
      const summary = parseSummary(json(text));
      if (summary === undefined) throw unusable(keys[i]!);
      summaries.push(summary);
    });
    return summaries;
  }

  async #hashes(keys: readonly string[], visit: (i: number, field: string, text: string) => void): Promise<void> {
    for (let first = 0; first < keys.length; first += batch) {
      const replies = await this.#ask(keys.slice(first, first + batch));
      for (const [i, reply] of replies.entries()) {
        if (reply instanceof Error) {
          throw reply.message.startsWith('WRONGTYPE') ? unusable(keys[first + i]!, reply) : reply;
        }
        for (let at = 0; at < reply.length; at += 2) visit(first + i, reply[at]!, reply[at + 1]!);
      }
    }
  }
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function unusable(key: string, cause?: unknown): SluiceError {
  const message = `What Redis keeps under ${key} is not what analytics are kept as. Delete it, or give the service a prefix of its own.`;
  return new SluiceError('UNUSABLE_STATE', message, cause === undefined ? undefined : { cause });
}
