/**
 * A user's own limits, in the words of the two buckets: `max_tokens` tokens that refill at `refill_rate` per second, or
 * a queue of `capacity` that drains at `leak_rate` per second.
 */
export type UserLimits =
  | { readonly algorithm: 'token-bucket'; readonly max_tokens: number; readonly refill_rate: number }
  | { readonly algorithm: 'leaky-bucket'; readonly capacity: number; readonly leak_rate: number };

/** A user that the service knows. */
export interface User {
  readonly id: string;
  /** Limits that were set for this user; `undefined` for those of everybody. */
  readonly limits: UserLimits | undefined;
  /** RFC 3339. */
  readonly createdAt: string;
  readonly updatedAt: string;
}

/** A page of users; `next` is the cursor of the following one, if there is one. */
export interface UserPage {
  readonly users: readonly User[];
  readonly next: string | undefined;
}

/**
 * A UserDirectory keeps the users. Those without limits of their own are forgotten some time after they were last seen,
 * and there are never more than a bound of them.
 */
export interface UserDirectory {
  /**
   * The user, who is thereby seen, and registered if he was unknown and there is room: at once where it can be told
   * at once. A store that cannot be reached does not fail this: then it answers with what it last knew.
   */
  see(id: string): User | Promise<User>;
  find(id: string): Promise<User | undefined>;
  /** Sets limits, durably before it resolves; creates the user if need be. */
  set(id: string, limits: UserLimits): Promise<User>;
  /** Whether there was such a user. */
  remove(id: string): Promise<boolean>;
  page(limit: number, cursor?: string): Promise<UserPage>;
  /** Users known, as far as can be told without asking anybody. */
  readonly size: number | undefined;
  close(): Promise<void>;
}
