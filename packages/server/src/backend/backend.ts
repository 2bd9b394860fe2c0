import type { Store } from '@sluice/core';
import type { Analytics } from '../analytics/analytics.js';
import type { ConfigurationStore } from '../configuration/configuration.js';
import type { UserDirectory } from '../users/user.js';

/** A Backend is where all that lasts is kept: in files of this machine, or in Redis. */
export interface Backend {
  readonly store: Store;
  readonly configuration: ConfigurationStore;
  readonly users: UserDirectory;
  readonly analytics: Analytics;
  /** The state of the circuit to each server: 0 closed, 1 half-open, 2 open. */
  breakers(): Iterable<readonly [server: string, state: number]>;
  /** Keys that are kept here, and those that were forgotten for want of room; `undefined` where Redis keeps them. */
  keys(): number | undefined;
  evictions(): number | undefined;
  /** What keeps the backend from being relied upon; `undefined` where nothing does. */
  trouble(): string | undefined;
  /** Resolves, with the reason, when this process must not write any more; its owner then closes it. */
  readonly lost: Promise<Error>;
  /** Saves what is to be saved, and lets everything go. */
  close(): Promise<void>;
}

/** Closes in order, whatever fails; then throws the first error. */
export async function closeAll(steps: readonly (() => unknown)[]): Promise<void> {
  const errors: unknown[] = [];
  for (const step of steps) {
    try {
      await step();
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length > 0) throw errors[0];
}
