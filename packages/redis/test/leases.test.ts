import { type Charge, type CompiledPolicy, compilePolicies, type Decision, SluiceError } from '@sluice/core';
import { ManualClock } from '@sluice/testing';
import { Cluster, Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { RedisCluster } from '../../../test/support/redis/cluster.ts';
import { RedisServer } from '../../../test/support/redis/server.ts';
import { until } from '../../../test/support/redis/until.ts';
import { clientOptions, clusterOptions, RedisStore, type RedisStoreOptions } from '../src/index.ts';

let server: RedisServer;
const open: { disconnect(): void }[] = [];
beforeAll(async () => {
  server = await RedisServer.start();
});
beforeEach(async () => {
  if (!server.isRunning) await server.restart();
  const redis = new Redis(server.url);
  await redis.flushall();
  redis.disconnect();
});
afterEach(() => {
  for (const client of open.splice(0)) client.disconnect();
});
afterAll(() => server?.stop());

const [bucket, fixed, sliding] = compilePolicies(
  [
    { name: 'bucket', limit: 100_000, window: '300d', algorithm: 'token-bucket' },
    { name: 'fixed', limit: 100_000, window: '300d', algorithm: 'fixed-window' },
    { name: 'sliding', limit: 100_000, window: '300d', algorithm: 'sliding-window-counter' },
  ],
  'test',
) as readonly [CompiledPolicy, CompiledPolicy, CompiledPolicy];

/** A process that has leases. Its clock stands still, so that no lease of it ends by time. */
async function process(options: Partial<RedisStoreOptions> = {}) {
  const redis = new Redis(server.url, clientOptions);
  open.push(redis);
  const clock = new ManualClock(Date.now());
  const given = { instances: 2, leases: true, deadline: '10s', clock, logger: { warn() {} }, ...options };
  const store = new RedisStore(redis, given as RedisStoreOptions);
  await store.ready();
  return { redis, clock, store };
}

const charge = (policy: CompiledPolicy, cost = 1, key = 'hot'): Charge => ({ policy, key, cost });
const ask = async (store: RedisStore, policy: CompiledPolicy, cost = 1): Promise<Decision> =>
  (await store.consume([charge(policy, cost)]))[0]!;

/** Asks until a unit comes from a lease. */
async function heat(store: RedisStore, policy: CompiledPolicy): Promise<Decision> {
  for (let i = 0; i < 200; i++) {
    const decision = await ask(store, policy);
    if (decision.source === 'lease') return decision;
  }
  throw new Error('There was no lease.');
}

describe.each([
  ['token-bucket', bucket],
  ['fixed-window', fixed],
  ['sliding-window-counter', sliding],
] as const)('two processes with leases of a %s', (_algorithm, policy) => {
  it('grant exactly the limit, mostly without asking Redis', async () => {
    const stores = [(await process()).store, (await process()).store];
    const sources = new Map<string, number>();
    let granted = 0;
    // Each asks for what a crowd wants, until the other and itself are refused everything.
    for (let refused = 0; refused < 2; ) {
      refused = 0;
      for (const store of stores) {
        const decisions = await Promise.all(Array.from({ length: 1_000 }, () => ask(store, policy)));
        for (const { allowed, source } of decisions) {
          if (allowed) granted++;
          if (allowed) sources.set(source, (sources.get(source) ?? 0) + 1);
        }
        if (!decisions.some(({ allowed }) => allowed)) refused++;
      }
    }
    expect(granted).toBe(100_000);
    expect(sources.get('lease')).toBeGreaterThan(50_000);
  });
});

describe('a process with leases', () => {
  it('sees a reset by itself at once, and the units that another has leased of a bucket stay owed', async () => {
    const [mine, theirs] = [await process(), await process()];
    await heat(mine.store, bucket);
    await heat(theirs.store, bucket);
    await mine.store.reset('hot', [bucket]);
    const { source, remaining } = await ask(mine.store, bucket);
    expect(source).toBe('store');
    expect(remaining).toBeLessThan(100_000 - 16);
    expect(remaining).toBeGreaterThan(100_000 - 200);
    expect((await ask(theirs.store, bucket)).source).toBe('lease');
  });

  it('hands a live lease out while Redis is gone, and decides by itself after that', async () => {
    const { store, redis } = await process();
    const { remaining } = await heat(store, fixed);
    const gone = new Promise((resolve) => redis.once('close', resolve));
    await server.kill();
    await gone;
    const sources: string[] = [];
    let last: Decision | undefined;
    for (let i = 0; i < 40; i++) {
      last = await ask(store, fixed);
      sources.push(last.source);
    }
    const leased = sources.indexOf('fallback');
    expect(leased).toBeGreaterThan(3);
    expect(sources).toEqual([...Array(leased).fill('lease'), ...Array(40 - leased).fill('fallback')]);
    // What was leased counts as taken, and each unit of the fallback for two.
    expect(last!.remaining).toBeLessThanOrEqual((remaining - leased) / 2 - (40 - leased));
  });

  it('is answered as its limiter wants when a call for a lease fails', async () => {
    const { store, redis } = await process();
    const closed = store.answering('deny');
    await heat(store, fixed);
    const gone = new Promise((resolve) => redis.once('close', resolve));
    await server.kill();
    await gone;
    const ofBoth = [];
    for (let i = 0; i < 100; i++) ofBoth.push(await ask(store, fixed), (await closed.consume([charge(fixed)]))[0]!);
    expect(ofBoth.slice(-2)).toMatchObject([
      { source: 'fallback', allowed: true },
      { source: 'closed', allowed: false },
    ]);
  });

  it('has calls for leases go with decisions, in one script', async () => {
    const { store } = await process();
    const cold = Array.from({ length: 15 }, () => ask(store, fixed));
    const hot = Array.from({ length: 30 }, () => ask(store, fixed));
    const others = Array.from({ length: 30 }, (_, i) => store.consume([charge(fixed, 1, `user:${i}`)]));
    const decisions = await Promise.all([...cold, ...hot]);
    expect(decisions.every(({ allowed }) => allowed)).toBe(true);
    for (const [decision] of await Promise.all(others)) expect(decision).toMatchObject({ remaining: 99_999 });
    const [{ remaining }] = (await store.peek([charge(sliding, 0)])) as [Decision];
    expect(remaining).toBe(100_000);
    const left = decisions.map(({ remaining }) => remaining);
    expect(new Set(left).size).toBe(45);
  });

  it('goes together with a deny cache: leases grant, and what Redis refuses is refused again without asking it', async () => {
    const { store } = await process({ denyCache: true });
    const counts = { lease: 0, store: 0, 'deny-cache': 0 } as Record<string, number>;
    let granted = 0;
    for (let i = 0; i < 110; i++) {
      for (const { allowed, source } of await Promise.all(Array.from({ length: 1_000 }, () => ask(store, fixed)))) {
        counts[source] = (counts[source] ?? 0) + 1;
        if (allowed) granted++;
      }
    }
    expect(granted).toBe(100_000);
    expect(counts.lease).toBeGreaterThan(50_000);
    expect(counts['deny-cache']).toBeGreaterThan(5_000);
    await store.reset('hot', [fixed]);
    expect(await ask(store, fixed)).toMatchObject({ allowed: true, source: 'store', remaining: 99_999 });
  });

  it('leaves states without leases as they are, and goes on from one under another limit', async () => {
    const { store, redis } = await process();
    await ask(store, bucket);
    expect(await redis.strlen('ratelimit:token-bucket:{hot}:bucket')).toBe(24);
    await heat(store, bucket);
    expect(await redis.strlen('ratelimit:token-bucket:{hot}:bucket')).toBe(56);
    const [raised] = compilePolicies(
      [{ name: 'bucket', limit: 200_000, window: '300d', algorithm: 'token-bucket' }],
      'test',
    );
    const { source, remaining } = await ask(store, raised!);
    expect(source).toBe('store');
    expect(remaining).toBeGreaterThan(199_800);
    expect(remaining).toBeLessThan(200_000 - 20);
  });

  it('says of a key whose state is not its own what any store does, and resets it', async () => {
    const { store, redis } = await process({ onError: 'throw' });
    await heat(store, bucket);
    await redis.set('ratelimit:token-bucket:{hot}:bucket', 'x'.repeat(56));
    const failures: unknown[] = [];
    for (let i = 0; i < 100; i++) await ask(store, bucket).catch((error) => failures.push(error));
    expect(failures.length).toBeGreaterThan(0);
    for (const failure of failures) expect(failure).toMatchObject({ code: 'UNUSABLE_STATE' });
    await store.reset('hot', [bucket]);
    expect(await ask(store, bucket)).toMatchObject({ source: 'store', remaining: 99_999 });
  });
});

describe('where a failover may lose leases, a store with leases warns once', () => {
  const told = async (client: Redis | Cluster, options: object) => {
    const warnings: string[] = [];
    const logger = { warn: (message: string) => void warnings.push(message) };
    const store = new RedisStore(client, { instances: 2, deadline: '10s', logger, ...options });
    await store.ready();
    await ask(store, fixed);
    // What the server tells of itself has been asked before this, and is told before it.
    await ask(store, fixed);
    await ask(store, fixed);
    await store.close();
    return warnings;
  };
  const bound = /leases are given out by servers with replicas.*up to 5 % of a limit's capacity on top/;
  const leases = { share: 0.05 };

  it('of a server that has replicas, and of no other', async () => {
    const client = new Redis(server.url, clientOptions);
    open.push(client);
    expect(await told(client, { leases })).toEqual([]);
    const replica = await RedisServer.start({ args: ['--replicaof', '127.0.0.1', String(server.port)] });
    try {
      await until('the replica is there', async () => /connected_slaves:1/.test(await client.info('replication')));
      expect(await told(client, { leases })).toEqual([expect.stringMatching(bound)]);
      expect(await told(client, {})).toEqual([]);
    } finally {
      await replica.stop();
    }
  });

  it('of a cluster, where they are given out as anywhere', async () => {
    const cluster = await RedisCluster.start();
    const client = new Cluster(
      cluster.ports.map((port) => ({ host: '127.0.0.1', port })),
      clusterOptions,
    );
    open.push(client);
    try {
      expect(await told(client, { leases })).toEqual([expect.stringMatching(bound)]);
      const clock = new ManualClock(Date.now());
      const options = { instances: 2, leases: true, deadline: '10s', clock, logger: { warn() {} } } as const;
      const store = new RedisStore(client, options);
      expect((await heat(store, bucket)).allowed).toBe(true);
    } finally {
      await cluster.stop();
    }
  });

  it('of sentinels', async () => {
    const client = new Redis({
      ...clientOptions,
      sentinels: [{ host: '127.0.0.1', port: server.port }],
      name: 'mymaster',
    });
    client.on('error', () => {});
    open.push(client);
    const warnings: string[] = [];
    const logger = { warn: (message: string) => void warnings.push(message) };
    const store = new RedisStore(client, { instances: 2, leases, deadline: 10, logger });
    await ask(store, fixed);
    expect(warnings).toContainEqual(expect.stringMatching(bound));
  });
});

describe('leases', () => {
  it.each<[unknown, RegExp]>([
    [{ share: 0 }, /^RedisStore: 'leases': 'share' is how large a part .* above 0, and 0.1 at the most.* got 0/],
    [{ share: 0.2 }, /got 0.2/],
    [{ share: '1%' }, /got "1%"/],
    [{ shares: 0.01 }, /has no option "shares". Did you mean "share"\?/],
    ['yes', /RedisStore: 'leases' takes an object of options, like leases: true or \{ share: 0.01 \}; got "yes"/],
    [null, /takes an object/],
  ])('are refused as %j', (leases, message) => {
    const client = new Redis({ lazyConnect: true });
    const options = { instances: 2, leases } as RedisStoreOptions;
    expect(() => new RedisStore(client, options)).toThrowError(message);
  });

  it('need to know how many processes there are', () => {
    const client = new Redis({ lazyConnect: true });
    const wrong = () => new RedisStore(client, { onError: 'deny', leases: true });
    expect(wrong).toThrowError(SluiceError);
    expect(wrong).toThrowError(/'leases' need 'instances': how many processes share these limits/);
  });
});
