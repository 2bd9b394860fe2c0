import type { Clock } from '@sluice/core';
import type { BoundedCalls } from '../redis/bounded-calls.js';
import type { UserKeys } from './user-keys.js';
import { listUser } from './user-scripts.js';

/** Milliseconds for each call. */
const bound = 1_000;
/** Names that are looked at in one step. */
const step = 250;
/** The steps of one turn: so many that all names have theirs within about sixty turns. */
const turns = 60;
/** Milliseconds between two steps. */
const rest = 10;

export interface UserListOptions {
  readonly calls: BoundedCalls;
  readonly keys: UserKeys;
  readonly clock: Clock;
  readonly maxUsers: number;
  /** Milliseconds from one turn of the sweep to the next, give or take a quarter. */
  readonly sweepEvery: number;
}

/**
 * A UserList is the set of the names of all users, never more than `maxUsers` of those who have come by themselves. Their
 * hashes expire by themselves, and their slots differ, so that nothing can take both away in one step: a sweep goes through
 * the set a little at a time, and takes out the names whose hash is gone. Where it finds many, it goes on at once.
 */
export class UserList {
  readonly #options: UserListOptions;
  #size: number | undefined;
  #cursor = '0';
  #cancel: () => void;
  #sweeping: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(options: UserListOptions) {
    this.#options = options;
    this.#cancel = this.#schedule();
  }

  /** How many there were when it was last heard. */
  get size(): number | undefined {
    return this.#size;
  }

  /** Adds a name, and tells whether it is in the set now. There is room for it always if it is `wanted`. */
  async add(name: string, wanted: boolean, until = this.#options.calls.in(bound)): Promise<boolean> {
    const { calls, keys, maxUsers } = this.#options;
    const [isIn, size] = await calls.run(until, listUser, [keys.set], [name, wanted ? -1 : maxUsers]);
    this.#size = Number(size);
    return Number(isIn) === 1;
  }

  /** Takes names out whose hashes are gone. One that has come back meanwhile, and was added before, is added again. */
  async remove(names: readonly string[], until = this.#options.calls.in(bound)): Promise<void> {
    if (names.length === 0) return;
    const { calls, keys } = this.#options;
    await calls.ask(until, (client) => client.srem(keys.set, ...names));
    const back = await this.#existing(names, until);
    if (back.length > 0) await calls.ask(until, (client) => client.sadd(keys.set, ...back));
  }

  /** Some names, and the cursor of the next; `'0'` after the last. */
  async scan(cursor: string, count: number, until: number): Promise<readonly [next: string, names: readonly string[]]> {
    const { calls, keys } = this.#options;
    return calls.ask(until, (client) => client.sscan(keys.set, cursor, 'COUNT', count));
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancel();
    await this.#sweeping;
  }

  #schedule(): () => void {
    const { clock, sweepEvery } = this.#options;
    // Instances that were started together do not sweep together.
    return clock.after(sweepEvery * (0.75 + Math.random() / 2), () => this.#turn(), { background: true });
  }

  #turn(): void {
    // Where Redis fails, the next turn goes on from there; decisions tell of it.
    this.#sweeping = this.#sweep().catch(() => {});
    void this.#sweeping.then(() => {
      if (!this.#isClosed) this.#cancel = this.#schedule();
    });
  }

  async #sweep(): Promise<void> {
    const { calls, keys, clock } = this.#options;
    this.#size = await calls.ask(calls.in(bound), (client) => client.scard(keys.set));
    let left = Math.max(4, Math.ceil(this.#size / step / turns));
    while (left > 0 && !this.#isClosed) {
      const until = calls.in(bound);
      const [next, names] = await this.scan(this.#cursor, step, until);
      const there = new Set(await this.#existing(names, until));
      const gone = names.filter((name) => !there.has(name));
      await this.remove(gone, until);
      this.#size -= gone.length;
      this.#cursor = next;
      if (next === '0') return;
      if (gone.length * 10 < names.length) left--;
      await new Promise<void>((resolve) => clock.after(rest, resolve, { background: true }));
    }
  }

  async #existing(names: readonly string[], until: number): Promise<readonly string[]> {
    const { calls, keys } = this.#options;
    // One by one: in a cluster, each has a slot of its own.
    const answers = await calls.ask(until, (client) =>
      Promise.all(names.map((name) => client.exists(keys.hash(name)))),
    );
    return names.filter((_, i) => answers[i] === 1);
  }
}
