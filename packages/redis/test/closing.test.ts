import { compilePolicies } from '@sluice/core';
import type { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import { connectionOf } from '../src/connection.ts';
import { RedisStore } from '../src/index.ts';
import { withServer } from './support/server.ts';

let redis: Redis;
withServer((client) => {
  redis = client;
});

const [policy] = compilePolicies(['10/1h'], 'test');

it('a store that is closed leaves nothing behind on the connection of its client, which goes on', async () => {
  const connection = connectionOf(redis);
  const listening = new Set<() => void>();
  const { onReconnect } = connection;
  connection.onReconnect = (listener) => {
    const stop = onReconnect.call(connection, listener);
    listening.add(listener);
    return () => listening.delete(listener) && stop();
  };
  const store = new RedisStore(redis, { instances: 1, leases: true, denyCache: true });
  await store.consume([{ policy: policy!, key: 'alice', cost: 1 }]);
  expect(listening.size).toBeGreaterThan(0);
  await store.close();
  expect(listening.size).toBe(0);
});
