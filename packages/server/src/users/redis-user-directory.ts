import { type Clock, type Logger, SluiceError } from '@sluice/core';
import { messageOf } from '@sluice/core/toolkit';
import type { Cluster, Redis } from 'ioredis';
import { instantNow } from '../instants.js';
import { Problem } from '../problem.js';
import { BoundedCalls } from '../redis/bounded-calls.js';
import type { Script } from '../redis/script.js';
import { bucketWords, limitFields } from './limits.js';
import { renewalOf } from './seen-users.js';
import type { User, UserDirectory, UserLimits, UserPage } from './user.js';
import { refuseWrongType, userFields, userOf } from './user-hash.js';
import { nameOfUser, UserKeys } from './user-keys.js';
import { UserList } from './user-list.js';
import { hearChanges } from './user-news.js';
import { cursorOf, readCursor } from './user-pages.js';
import { type Found, UserReader } from './user-reader.js';
import { readUser, removeUser, setUser, withdrawUser } from './user-scripts.js';

export interface RedisUserDirectoryOptions {
  /** Stays its owner's: it is neither configured nor closed here. */
  readonly client: Redis | Cluster;
  /** A connection that may subscribe to channels. Stays its owner's too. */
  readonly subscriber: Redis | Cluster;
  readonly prefix: string;
  /** Milliseconds that a user without limits of his own is kept after he was last seen. */
  readonly ttl: number;
  readonly maxUsers: number;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Milliseconds for which a decision waits to learn who a user is. @default 100 */
  readonly patience?: number;
  /** Users with limits, and as many without, that are remembered. @default 100_000 */
  readonly cacheSize?: number;
  /** Milliseconds between two turns of the sweep that clears away the names of users who have expired. @default 60_000 */
  readonly sweepEvery?: number;
}

/** Milliseconds in which an administrator is answered. */
const bound = 1_000;

/**
 * A RedisUserDirectory keeps the users of all instances of the service: a set `prefix:users` of their names, and a hash
 * `prefix:users:{name}` each, with a user's limits and times. The hash of a user without limits of his own expires when
 * he has not been seen for the `ttl`. What one instance sets, the others are told at once, and find out within a second.
 * Once the set has `maxUsers`, ids that are not in it are not registered; those who are given limits always are.
 */
export class RedisUserDirectory implements UserDirectory {
  readonly #options: RedisUserDirectoryOptions;
  readonly #calls: BoundedCalls;
  readonly #keys: UserKeys;
  readonly #list: UserList;
  readonly #reader: UserReader;
  readonly #patience: number;
  /** Until when there is no room, as far as is known; microseconds. */
  #fullUntil = Number.NEGATIVE_INFINITY;
  readonly #listing = new Set<Promise<void>>();
  readonly #unsubscribe: () => void;

  constructor(options: RedisUserDirectoryOptions) {
    const { client, prefix, ttl, maxUsers, clock, logger } = options;
    const { patience = 100, cacheSize = 100_000, sweepEvery = 60_000 } = options;
    this.#options = options;
    this.#patience = patience;
    this.#calls = new BoundedCalls(client, clock);
    this.#keys = new UserKeys(prefix);
    this.#list = new UserList({ calls: this.#calls, keys: this.#keys, clock, maxUsers, sweepEvery });
    const renewal = renewalOf(ttl * 1_000);
    this.#reader = new UserReader({
      read: (id, renew) => this.#read(id, renew),
      clock,
      logger,
      cacheSize,
      fresh: Math.min(1_000_000, renewal),
      renewal,
    });
    this.#unsubscribe = hearChanges(options.subscriber, this.#keys.channel, this.#reader);
  }

  see(id: string): User | Promise<User> {
    return this.#reader.see(id);
  }

  /** @throws Problem 503 where Redis does not tell within a second. */
  async find(id: string): Promise<User | undefined> {
    const key = this.#keys.hash(nameOfUser(id));
    try {
      return userOf(id, key, await this.#fields(key, this.#calls.in(bound)));
    } catch (error) {
      throw this.#unavailable(error, 'The user could not be read.');
    }
  }

  /** @throws Problem 503 where Redis does not confirm it within a second. */
  async set(id: string, limits: UserLimits): Promise<User> {
    const name = nameOfUser(id);
    const until = this.#calls.in(bound);
    const at = instantNow(this.#options.clock);
    try {
      const isDigest = flag(name !== id);
      const others = bucketWords[limits.algorithm === 'token-bucket' ? 'leaky-bucket' : 'token-bucket'];
      const [, created] = await this.#write(until, setUser, name, id, at, isDigest, ...others, ...limitFields(limits));
      // The hash before the set: were the name there first, a sweep could take it out in between.
      await this.#list.add(name, true, until);
      const user: User = { id, limits, createdAt: String(created), updatedAt: at };
      this.#reader.learn(id, user);
      return user;
    } catch (error) {
      this.#reader.changed(id);
      throw this.#unavailable(error, inDoubt);
    }
  }

  /** @throws Problem 503 where Redis does not confirm it within a second. */
  async remove(id: string): Promise<boolean> {
    const name = nameOfUser(id);
    const until = this.#calls.in(bound);
    try {
      const [removed] = await this.#write(until, removeUser, name, id);
      await this.#list.remove([name], until);
      this.#reader.learn(id, undefined);
      return removed === 1;
    } catch (error) {
      this.#reader.changed(id);
      throw this.#unavailable(error, inDoubt);
    }
  }

  /**
   * In no order; `limit` is a hint. Who comes or goes meanwhile may be missed, and a user may be on two pages, never twice on one.
   * @throws Problem 503 where Redis does not tell within a second.
   */
  async page(limit: number, cursor?: string): Promise<UserPage> {
    let next = cursor === undefined ? '0' : readCursor('scan:', cursor, (at) => /^[1-9]\d{0,19}$/.test(at));
    const until = this.#calls.in(bound);
    const users = new Map<string, User>();
    try {
      do {
        const [following, names] = await this.#list.scan(next, limit - users.size, until);
        next = following;
        for (const user of await Promise.all(names.map((name) => this.#named(name, until)))) {
          if (user !== undefined) users.set(user.id, user);
        }
      } while (next !== '0' && users.size < limit);
    } catch (error) {
      throw this.#unavailable(error, 'The users could not be read.');
    }
    return { users: [...users.values()], next: next === '0' ? undefined : cursorOf('scan:', next) };
  }

  get size(): number | undefined {
    return this.#list.size;
  }

  /** Leaves the connections open. */
  async close(): Promise<void> {
    this.#unsubscribe();
    await this.#list.close();
    await this.#reader.settled();
    await Promise.all(this.#listing);
  }

  async #read(id: string, renew: boolean): Promise<Found> {
    const { ttl, clock } = this.#options;
    const name = nameOfUser(id);
    const key = this.#keys.hash(name);
    const register = clock.now() >= this.#fullUntil;
    const args = [ttl, flag(renew), flag(register), instantNow(clock), name === id ? '' : id].map(String);
    const until = this.#calls.in(this.#patience);
    const [made, ...values] = await this.#calls.run(until, readUser, [key], args).catch(refuseWrongType(key));
    const user = userOf(id, key, values as (string | null)[]);
    if (made === 2) this.#fill();
    if (user === undefined) return { user, renewed: false };
    // Whom a crash has kept off the list comes to it when he is seen again.
    if (made === 1 || renew) this.#enlist(name, key, user.limits !== undefined);
    return { user, renewed: renew || made === 1 };
  }

  /** Sends it before it returns, so that whoever asks for a page next finds the user there. Nobody waits for it. */
  #enlist(name: string, key: string, isLimited: boolean): void {
    const listing = this.#list
      .add(name, isLimited)
      .then(async (isListed) => {
        if (isListed) return;
        this.#fill();
        await this.#calls.run(this.#calls.in(bound), withdrawUser, [key]);
      })
      // He expires by himself.
      .catch(() => {})
      .finally(() => this.#listing.delete(listing));
    this.#listing.add(listing);
  }

  /** Whether there is room again is tried once in a while, not with each id that somebody invents. */
  #fill(): void {
    this.#fullUntil = this.#options.clock.now() + 1_000_000;
  }

  /**
   * Runs a script that changes nothing once nobody waits for it any more: it is told when that is by the clock of the
   * server that has the key.
   */
  async #write(until: number, script: Script, name: string, id: string, ...args: readonly string[]) {
    const key = this.#keys.hash(name);
    const fence = await this.#calls.fence(until, key);
    const reply = await this.#calls.run(until, script, [key], [fence, this.#keys.channel, id, ...args]);
    if (reply[0] === -1)
      throw new SluiceError('STORE_TIMEOUT', 'The call reached Redis too late, and changed nothing.');
    return reply;
  }

  #fields(key: string, until: number): Promise<(string | null)[]> {
    return this.#calls.ask(until, (client) => client.hmget(key, ...userFields)).catch(refuseWrongType(key));
  }

  /** The user of a name in the set. What is kept of one and cannot be used does not keep the others from being shown. */
  async #named(name: string, until: number): Promise<User | undefined> {
    const key = this.#keys.hash(name);
    try {
      const values = await this.#fields(key, until);
      return userOf(values.at(-1) ?? name, key, values);
    } catch (error) {
      if (!(error instanceof SluiceError) || error.code !== 'UNUSABLE_STATE') throw error;
      this.#options.logger.warn(error.message);
      return undefined;
    }
  }

  #unavailable(error: unknown, what: string): Problem {
    if (error instanceof Problem) return error;
    this.#options.logger.warn(`Users: ${messageOf(error)}`);
    const detail = error instanceof SluiceError ? error.message : 'Redis answered with an error, which is in the log.';
    return new Problem(503, 'Redis unavailable', `${what} ${detail}`, undefined, { 'retry-after': '1' });
  }
}

const inDoubt =
  'It is not confirmed that the user was changed: he is either as he was, or as he was to be, and nothing in between. ' +
  'Send the request again; to send it twice is the same as once.';

function flag(yes: boolean): string {
  return yes ? '1' : '0';
}
