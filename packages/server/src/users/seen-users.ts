import type { Clock } from '@sluice/core';
import type { User } from './user.js';

/** A user without limits of his own, as he is saved from time to time. */
export interface SeenUser {
  readonly id: string;
  /** RFC 3339. */
  readonly createdAt: string;
  /** Milliseconds since the epoch, to the minute or so. */
  readonly lastSeen: number;
}

interface Entry {
  readonly user: User;
  /** Microseconds. */
  seenAt: number;
}

/** How often it is noted that a user was seen: microseconds, at the most a tenth of the time he is kept. */
export function renewalOf(ttl: number): number {
  return Math.min(60_000_000, Math.floor(ttl / 10));
}

/**
 * SeenUsers are the users who have no limits of their own, the longest unseen first. They are forgotten when they have
 * not been seen for the `ttl`, in microseconds, and at the most a tenth of it or a minute later.
 */
export class SeenUsers {
  readonly #clock: Clock;
  readonly #ttl: number;
  readonly #renewal: number;
  /** In the order of when they were seen. */
  readonly #entries = new Map<string, Entry>();

  constructor(clock: Clock, ttl: number) {
    this.#clock = clock;
    this.#ttl = ttl;
    this.#renewal = renewalOf(ttl);
  }

  /** The user, who is thereby seen. */
  see(id: string): User | undefined {
    const entry = this.#entries.get(id);
    if (entry === undefined) return undefined;
    const now = this.#clock.now();
    if (now - entry.seenAt < this.#renewal) return entry.user;
    if (this.#isOver(entry, now)) {
      this.#entries.delete(id);
      return undefined;
    }
    entry.seenAt = now;
    this.#entries.delete(id);
    this.#entries.set(id, entry);
    return entry.user;
  }

  get(id: string): User | undefined {
    const entry = this.#entries.get(id);
    return entry === undefined || this.#isOver(entry, this.#clock.now()) ? undefined : entry.user;
  }

  /** Registers a user as seen now. */
  add(user: User): void {
    this.#entries.delete(user.id);
    this.#entries.set(user.id, { user, seenAt: this.#clock.now() });
  }

  delete(id: string): void {
    this.#entries.delete(id);
  }

  /** Forgets the one who was seen the longest time ago, and tells whether there was one. */
  deleteOldest(): boolean {
    for (const id of this.#entries.keys()) return this.#entries.delete(id);
    return false;
  }

  /** Without those whose time is over, who are forgotten. */
  get size(): number {
    const now = this.#clock.now();
    for (const [id, entry] of this.#entries) {
      if (!this.#isOver(entry, now)) break;
      this.#entries.delete(id);
    }
    return this.#entries.size;
  }

  *users(): IterableIterator<User> {
    for (const { user } of this.#live()) yield user;
  }

  *export(): IterableIterator<SeenUser> {
    for (const { user, seenAt } of this.#live()) {
      yield { id: user.id, createdAt: user.createdAt, lastSeen: Math.floor(seenAt / 1_000) };
    }
  }

  /** Takes up a user who was saved, if his time is not over. A clock that was set back has not seen him in the future. */
  import({ id, createdAt, lastSeen }: SeenUser): void {
    const now = this.#clock.now();
    const user: User = { id, limits: undefined, createdAt, updatedAt: createdAt };
    const entry: Entry = { user, seenAt: Math.min(lastSeen * 1_000, now) };
    if (!this.#isOver(entry, now) && !this.#entries.has(id)) this.#entries.set(id, entry);
  }

  *#live(): IterableIterator<Entry> {
    for (const entry of this.#entries.values()) if (!this.#isOver(entry, this.#clock.now())) yield entry;
  }

  #isOver({ seenAt }: Entry, now: number): boolean {
    return now - seenAt >= this.#ttl + this.#renewal;
  }
}
