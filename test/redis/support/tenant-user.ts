import { once } from 'node:events';
import { type AlgorithmName, compilePolicies } from '@sluice/core';
import { clusterOptions, RedisStore } from '@sluice/redis';
import { Cluster } from 'ioredis';

/** What each process of a fleet asks for: each is a user of its own, of one tenant. */
export interface TenantLoad {
  readonly algorithm: AlgorithmName;
  readonly order: readonly ('user' | 'tenant')[];
  readonly limits: { readonly user: number; readonly tenant: number };
  readonly window: `${number}d`;
  readonly requests: number;
}

/** What came of it. */
export interface TenantTally {
  readonly granted: number;
  readonly sources: readonly string[];
  /** What is left to the user when all has been answered. */
  readonly left: number;
}

const [user = '', ...ports] = process.argv.slice(2);
const redis = new Cluster(
  ports.map((port) => ({ host: '127.0.0.1', port: Number(port) })),
  clusterOptions,
);
const store = new RedisStore(redis, { onError: 'throw', deadline: '30s', logger: { warn() {} } });

async function consume({ algorithm, order, limits, window, requests }: TenantLoad): Promise<TenantTally> {
  const charges = order.map((name) => {
    const [policy] = compilePolicies([{ name, algorithm, limit: limits[name], window }], name);
    return { policy: policy!, key: `${name}:${order}:${algorithm}${name === 'user' ? user : ''}`, cost: 1 };
  });
  const answers = await Promise.all(Array.from({ length: requests }, () => store.consume(charges)));
  const left = await store.peek(charges);
  return {
    granted: answers.filter((decisions) => decisions.every(({ allowed }) => allowed)).length,
    sources: [...new Set(answers.flatMap((decisions) => decisions.map(({ source }) => source)))],
    left: left[order.indexOf('user')]!.remaining,
  };
}

process.on('disconnect', () => process.exit());
await once(redis, 'ready');
process.send?.('ready');
for (;;) {
  const [load] = (await once(process, 'message')) as [TenantLoad];
  process.send?.(await consume(load));
}
