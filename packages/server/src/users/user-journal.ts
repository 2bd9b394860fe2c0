import { bucketWords } from './limits.js';
import type { UserLimits } from './user.js';

/** What is written when limits are set, or a user is removed. The latest record of an id counts. */
export type UserRecord =
  | { readonly id: string; readonly limits: UserLimits; readonly createdAt: string; readonly updatedAt: string }
  | { readonly id: string; readonly removedAt: string };

/** What a directory of users asks of the file in which it keeps them. */
export interface UserJournal {
  /** What was in it when it was opened. */
  readonly records: Iterable<UserRecord>;
  /** Resolves when the record is durable; appends take effect in the order in which they were asked for. */
  append(record: UserRecord): Promise<void>;
  /** Replaces everything by these records, which are read when no append is under way and each has been heard of. */
  compact(records: Iterable<UserRecord>): Promise<void>;
}

/** Whether what was read is a record of a journal of users. */
export function isUserRecord(value: unknown): value is UserRecord {
  const { id, limits, createdAt, updatedAt, removedAt } = (value ?? {}) as Record<string, unknown>;
  if (typeof id !== 'string') return false;
  return limits === undefined ? isInstant(removedAt) : isLimits(limits) && isInstant(createdAt) && isInstant(updatedAt);
}

function isLimits(value: unknown): value is UserLimits {
  const { algorithm, ...numbers } = (value ?? {}) as Record<string, unknown>;
  const words = Object.hasOwn(bucketWords, String(algorithm)) ? bucketWords[algorithm as keyof typeof bucketWords] : [];
  return words.length > 0 && words.every((word) => typeof numbers[word] === 'number');
}

function isInstant(value: unknown): boolean {
  return typeof value === 'string' && !Number.isNaN(Date.parse(value));
}
