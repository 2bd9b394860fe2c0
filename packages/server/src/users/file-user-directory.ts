import type { Clock, Logger } from '@sluice/core';
import { messageOf } from '@sluice/core/toolkit';
import { instantNow } from '../instants.js';
import { Problem } from '../problem.js';
import { sameLimits } from './limits.js';
import { type SeenUser, SeenUsers } from './seen-users.js';
import type { User, UserDirectory, UserLimits, UserPage } from './user.js';
import type { UserJournal, UserRecord } from './user-journal.js';
import { cursorOf, firstById, readCursor } from './user-pages.js';

export interface FileUserDirectoryOptions {
  readonly journal: UserJournal;
  /** Milliseconds that a user without limits of his own is kept after he was last seen. */
  readonly ttl: number;
  readonly maxUsers: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A journal that has so many records beyond twice what is worth keeping is written anew. */
const spareRecords = 1_000;
/** Milliseconds for which it is remembered who was removed: longer than seen users go without being saved. */
const remembersRemoved = 86_400_000;

/**
 * A FileUserDirectory keeps users in memory and, with limits of their own, in a journal. Users who only were seen are
 * saved from time to time by whoever calls `export`; those since the last time are forgotten in a crash, and registered
 * anew with their next request. Once `maxUsers` are known, ids that are not are not registered; one who is given limits
 * takes the place of the user who was seen the longest time ago.
 */
export class FileUserDirectory implements UserDirectory {
  readonly #journal: UserJournal;
  readonly #maxUsers: number;
  readonly #clock: Clock;
  readonly #logger: Logger;
  /** Users with limits of their own. */
  readonly #own = new Map<string, User>();
  readonly #seen: SeenUsers;
  /** Since when an id has been removed, in milliseconds: nobody who was saved as seen before comes back. */
  readonly #removed = new Map<string, number>();
  readonly #underWay = new Map<string, Promise<void>>();
  #compaction: Promise<void> | undefined;
  /** Records in the journal, about. */
  #written = 0;

  constructor({ journal, ttl, maxUsers, clock, logger }: FileUserDirectoryOptions) {
    this.#journal = journal;
    this.#maxUsers = maxUsers;
    this.#clock = clock;
    this.#logger = logger;
    this.#seen = new SeenUsers(clock, ttl * 1_000);
    for (const record of journal.records) {
      this.#written++;
      this.#apply(record);
    }
  }

  see(id: string): User {
    const known = this.#own.get(id) ?? this.#seen.see(id);
    if (known !== undefined) return known;
    const at = instantNow(this.#clock);
    const user: User = { id, limits: undefined, createdAt: at, updatedAt: at };
    if (this.#own.size + this.#seen.size < this.#maxUsers) this.#seen.add(user);
    return user;
  }

  async find(id: string): Promise<User | undefined> {
    return this.#own.get(id) ?? this.#seen.get(id);
  }

  /** @throws Problem 503 where it cannot be written, 507 where nobody can make room. */
  set(id: string, limits: UserLimits): Promise<User> {
    return this.#inTurn(id, async () => {
      const before = this.#own.get(id) ?? this.#seen.get(id);
      if (!this.#own.has(id) && this.#own.size >= this.#maxUsers) throw noRoom(this.#maxUsers);
      const at = instantNow(this.#clock);
      const same = before !== undefined && sameLimits(before.limits, limits);
      const user: User = {
        id,
        limits: same ? before.limits : limits,
        createdAt: before?.createdAt ?? at,
        updatedAt: at,
      };
      await this.#append({ id, limits, createdAt: user.createdAt, updatedAt: at });
      this.#keep(user);
      this.#compactIfDue();
      return user;
    });
  }

  /** @throws Problem 503 where it cannot be written. */
  remove(id: string): Promise<boolean> {
    return this.#inTurn(id, async () => {
      if (!this.#own.has(id) && this.#seen.get(id) === undefined) return false;
      const record: UserRecord = { id, removedAt: instantNow(this.#clock) };
      await this.#append(record);
      this.#apply(record);
      this.#compactIfDue();
      return true;
    });
  }

  /** In the order of the ids, by their UTF-16 code units. */
  async page(limit: number, cursor?: string): Promise<UserPage> {
    const after = cursor === undefined ? undefined : readCursor('id:', cursor);
    const found = await firstById(this.#users(), limit + 1, after);
    const users = found.slice(0, limit);
    const last = users.at(-1);
    return { users, next: found.length > limit && last !== undefined ? cursorOf('id:', last.id) : undefined };
  }

  get size(): number {
    return this.#own.size + this.#seen.size;
  }

  /** Users without limits of their own, to be saved. May be taken in parts, while others are seen. */
  export(): IterableIterator<SeenUser> {
    return this.#seen.export();
  }

  /** Takes up what was saved. Who has limits, was removed since, or has been seen again meanwhile is left as he is. */
  import(users: Iterable<SeenUser>): void {
    for (const user of users) {
      if (this.size >= this.#maxUsers) return;
      const removedAt = this.#removed.get(user.id);
      if (this.#own.has(user.id) || (removedAt !== undefined && Date.parse(user.createdAt) <= removedAt)) continue;
      this.#seen.import(user);
    }
  }

  /** Waits for the writes that are under way. The journal stays its owner's. */
  async close(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.all(this.#underWay.values());
    await this.#compaction;
  }

  *#users(): IterableIterator<User> {
    yield* this.#own.values();
    yield* this.#seen.users();
  }

  /** Writes of one id follow one another; those of several are written together. */
  #inTurn<T>(id: string, write: () => Promise<T>): Promise<T> {
    const before = this.#underWay.get(id);
    const turn = before === undefined ? write() : before.then(write);
    const over = () => {
      if (this.#underWay.get(id) === settled) this.#underWay.delete(id);
    };
    const settled: Promise<void> = turn.then(over, over);
    this.#underWay.set(id, settled);
    return turn;
  }

  async #append(record: UserRecord): Promise<void> {
    try {
      await this.#journal.append(record);
      this.#written++;
    } catch (error) {
      this.#logger.warn(`A user could not be written: ${messageOf(error)}`);
      throw new Problem(
        503,
        'Not written',
        'The user could not be written to the data directory, and is as he was. The log of the service says why.',
      );
    }
  }

  #apply(record: UserRecord): void {
    const { id } = record;
    if ('limits' in record) {
      const { limits, createdAt, updatedAt } = record;
      this.#keep({ id, limits, createdAt, updatedAt });
      return;
    }
    this.#own.delete(id);
    this.#seen.delete(id);
    this.#removed.delete(id);
    this.#removed.set(id, Date.parse(record.removedAt));
  }

  #keep(user: User): void {
    this.#seen.delete(user.id);
    this.#own.set(user.id, user);
    while (this.#own.size + this.#seen.size > this.#maxUsers && this.#seen.deleteOldest());
  }

  #compactIfDue(): void {
    const worthKeeping = this.#own.size + this.#removed.size;
    if (this.#compaction !== undefined || this.#written < 2 * worthKeeping + spareRecords) return;
    // Counted from here: where it fails, the next attempt comes with as many writes again.
    this.#written = 0;
    this.#compaction = this.#journal
      .compact({ [Symbol.iterator]: () => this.#live() })
      .catch((error: unknown) => {
        this.#logger.warn(`The journal of users could not be written anew, and goes on growing: ${messageOf(error)}`);
      })
      .then(() => {
        this.#compaction = undefined;
      });
  }

  *#live(): IterableIterator<UserRecord> {
    const oldest = this.#clock.now() / 1_000 - remembersRemoved;
    for (const [id, at] of this.#removed) {
      if (at < oldest) this.#removed.delete(id);
      else yield { id, removedAt: new Date(at).toISOString() };
    }
    // Who has been given limits again comes behind his removal.
    for (const { id, limits, createdAt, updatedAt } of this.#own.values()) {
      this.#written++;
      if (limits !== undefined) yield { id, limits, createdAt, updatedAt };
    }
  }
}

function noRoom(maxUsers: number): Problem {
  return new Problem(
    507,
    'Too many users',
    `${maxUsers} users have limits of their own, as many as are kept. Remove some, or start the service with a higher --max-users.`,
  );
}
