import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { RedisSentinels } from '../../../../test/support/redis/sentinel.ts';
import { until } from '../../../../test/support/redis/until.ts';
import { onUrls, withServices } from '../support/service.ts';
import { actsAsOne } from './shared-service.ts';

describe('Two instances on a master that sentinels watch over', () => {
  let set: RedisSentinels | undefined;
  beforeAll(async () => {
    set = await RedisSentinels.start({ replicas: 1 });
  });
  beforeEach(async () => {
    await (await set!.master()).cli('FLUSHALL');
  });
  afterAll(() => set?.stop());

  const start = withServices(() => {
    const urls = set!.sentinels.map(({ url }) => url);
    return onUrls(urls, set!.name);
  });

  actsAsOne(start);

  // The last one: the master is another afterwards.
  it('go on with the next master when this one is gone', async () => {
    const [a, b] = [await start(), await start()];
    const rule = { id: 'login', endpoint: '/login', limit: 5, window: '365d' };
    await a.post('/ratelimit/rules', rule);
    const old = await set!.master();
    // What the replica has not heard of yet would be lost, as Redis has it.
    await until('the replica has it all', async () => (await old.cli('WAIT', '1', '1000')) === '1');
    await old.kill();
    await set!.masterChanged(old);
    for (const client of [a, b]) {
      const answer = async () => (await client.check({ user_id: 'alice', endpoint: '/login', cost: 0 })).json;
      await until('the store answers again', async () => (await answer()).source === 'store');
      expect(await answer()).toMatchObject({ rule: 'login', limit: 5 });
    }
    await until('rules can be written again', async () => {
      const { status } = await b.put('/ratelimit/rules/login', { ...rule, limit: 6 });
      return status === 200;
    });
    await until('the other has it', async () => (await a.get('/ratelimit/rules/login')).json.limit === 6);
  });
});
