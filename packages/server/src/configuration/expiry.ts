import { SluiceError } from '@sluice/core';
import { show } from '@sluice/core/toolkit';
import type { Configuration, ListName, StoredEntry } from './configuration.js';
import { endOf } from './contents.js';

/** What is in force of a configuration, and until when it stays so, in milliseconds since the epoch. */
export interface InForce {
  readonly configuration: Configuration;
  /** Infinite where nothing ends. */
  readonly until: number;
  /** What was left out. */
  readonly ended: readonly EndedEntry[];
}

/** An entry of a list that has ended. */
export interface EndedEntry {
  readonly kind: ListName;
  readonly id: string;
  readonly version: number;
  /** Milliseconds since the epoch. */
  readonly end: number;
}

/**
 * Leaves out the entries of lists that have ended.
 * @throws SluiceError `UNUSABLE_STATE` for an end that is no instant: to drop the entry, or to keep it for good, would
 * both be guesses.
 */
export function inForce(configuration: Configuration, now: number): InForce {
  let until = Number.POSITIVE_INFINITY;
  const ended: EndedEntry[] = [];
  const current = (kind: ListName): ReadonlyMap<string, StoredEntry> => {
    const list = configuration[kind];
    const left = new Map<string, StoredEntry>();
    for (const [id, entry] of list) {
      const end = endOf(entry);
      if (Number.isNaN(end)) {
        throw new SluiceError(
          'UNUSABLE_STATE',
          `The entry ${show(id)} of a list ends at ${show(entry.expiresAt)}, which is no instant. Write it anew, or delete it.`,
        );
      }
      if (end <= now) {
        ended.push({ kind, id, version: entry.version, end });
        continue;
      }
      until = Math.min(until, end);
      left.set(id, entry);
    }
    return left.size === list.size ? list : left;
  };
  const { version, rules } = configuration;
  return { configuration: { version, rules, allow: current('allow'), block: current('block') }, until, ended };
}
