import { afterAll, beforeAll, beforeEach, describe } from 'vitest';
import { RedisCluster } from '../../../../test/support/redis/cluster.ts';
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

  actsAsOne(withServices(() => onUrls(cluster!.urls.slice(0, 3))));
});
