import { type Charge, compilePolicies } from '@sluice/core';
import { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import { FaultProxy } from '../../../test/support/redis/fault-proxy.ts';
import { RedisServer } from '../../../test/support/redis/server.ts';
import { until } from '../../../test/support/redis/until.ts';
import { clientOptions, RedisStore } from '../src/index.ts';

const [limit, log] = compilePolicies(
  [
    { name: 'limit', limit: 5, window: '1h', algorithm: 'fixed-window' },
    { name: 'places', limit: 5, window: '10m', algorithm: 'sliding-window-log' },
  ],
  'test',
);
const places = { ...log!, borrowed: true as const };
const chargesOf = (key: string): readonly Charge[] => [
  { policy: limit!, key, cost: 1 },
  { policy: places, key, cost: 1 },
];

it('a place that Redis grants too late is free again, and what it grants of a limit stays taken', async () => {
  await using server = await RedisServer.start();
  await using proxy = await FaultProxy.to(server.port);
  const direct = new Redis(server.url);
  const redis = new Redis(proxy.url, clientOptions);
  redis.on('error', () => {});
  const store = new RedisStore(redis, { instances: 1, logger: { warn() {} } });
  await store.ready();
  // Redis knows the scripts from here on.
  await until('Redis takes a place back', async () => {
    const decisions = await store.consume(chargesOf('bob'));
    if (decisions[0]!.source !== 'store') return false;
    await store.takeBack([{ policy: places, key: 'bob', cost: 1, at: decisions[1]!.at }]);
    return (await direct.exists('ratelimit:sliding-window-log:{bob}:places')) === 0;
  });

  proxy.delay(500);
  const decisions = await store.consume(chargesOf('alice'));
  expect(decisions.map(({ allowed, source }) => [allowed, source])).toEqual([
    [true, 'fallback'],
    [true, 'fallback'],
  ]);
  const place = 'ratelimit:sliding-window-log:{alice}:places';
  expect(await direct.exists(place)).toBe(1);
  await until('the place is free', async () => (await direct.exists(place)) === 0, 5_000);
  // The units that are used stand behind the end of the window.
  expect((await direct.getBuffer('ratelimit:fixed-window:{alice}:limit'))!.readDoubleBE(8)).toBe(1);
  await store.close();
  redis.disconnect();
  direct.disconnect();
});
