import type { Charge } from '../charge.js';
import { type Clock, checkClock } from '../clock.js';
import type { Decision } from '../decision.js';
import { type Duration, parseDuration } from '../duration.js';
import { SluiceError, show } from '../errors.js';
import type { MaybePromise } from '../maybe-promise.js';
import { checkNames, checkType } from '../options.js';
import type { Store } from '../store.js';

/** Answers in place of a store that has failed. */
export type Instead = (charges: readonly Charge[], error: unknown) => MaybePromise<readonly Decision[]>;

export interface LeasesOptions {
  /** Hands units out in advance. Every call must settle in time, as those to a GuardedStore do. */
  lessor: Pick<Required<Store>, 'lease'>;
  /** How many processes share the store, at the most: an integer ≥ 1. */
  instances: number;
  /** How large a part of a policy's capacity all processes together hold in leases at the most, in (0, 0.1]. @default 0.01 */
  share?: number | undefined;
  /** Must be monotonic: leases end by it. @default systemClock */
  clock?: Clock | undefined;
  /** Who waits for a call is answered within this time, as if the call had failed. @default no limit but the lessor's own */
  deadline?: Duration | undefined;
  /** Answers those whose call has failed. @default the store is asked */
  instead?: Instead | undefined;
}

const names = ['lessor', 'instances', 'share', 'clock', 'deadline', 'instead'];
const largestShare = 0.1;

/** More than this would leave no policy a lease. */
const mostInstances = 1_000_000;

/** @throws SluiceError for options that cannot work, with the remedy. */
export function checkLeasesOptions(options: LeasesOptions): void {
  checkNames(options, names, 'Leases', '{ lessor, instances: 4 }');
  const { lessor, instances, share, clock, deadline } = options;
  if (typeof lessor?.lease !== 'function') {
    throw new SluiceError(
      'INVALID_OPTION',
      `Leases: 'lessor' must be a store with a method lease(); ${show(lessor)} has none. Leave leases out for a store without.`,
    );
  }
  if (!Number.isSafeInteger(instances) || instances < 1 || instances > mostInstances) {
    throw new SluiceError(
      'INVALID_OPTION',
      `Leases: 'instances' must be how many processes share the store at the most, an integer from 1 to ${mostInstances}; ` +
        `got ${show(instances)}.`,
    );
  }
  if (share !== undefined) checkShare(share, 'Leases');
  if (clock !== undefined) checkClock(clock, 'Leases');
  if (deadline !== undefined) parseDuration(deadline, "Leases: 'deadline'");
  checkType(options, 'instead', 'function', 'Leases');
}

/** @throws SluiceError `INVALID_OPTION` for anything but a part of the capacity, up to a tenth. */
export function checkShare(share: unknown, where: string): asserts share is number {
  if (typeof share === 'number' && share > 0 && share <= largestShare) return;
  throw new SluiceError(
    'INVALID_OPTION',
    `${where}: 'share' is how large a part of a limit may be held in leases: above 0, and 0.1 at the most, such as ` +
      `0.01 for a hundredth; got ${show(share)}.`,
  );
}
