import { ManualClock } from '@sluice/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { RedisCluster } from '../../../../test/support/redis/cluster.ts';
import { until } from '../../../../test/support/redis/until.ts';
import type { StorageSettings } from '../../src/settings/settings.ts';
import type { Client } from '../support/client.ts';
import { onUrls, withServices } from '../support/service.ts';
import { actsAsOne } from './shared-service.ts';

describe('Two instances on a Redis Cluster', () => {
  let cluster: RedisCluster | undefined;
  beforeAll(async () => {
    cluster = await RedisCluster.start();
  });
  beforeEach(async () => {
    for (const master of await cluster!.masters()) await master.cli('FLUSHALL');
  });
  afterAll(() => cluster?.stop());

  const storage = () => onUrls(cluster!.urls.slice(0, 3));
  const start = withServices(storage);

  actsAsOne(start);

  it('remember what was refused until one of them resets it', async () => {
    const defaults = { algorithm: 'token-bucket', limit: 2, window: '365d' } as const;
    const settings = { storage: { ...storage(), denyCache: true, leases: true } as StorageSettings, defaults };
    // On clocks that stand still, nothing is forgotten because it is old.
    const a = await start(settings, { clock: new ManualClock(Date.now()) });
    const b = await start(settings, { clock: new ManualClock(Date.now()) });
    const ask = async (client: Client) => {
      const { json } = await client.check({ user_id: 'alice' });
      return `${json.allowed ? 'granted' : 'refused'} by ${json.source}`;
    };
    expect(await ask(a)).toBe('granted by store');
    expect(await ask(b)).toBe('granted by store');
    for (const client of [a, b])
      await until('it refuses by itself', async () => (await ask(client)) === 'refused by deny-cache');
    expect((await a.delete('/ratelimit/status/alice')).status).toBe(204);
    expect(await ask(a)).toBe('granted by store');
    await until('the other has heard of it', async () => (await ask(b)) === 'granted by store');
  });
});
