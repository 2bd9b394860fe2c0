import { expect, it } from 'vitest';
import { onRedis } from '../support/service.ts';
import { actsAsOne } from './shared-service.ts';

onRedis('Two instances', (start, backend) => {
  actsAsOne(start);

  it('know each other’s users, and survive each other', async () => {
    const [a, b] = [await start(), await start()];
    await a.get('/check?user_id=alice');
    await a.post('/users?user_id=bob&capacity=7&leak_rate=0.5');
    expect((await b.get('/users?user_id=bob')).json).toMatchObject({ custom: true, capacity: 7, leak_rate: 0.5 });
    await a.stop();
    const page = await b.get('/users');
    expect(page.json.users.map(({ user_id }: { user_id: string }) => user_id).sort()).toEqual(['alice', 'bob']);
    expect((await b.get('/check?user_id=alice')).json).toMatchObject({ remaining: 998, source: 'store' });
  });

  it('are two services with two prefixes', async () => {
    const storage = backend.storage();
    const a = await start();
    const b = await start({ storage: { ...storage, prefix: 'other' } as typeof storage });
    await a.post('/ratelimit/rules', { id: 'login', endpoint: '/login', limit: 2, window: '1h' });
    await a.check({ user_id: 'alice' });
    expect((await b.get('/ratelimit/rules')).json).toMatchObject({ version: 0, rules: [] });
    expect((await b.get('/users')).json.users).toEqual([]);
    expect((await b.check({ user_id: 'alice' })).json.remaining).toBe(999);
    const keys = (await backend.redis()!.cli('KEYS', '*')).split('\n');
    expect(keys.filter((key) => !/^(ratelimit|other):/.test(key))).toEqual([]);
    expect(keys.some((key) => key.startsWith('other:'))).toBe(true);
  });
});
