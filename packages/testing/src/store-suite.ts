import type { Store } from '@sluice/core';
import { ManualClock } from './manual-clock.js';
import { StoreBench, type StoreCase, storeCases } from './store-cases.js';

/** The test function of a runner: that of vitest, `node:test`, jest and others. */
export interface TestFunction {
  (name: string, run: () => Promise<void>): unknown;
  /** Reports a case that is not run. Without it, the case is reported as an empty test under the same name. */
  skip?: ((name: string, run: () => Promise<void>) => unknown) | undefined;
}

/** A StoreFixture is an empty store for one case. */
export interface StoreFixture {
  store: Store;
  /** Called when the case is over, whatever came of it. @default the store's own close */
  close?(): void | PromiseLike<void>;
}

export interface StoreSuiteOptions {
  /** Makes a store that nobody else uses, and whose time is `clock` unless `realTime` is set. */
  create(clock: ManualClock): StoreFixture | PromiseLike<StoreFixture>;
  /**
   * The store keeps a time of its own that a test cannot advance. The cases that need it are then reported as skipped.
   * @default false
   */
  realTime?: boolean;
  /** Cases that the store does not meet, by title, each with the reason. */
  skip?: Readonly<Record<string, string>>;
}

/**
 * Declares the cases that every Store must pass, as tests of whatever runner `test` is of.
 *
 * ```ts
 * import { test } from 'node:test';
 * storeSuite(test, { create: (clock) => ({ store: new MyStore({ clock }) }) });
 * ```
 *
 * A case that is left out is never silent: it appears among the tests with the reason behind its title.
 * @throws Error for a `skip` that names no case, or gives no reason.
 */
export function storeSuite(test: TestFunction, { create, realTime = false, skip = {} }: StoreSuiteOptions): void {
  const titles = storeCases.map(({ title }) => title);
  for (const [title, reason] of Object.entries(skip)) {
    if (!titles.includes(title)) {
      throw new Error(
        `storeSuite: 'skip' names no case: ${JSON.stringify(title)}. The cases are:\n${titles.join('\n')}`,
      );
    }
    if (typeof reason !== 'string' || reason.trim() === '') {
      throw new Error(`storeSuite: 'skip' needs a reason for ${JSON.stringify(title)}.`);
    }
  }
  for (const storeCase of storeCases) {
    const { title, needsTime } = storeCase;
    const reason = skip[title] ?? (needsTime && realTime ? 'the time of this store cannot be advanced' : undefined);
    if (reason === undefined) test(title, () => runCase(storeCase, create));
    else (test.skip ?? test)(`${title} (skipped: ${reason})`, async () => {});
  }
}

async function runCase({ run }: StoreCase, create: StoreSuiteOptions['create']): Promise<void> {
  const clock = new ManualClock();
  const fixture = await create(clock);
  try {
    await run(new StoreBench(fixture.store, clock));
  } finally {
    if (fixture.close) await fixture.close();
    else await fixture.store.close?.();
  }
}
