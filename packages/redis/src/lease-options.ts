import { SluiceError } from '@sluice/core';
import { checkNames, checkShare } from '@sluice/core/toolkit';

/** How units of hot keys are leased. */
export interface RedisLeaseOptions {
  /**
   * How large a part of a policy's capacity all processes together hold in leases at the most: above 0, and 0.1 at the
   * most. @default 0.01
   */
  share?: number;
}

const defaultShare = 0.01;

/**
 * The share that a RedisStore leases; `undefined` where it leases nothing.
 * @throws SluiceError for options that cannot work, with the remedy.
 */
export function leaseShareOf(
  leases: boolean | RedisLeaseOptions | undefined,
  instances: number | undefined,
): number | undefined {
  if (leases === undefined || leases === false) return undefined;
  if (leases !== true) checkNames(leases, ['share'], "RedisStore: 'leases'", 'leases: true or { share: 0.01 }');
  const share = leases === true ? defaultShare : (leases.share ?? defaultShare);
  checkShare(share, "RedisStore: 'leases'");
  if (instances === undefined) {
    throw new SluiceError(
      'INVALID_OPTION',
      "RedisStore: 'leases' need 'instances': how many processes share these limits, at the most, like { instances: 4, " +
        'leases: true }. Each leases its part.',
    );
  }
  return share;
}

/** What is told once where a failover may lose leases. */
export function lossyWarning(share: number): string {
  return (
    'RedisStore: leases are given out by servers with replicas, which learn of them a little later. A failover loses what ' +
    'was granted and leased in that time; until the lost leases have ended, within a second, each key may be granted up to ' +
    `${share * 100} % of a limit's capacity on top. Bound that time with min-replicas-max-lag, or leave 'leases' out.`
  );
}
