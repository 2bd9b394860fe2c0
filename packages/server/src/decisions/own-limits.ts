import { type Clock, isPromise, type MaybePromise, Overrides } from '@sluice/core';
import { keyNames } from '../digest.js';
import { limitsPolicy } from '../users/limits.js';
import type { User, UserDirectory, UserLimits } from '../users/user.js';
import type { Check } from './check.js';

/** A user and the limits that go for him. */
export type Limited = Pick<User, 'id' | 'limits'>;

/** The limits of users who have their own, as the pipelines use them: those of whom a check names are brought up to date. */
export class OwnLimits {
  readonly overrides: Overrides;
  readonly #users: UserDirectory;
  /** What the overrides have, by user. */
  readonly #known = new Map<string, UserLimits>();

  constructor(users: UserDirectory, clock: Clock) {
    this.#users = users;
    this.overrides = new Overrides({}, { clock });
  }

  /** Sees the user who is named. */
  see({ userId }: Check): MaybePromise<void> {
    if (userId === undefined) return undefined;
    const user = this.#users.see(userId);
    return isPromise(user) ? user.then((later) => this.set(later)) : this.set(user);
  }

  /** As `see`, and nobody is known from then on who was not before. */
  async look({ userId: id }: Check): Promise<void> {
    if (id === undefined) return;
    try {
      const user = await this.#users.find(id);
      this.set({ id, limits: user?.limits });
    } catch {
      // As a check would be, it is answered by what is known.
    }
  }

  set({ id, limits }: Limited): void {
    if (this.#known.get(id) === limits) return;
    if (limits === undefined) {
      this.#known.delete(id);
      this.overrides.delete(keyNames.user(id));
    } else {
      this.#known.set(id, limits);
      this.overrides.set(keyNames.user(id), limitsPolicy(limits));
    }
  }
}
