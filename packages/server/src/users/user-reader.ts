import { type Clock, type Logger, SluiceError } from '@sluice/core';
import { messageOf } from '@sluice/core/toolkit';
import { instantNow } from '../instants.js';
import { sameLimits } from './limits.js';
import { Recent } from './recent.js';
import type { User } from './user.js';

/** What was found of a user. */
export interface Found {
  /** `undefined` for an id that nobody has. */
  readonly user: User | undefined;
  /** Whether it was noted that he was seen. */
  readonly renewed: boolean;
}

export interface UserReaderOptions {
  /** Reads a user and, with `renew`, notes that he was seen. Has a bound of its own. */
  readonly read: (id: string, renew: boolean) => Promise<Found>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Users of each kind, with limits and without, that are remembered. */
  readonly cacheSize: number;
  /** Microseconds for which what was read is taken to be so. */
  readonly fresh: number;
  /** Microseconds after which it is noted anew that a user was seen. */
  readonly renewal: number;
}

interface Entry {
  user: User;
  /** Microseconds: when it was asked for. */
  readAt: number;
  renewedAt: number;
}

interface Reading {
  readonly user: Promise<User>;
  /** The user was changed meanwhile: what comes may be what was before. */
  isVoid: boolean;
}

/** After so many failures one after another, nobody waits for a read. */
const patience = 3;
/** Microseconds between two reads of which the first has failed. */
const pause = 100_000;
/** Microseconds between two lines in the log. */
const silence = 10_000_000;
const never = Number.NEGATIVE_INFINITY;

/**
 * A UserReader answers at once who a user is, from what it has read within the last second. What is older is answered at
 * once too while changes are being heard of, and is read again meanwhile; else the read is waited for. A user is read
 * once at a time, whoever asks. Users with limits are remembered apart: ids that somebody invents do not displace them.
 */
export class UserReader {
  readonly #options: UserReaderOptions;
  readonly #limited: Recent<Entry>;
  readonly #others: Recent<Entry>;
  readonly #reading = new Map<string, Reading>();
  /** Since when every change is heard of. */
  #hearsSince = Number.POSITIVE_INFINITY;
  #failures = 0;
  #failedAt = never;
  #warnedAt = never;

  constructor(options: UserReaderOptions) {
    this.#options = options;
    this.#limited = new Recent(options.cacheSize);
    this.#others = new Recent(options.cacheSize);
  }

  /** Never fails: who cannot be read is who he last was known to be, else somebody without limits of his own. */
  see(id: string): User | Promise<User> {
    const { clock, fresh } = this.#options;
    const now = clock.now();
    const entry = this.#entry(id);
    if (entry !== undefined && now - entry.readAt <= fresh) return entry.user;
    const reading = this.#reading.get(id);
    const failing = this.#failures >= patience;
    const heard = entry !== undefined && entry.readAt >= this.#hearsSince;
    if (!failing && !heard) return (reading ?? this.#read(id, entry, now)).user;
    // One read at a time finds out whether Redis is back.
    const mayRead = !failing || (this.#reading.size === 0 && now - this.#failedAt >= pause);
    if (reading === undefined && mayRead) this.#read(id, entry, now);
    return entry?.user ?? this.#nobody(id);
  }

  /** A user was changed by somebody: he is read before he is answered again. What he was still serves if that fails. */
  changed(id: string): void {
    const reading = this.#reading.get(id);
    if (reading !== undefined) reading.isVoid = true;
    const entry = this.#entry(id);
    if (entry !== undefined) entry.readAt = never;
  }

  /** What this process has just made of a user. */
  learn(id: string, user: User | undefined): void {
    this.changed(id);
    const now = this.#options.clock.now();
    if (user !== undefined) this.#keep(id, { user, readAt: now, renewedAt: never });
    else this.#forget(id);
  }

  /** Whether every change is heard of from now on. */
  hear(yes: boolean): void {
    this.#hearsSince = yes ? this.#options.clock.now() : Number.POSITIVE_INFINITY;
  }

  get size(): number {
    return this.#limited.size + this.#others.size;
  }

  /** Resolves when no read is under way. */
  async settled(): Promise<void> {
    while (this.#reading.size > 0) await Promise.all([...this.#reading.values()].map(({ user }) => user));
  }

  #read(id: string, entry: Entry | undefined, now: number): Reading {
    const renew = entry === undefined || now - entry.renewedAt >= this.#options.renewal;
    const user = this.#options.read(id, renew).then(
      ({ user, renewed }) => {
        this.#reading.delete(id);
        this.#succeeded();
        const known = this.#unchanged(entry?.user, user) ?? this.#nobody(id);
        const renewedAt = renewed ? now : (entry?.renewedAt ?? never);
        // What was learned since is newer.
        if (!reading.isVoid) this.#keep(id, { user: known, readAt: now, renewedAt });
        else if (this.#entry(id) === undefined) this.#keep(id, { user: known, readAt: never, renewedAt });
        return known;
      },
      (error: unknown) => {
        this.#reading.delete(id);
        this.#failed(id, error);
        return this.#entry(id)?.user ?? this.#nobody(id);
      },
    );
    const reading: Reading = { user, isVoid: false };
    this.#reading.set(id, reading);
    return reading;
  }

  /** The same objects as before, as far as they say the same. */
  #unchanged(before: User | undefined, user: User | undefined): User | undefined {
    if (before === undefined || user === undefined || !sameLimits(before.limits, user.limits)) return user;
    const same = before.createdAt === user.createdAt && before.updatedAt === user.updatedAt;
    return same ? before : { ...user, limits: before.limits };
  }

  #entry(id: string): Entry | undefined {
    return this.#limited.get(id) ?? this.#others.get(id);
  }

  #keep(id: string, entry: Entry): void {
    this.#forget(id);
    (entry.user.limits === undefined ? this.#others : this.#limited).set(id, entry);
  }

  #forget(id: string): void {
    this.#limited.delete(id);
    this.#others.delete(id);
  }

  #nobody(id: string): User {
    const at = instantNow(this.#options.clock);
    return { id, limits: undefined, createdAt: at, updatedAt: at };
  }

  #succeeded(): void {
    if (this.#failures >= patience) this.#options.logger.info?.('Users are read from Redis again.');
    this.#failures = 0;
  }

  #failed(id: string, error: unknown): void {
    const isOne = error instanceof SluiceError && error.code === 'UNUSABLE_STATE';
    const now = this.#options.clock.now();
    if (!isOne) {
      this.#failures++;
      this.#failedAt = now;
    }
    if (now - this.#warnedAt < silence) return;
    this.#warnedAt = now;
    const who = isOne ? `User ${JSON.stringify(id)} has` : 'Users have';
    this.#options.logger.warn(`${who} the limits last known, or those of everybody: ${messageOf(error)}`);
  }
}
