import { Cluster, Redis } from 'ioredis';
import { Redis as Redis5 } from 'ioredis5';
import { expect, it } from 'vitest';
import { clientWarning } from '../src/client-settings.ts';
import { clientOptions, clusterOptions } from '../src/index.ts';

it('the options are ones that ioredis 5 and 6 take, without a warning of the store', () => {
  const clients = [
    new Redis({ ...clientOptions, lazyConnect: true }),
    new Redis5({ ...clientOptions, lazyConnect: true }),
    new Cluster([{ host: '127.0.0.1', port: 1 }], { ...clusterOptions, lazyConnect: true }),
  ];
  for (const client of clients) {
    expect(clientWarning(client)).toBeUndefined();
    client.disconnect();
  }
});

it('the pauses between connections stay below half a second, and are not the same for all', () => {
  const pauses = Array.from({ length: 1_000 }, (_, i) => clientOptions.retryStrategy(i + 1));
  expect(Math.max(...pauses)).toBeLessThan(500);
  expect(new Set(pauses).size).toBeGreaterThan(900);
});
