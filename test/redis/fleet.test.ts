import { type AlgorithmName, createLimiter, type Policy } from '@sluice/core';
import { RedisStore } from '@sluice/redis';
import { Cluster, Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RedisCluster } from '../support/redis/cluster.js';
import { RedisServer } from '../support/redis/server.js';
import type { Load, Tally } from './support/consumer.js';
import { Fleet } from './support/fleet.js';

const algorithms: readonly AlgorithmName[] = [
  'fixed-window',
  'sliding-window-log',
  'sliding-window-counter',
  'token-bucket',
  'leaky-bucket',
];
const requests = 1_000;
/** More than three processes can have sent for before they are answered: each is granted some. */
const limit = 1_500;
/**
 * So long that nothing comes back during a test: a bucket gives a unit back in 14 hours, and windows that are aligned to
 * the epoch end on one midnight in 300, not on each.
 */
const window = '300d';

interface Servers {
  readonly ports: readonly number[];
  /** The server that keeps a key. */
  of(key: string): Promise<RedisServer>;
  stop(): Promise<void>;
}

async function oneServer(): Promise<Servers> {
  const server = await RedisServer.start();
  return { ports: [server.port], of: async () => server, stop: () => server.stop() };
}

async function sixServers(): Promise<Servers> {
  // Nobody takes the place of a master that a test holds for a moment.
  const cluster = await RedisCluster.start({ args: ['--cluster-node-timeout', '60000'] });
  return { ports: cluster.ports, of: (key) => cluster.masterOf(`{${key}}`), stop: () => cluster.stop() };
}

describe.each([
  ['one server', oneServer],
  ['a cluster', sixServers],
])('four processes over %s', (_, start) => {
  let servers: Servers;
  let fleet: Fleet;
  let redis: Redis | Cluster;
  beforeAll(async () => {
    servers = await start();
    const ports = servers.ports.map(String);
    fleet = new Fleet('consumer.ts', [ports, ports, ports, ports]);
    const [port] = servers.ports;
    redis = servers.ports.length === 1 ? new Redis({ port: port! }) : new Cluster([{ host: '127.0.0.1', port: port! }]);
    await fleet.hear();
  });
  afterAll(async () => {
    redis?.disconnect();
    await fleet?.stop();
    await servers?.stop();
  });

  /**
   * All processes make all their requests before the first of them is answered: the server is held until then. What each
   * has sent by then is its first request; the others wait in it for the answer.
   */
  async function loaded(
    load: Omit<Load, 'requests'>,
    before?: (server: RedisServer) => unknown,
  ): Promise<readonly Tally[]> {
    fleet.tell({ ...load, requests });
    await fleet.hear();
    const server = await servers.of(load.key);
    await before?.(server);
    await server.pause();
    try {
      fleet.tell('go');
      await fleet.hear();
    } finally {
      server.resume();
    }
    return fleet.hear();
  }

  /** What is left of each policy. */
  async function leftOf(key: string, policies: readonly Policy[]): Promise<readonly number[]> {
    const store = new RedisStore(redis, { onError: 'throw', deadline: '30s', logger: { warn() {} } });
    const limiter = createLimiter({ policies, store });
    const { policies: decisions, remaining } = await limiter.peek(key);
    await limiter.close();
    await store.close();
    return decisions?.map((decision) => decision.remaining) ?? [remaining];
  }

  const sum = (tallies: readonly Tally[]) => tallies.reduce((total, { granted }) => total + granted, 0);
  const countdown = Array.from({ length: limit }, (_, i) => i);

  function expectExactly(tallies: readonly Tally[]): void {
    expect(tallies).toHaveLength(4);
    expect(sum(tallies)).toBe(limit);
    // Each unit was granted once: 499 are left after one grant, 498 after another, down to none.
    expect(tallies.flatMap(({ left }) => left).sort((a, b) => a - b)).toEqual(countdown);
    for (const { sources } of tallies) expect(sources).toEqual(['store']);
  }

  it.each(algorithms)('grant 1,500 of 4,000 concurrent requests, each of them some: %s', async (algorithm) => {
    const policies = [{ algorithm, limit, window }] as const;
    const tallies = await loaded({ key: `all:${algorithm}`, policies, costs: [1] });
    expectExactly(tallies);
    for (const { granted } of tallies) expect(granted).toBeGreaterThan(0);
    expect(await leftOf(`all:${algorithm}`, policies)).toEqual([0]);
  });

  it('grant 1,500 of them also where the server knows the script no more', async () => {
    const policies = [{ limit, window }] as const;
    const forget = (server: RedisServer) => server.cli('SCRIPT', 'FLUSH', 'SYNC');
    expectExactly(await loaded({ key: 'forgotten', policies, costs: [1] }, forget));
  });

  it.each([
    ['fixed-window', 'token-bucket'],
    ['leaky-bucket', 'sliding-window-log'],
  ] as const)('charge two policies alike, of which the tighter one refuses: %s and %s', async (...of) => {
    const policies = [
      { name: 'wide', algorithm: of[0], limit: 3_000, window },
      { name: 'tight', algorithm: of[1], limit, window },
    ] as const;
    const tallies = await loaded({ key: `both:${of}`, policies, costs: [1] });
    expectExactly(tallies);
    expect(new Set(tallies.flatMap(({ refusedBy }) => refusedBy))).toEqual(new Set(['tight']));
    expect(await leftOf(`both:${of}`, policies)).toEqual([3_000 - limit, 0]);
  });

  // As long as any unit is left, a request that costs 1 is granted it, and there are more of these than units.
  it.each(['sliding-window-log', 'token-bucket'] as const)(
    'grant 500 units to requests of 1 to 5 units, and none is left: %s',
    async (algorithm) => {
      const policies = [{ algorithm, limit: 500, window }] as const;
      const tallies = await loaded({ key: `costs:${algorithm}`, policies, costs: [3, 1, 5, 2, 4] });
      expect(sum(tallies)).toBe(500);
      for (const { sources } of tallies) expect(sources).toEqual(['store']);
      expect(await leftOf(`costs:${algorithm}`, policies)).toEqual([0]);
    },
  );
});
