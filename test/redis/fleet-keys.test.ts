import { type AlgorithmName, createLimiter } from '@sluice/core';
import { clusterOptions, RedisStore } from '@sluice/redis';
import { Cluster } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RedisCluster } from '../support/redis/cluster.js';
import { Fleet } from './support/fleet.js';
import type { TenantLoad, TenantTally } from './support/tenant-user.js';

/** More of the users together than of the tenant. */
const limits = { user: 200, tenant: 500 };
const window = '300d';

let cluster: RedisCluster;
let fleet: Fleet;
let redis: Cluster;
beforeAll(async () => {
  cluster = await RedisCluster.start();
  const ports = cluster.ports.map(String);
  fleet = new Fleet(
    'tenant-user.ts',
    ['ann', 'bob', 'cat', 'dan'].map((user) => [user, ...ports]),
  );
  redis = new Cluster(
    cluster.ports.map((port) => ({ host: '127.0.0.1', port })),
    clusterOptions,
  );
  await fleet.hear();
});
afterAll(async () => {
  redis?.disconnect();
  await fleet?.stop();
  await cluster?.stop();
});

/** Lets the users of a tenant ask at once. Resolves to what each was granted, and what is left to the tenant. */
async function asked(algorithm: AlgorithmName, order: TenantLoad['order']) {
  fleet.tell({ algorithm, order, limits, window, requests: 400 } satisfies TenantLoad);
  const users = await fleet.hear<TenantTally>();
  const store = new RedisStore(redis, { onError: 'throw', deadline: '30s', logger: { warn() {} } });
  const policies = { name: 'tenant', algorithm, limit: limits.tenant, window } as const;
  const { remaining } = await createLimiter({ policies, store }).peek(`tenant:${order}:${algorithm}`);
  await store.close();
  return { users, granted: users.reduce((sum, { granted }) => sum + granted, 0), tenantLeft: remaining };
}

const algorithms: readonly AlgorithmName[] = [
  'fixed-window',
  'sliding-window-log',
  'sliding-window-counter',
  'token-bucket',
  'leaky-bucket',
];

/**
 * What is left when no refused request has cost anything. To a bucket goes back what has not flowed in since the charge:
 * in such a window, all refusals of a test together cost less than a unit.
 */
function expectLeft(algorithm: AlgorithmName, left: number, expected: number): void {
  const leaks = algorithm.endsWith('bucket') && expected > 0;
  expect(leaks ? [expected - 1, expected] : [expected]).toContain(left);
}

describe('four users of one tenant, on a cluster where each has another slot', () => {
  // A user gets units back only when the tenant has none left: until then nobody is refused for nothing.
  it.each(algorithms)('are granted exactly the limit of the tenant, who is asked last: %s', async (algorithm) => {
    const { users, granted, tenantLeft } = await asked(algorithm, ['user', 'tenant']);
    expect(granted).toBe(limits.tenant);
    expect(tenantLeft).toBe(0);
    for (const { left, granted, sources } of users) {
      expectLeft(algorithm, left, limits.user - granted);
      expect(sources).toEqual(['store']);
    }
  });

  it.each(algorithms)(
    'are charged what they are granted also where the tenant is asked first: %s',
    async (algorithm) => {
      const { users, granted, tenantLeft } = await asked(algorithm, ['tenant', 'user']);
      expect(granted).toBeLessThanOrEqual(limits.tenant);
      expect(granted).toBeGreaterThan(0);
      expectLeft(algorithm, tenantLeft, limits.tenant - granted);
      for (const { left, granted, sources } of users) {
        expectLeft(algorithm, left, limits.user - granted);
        expect(sources).toEqual(['store']);
      }
    },
  );
});
