import type { Store } from '@sluice/core';
import { ManualClock } from './manual-clock.js';
import { algorithmCases } from './store/algorithm-cases.js';
import { type Declare, StoreBench, type StoreCase } from './store/bench.js';
import { keyCases } from './store/key-cases.js';
import { penaltyCases } from './store/penalty-cases.js';
import { severalCases } from './store/several-cases.js';
import { timeCases } from './store/time-cases.js';
import { unitCases } from './store/unit-cases.js';
import { declareCases, type SuiteCase, type TestFunction } from './suite.js';

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
  const cases: SuiteCase[] = [];
  const always: Declare = (title, run) => cases.push({ title, run: () => runCase(run, create) });
  const timed: Declare = (title, run) =>
    cases.push({
      title,
      run: () => runCase(run, create),
      ...(realTime && { skipped: 'the time of this store cannot be advanced' }),
    });
  unitCases(always);
  timeCases(timed);
  algorithmCases(always, timed);
  severalCases(always);
  keyCases(always);
  penaltyCases(always, timed);
  declareCases('storeSuite', test, cases, skip);
}

async function runCase(run: StoreCase, create: StoreSuiteOptions['create']): Promise<void> {
  const clock = new ManualClock();
  const fixture = await create(clock);
  try {
    await run(new StoreBench(fixture.store, clock));
  } finally {
    if (fixture.close) await fixture.close();
    else await fixture.store.close?.();
  }
}
