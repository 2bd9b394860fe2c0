import { ManualClock } from '@sluice/testing';
import { expect, it } from 'vitest';
import { onBothBackends, onEmbedded, onRedis } from '../support/service.ts';

const defaults = { algorithm: 'token-bucket', limit: 5, window: '365d' } as const;
const instant = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);

onBothBackends('GET /check', (start) => {
  it('decides on a request of the user, by the limits of everybody or by his own', async () => {
    const service = await start({ defaults: { ...defaults, limit: 2 } });
    const statuses = [];
    for (let i = 0; i < 3; i++) statuses.push((await service.get('/check?user_id=alice')).status);
    expect(statuses).toEqual([200, 200, 429]);
    const refused = await service.get('/check?user_id=alice');
    expect(refused.json).toMatchObject({ allowed: false, reason: 'quota', policy: 'default', limit: 2, remaining: 0 });
    expect(refused.headers).toMatchObject({
      'x-ratelimit-limit': '2',
      'x-ratelimit-remaining': '0',
      'retry-after': String(refused.json.retry_after),
      'cache-control': 'no-store',
    });
  });

  it('counts with the checks that name the user', async () => {
    const service = await start({ defaults });
    await service.check({ user_id: 'alice', cost: 2 });
    expect((await service.get('/check?user_id=alice')).json.remaining).toBe(2);
  });
});

onBothBackends('/ratelimit/status/{user_id}', (start) => {
  it('tells of who was counted and could not be registered, and forgets that too', async () => {
    const service = await start({ defaults, maxUsers: 1 });
    for (const id of ['alice', 'bob', 'bob']) await service.check({ user_id: id });
    expect((await service.get('/users?user_id=bob')).status).toBe(404);
    const { policies } = (await service.get('/ratelimit/status/bob')).json;
    expect(policies).toMatchObject([{ policy: 'default', remaining: 3 }]);
    expect((await service.delete('/ratelimit/status/bob')).status).toBe(204);
    expect((await service.get('/ratelimit/status/bob')).status).toBe(404);
    expect((await service.check({ user_id: 'bob', cost: 0 })).json.remaining).toBe(5);
  });

  it('has the state of every policy, and forgets all of it when it is deleted', async () => {
    const service = await start({ defaults });
    await service.post('/ratelimit/rules', { id: 'login', endpoint: '/login', limit: 3, window: '365d' });
    await service.post('/ratelimit/rules', { id: 'pro', endpoint: '/login', tier: 'pro', limit: 9, window: '365d' });
    await service.check({ user_id: 'al/ice', cost: 4 });
    await service.check({ user_id: 'al/ice', endpoint: '/login' });
    await service.check({ user_id: 'al/ice', endpoint: '/login', tier: 'pro' });
    const path = '/ratelimit/status/al%2Fice';
    const left = async () => {
      const { status, json } = await service.get(path);
      expect({ status, user: json.user_id }).toEqual({ status: 200, user: 'al/ice' });
      return Object.fromEntries(json.policies.map((one: Record<string, unknown>) => [one.policy, one.remaining]));
    };
    expect(await left()).toEqual({ default: 1, login: 2, pro: 8 });
    const { json } = await service.get(path);
    expect(json.policies.find(({ policy }: { policy: string }) => policy === 'login')).toEqual({
      policy: 'login',
      rule: 'login',
      limit: 3,
      remaining: 2,
      reset_at: instant,
      refused: false,
      retry_after: null,
      source: 'store',
    });
    // To look takes nothing.
    expect(await left()).toEqual({ default: 1, login: 2, pro: 8 });
    const deleted = await service.delete(path);
    expect({ status: deleted.status, text: deleted.text }).toEqual({ status: 204, text: '' });
    expect(await left()).toEqual({ default: 5, login: 3, pro: 9 });
    expect((await service.check({ user_id: 'al/ice', endpoint: '/login' })).json.remaining).toBe(2);
  });

  it('has the state of the limits that a user has for himself, in the place of those of everybody', async () => {
    const service = await start({ defaults });
    for (const id of ['alice', 'org:alice']) {
      await service.post(`/users?user_id=${id}&max_tokens=30&refill_rate=0.001`);
      await service.check({ user_id: id, cost: 20 });
      const state = async () => (await service.get(`/ratelimit/status/${id}`)).json.policies;
      expect(await state()).toEqual([expect.objectContaining({ policy: 'override', rule: null, remaining: 10 })]);
      await service.delete(`/ratelimit/status/${id}`);
      expect(await state()).toEqual([expect.objectContaining({ policy: 'override', remaining: 30 })]);
      expect((await service.get(`/users?user_id=${id}`)).json).toMatchObject({ custom: true, max_tokens: 30 });
    }
  });

  it('is not there for somebody who has never sent a request', async () => {
    const service = await start();
    for (const reply of [
      await service.get('/ratelimit/status/nobody'),
      await service.delete('/ratelimit/status/nobody'),
    ]) {
      expect(reply.status).toBe(404);
      expect(reply.json.detail).toContain('"nobody"');
    }
  });
});

onBothBackends('/users', (start) => {
  it('knows a user from his first request on, with the limits of everybody', async () => {
    const service = await start({ defaults });
    expect((await service.get('/users?user_id=alice')).status).toBe(404);
    const before = Date.now();
    await service.get('/check?user_id=alice');
    const { status, json } = await service.get('/users?user_id=alice');
    expect({ status, json }).toEqual({
      status: 200,
      json: {
        user_id: 'alice',
        custom: false,
        algorithm: 'token-bucket',
        limit: 5,
        window: '365d',
        created_at: instant,
        updated_at: json.created_at,
        state: { limit: 5, remaining: 4, reset_at: instant, refused: false, retry_after: null, source: 'store' },
      },
    });
    expect(Date.parse(json.created_at)).toBeGreaterThanOrEqual(before - 1);
    expect(Date.parse(json.created_at)).toBeLessThanOrEqual(Date.now() + 1);
  });

  it('says the limits of everybody as a bucket, where they are one that its words can say', async () => {
    const service = await start({ defaults: { algorithm: 'leaky-bucket', limit: 2, window: '1s', burst: 10 } });
    await service.get('/check?user_id=alice');
    expect((await service.get('/users?user_id=alice')).json).toMatchObject({
      custom: false,
      algorithm: 'leaky-bucket',
      capacity: 10,
      leak_rate: 2,
    });
  });

  it.each([
    ['token-bucket', 'max_tokens=10&refill_rate=0.001', { max_tokens: 10, refill_rate: 0.001 }],
    ['leaky-bucket', 'capacity=10&leak_rate=0.001', { capacity: 10, leak_rate: 0.001 }],
  ])('gives a user a %s, which grants exactly what it holds', async (algorithm, query, numbers) => {
    const service = await start({ defaults: { ...defaults, limit: 100 } });
    const set = await service.post(`/users?user_id=alice&${query}`);
    const limits = { user_id: 'alice', custom: true, algorithm, ...numbers };
    expect({ status: set.status, json: set.json }).toEqual({
      status: 200,
      json: { ...limits, created_at: instant, updated_at: instant },
    });
    const replies = await Promise.all(Array.from({ length: 25 }, () => service.get('/check?user_id=alice')));
    expect(replies.filter(({ status }) => status === 200)).toHaveLength(10);
    expect((await service.get('/users?user_id=alice')).json).toMatchObject({ ...limits, state: { remaining: 0 } });
    expect((await service.get('/check?user_id=bob')).json.remaining).toBe(99);
  });

  it('keeps what was taken when the numbers of a bucket change', async () => {
    const service = await start({ defaults });
    for (const id of ['alice', 'org:alice']) {
      await service.check({ user_id: id, cost: 3 });
      await service.post(`/users?user_id=${id}&max_tokens=10&refill_rate=0.001`);
      expect((await service.check({ user_id: id })).json.remaining, id).toBe(6);
      await service.post(`/users?user_id=${id}&max_tokens=4&refill_rate=0.001`);
      expect((await service.check({ user_id: id })).json, id).toMatchObject({ allowed: false, remaining: 0 });
    }
  });

  it('has the limits of a user in force for the next request, and leaves rules to the rules', async () => {
    const service = await start({ defaults });
    await service.post('/ratelimit/rules', { id: 'login', endpoint: '/login', limit: 2, window: '365d' });
    await service.post('/users?user_id=alice&max_tokens=50&refill_rate=0.001');
    expect((await service.check({ user_id: 'alice', endpoint: '/other' })).json.remaining).toBe(49);
    const login = await service.check({ user_id: 'alice', endpoint: '/login' });
    expect(login.json).toMatchObject({ rule: 'login', policy: 'login', limit: 2, remaining: 1 });
  });

  it('forgets a user who is deleted, with his limits and all that he has taken', async () => {
    const service = await start({ defaults });
    await service.post('/users?user_id=alice&max_tokens=9&refill_rate=0.001');
    await service.check({ user_id: 'alice', cost: 8 });
    const deleted = await service.delete('/users?user_id=alice');
    expect({ status: deleted.status, text: deleted.text }).toEqual({ status: 204, text: '' });
    expect((await service.get('/users?user_id=alice')).status).toBe(404);
    expect((await service.delete('/users?user_id=alice')).status).toBe(404);
    expect((await service.check({ user_id: 'alice' })).json).toMatchObject({
      policy: 'default',
      limit: 5,
      remaining: 4,
    });
  });

  it('pages through all users, each once', async () => {
    const service = await start({ defaults });
    const ids = Array.from({ length: 57 }, (_, i) => `user-${i}`);
    const checks = ids.map((user_id) => ({ user_id }));
    expect((await service.post('/ratelimit/check/batch', { checks })).status).toBe(200);
    await service.post('/users?user_id=user-7&capacity=2&leak_rate=3');
    const seen: string[] = [];
    let next: string | undefined = '';
    let pages = 0;
    do {
      const { status, json } = await service.get(`/users?limit=10${next && `&cursor=${next}`}`);
      expect(status).toBe(200);
      for (const user of json.users) {
        expect(Object.keys(user)).toEqual(expect.arrayContaining(['user_id', 'custom', 'algorithm', 'created_at']));
        if (user.user_id === 'user-7') expect(user).toMatchObject({ custom: true, capacity: 2, leak_rate: 3 });
        seen.push(user.user_id);
      }
      next = json.next;
      pages++;
    } while (next !== undefined);
    expect(seen.sort()).toEqual([...ids].sort());
    expect(pages).toBeGreaterThan(1);
  });
});

onEmbedded('The limits of a user, while time passes', (start) => {
  const steps: readonly [string, number, number][] = [
    ['max_tokens=10&refill_rate=2', 10, 500],
    ['max_tokens=3&refill_rate=0.5', 3, 2_000],
    ['max_tokens=4&refill_rate=0.125', 4, 8_000],
    ['max_tokens=1000&refill_rate=1000', 1_000, 1],
    ['capacity=10&leak_rate=2', 10, 500],
    ['capacity=3&leak_rate=0.3', 3, 10_000 / 3],
  ];

  it.each(steps)('%s grants all that it holds, and the next one exactly when it is due', async (query, holds, ms) => {
    const clock = new ManualClock();
    const service = await start({ defaults }, { clock });
    await service.post(`/users?user_id=alice&${query}`);
    const check = async (cost = 1) => (await service.check({ user_id: 'alice', cost })).status;
    expect(await check(holds)).toBe(200);
    expect(await check()).toBe(429);
    // To the tick, which is a microsecond.
    clock.advance(Math.floor(ms * 1_000) / 1_000 - 0.001);
    expect(await check()).toBe(429);
    clock.advance(0.002);
    expect(await check()).toBe(200);
    expect(await check()).toBe(429);
  });
});

onRedis('The layout in Redis', (start, backend) => {
  const cli = (...args: string[]) => backend.redis()!.cli(...args);
  const keys = async () =>
    (await cli('KEYS', 'ratelimit:*'))
      .split('\n')
      .filter((key) => key !== '' && !/^ratelimit:\{(analytics|config\w*)\}/.test(key))
      .sort();
  const hash = async (key: string) => {
    const lines = (await cli('HGETALL', key)).split('\n');
    return Object.fromEntries(lines.flatMap((line, i) => (i % 2 === 0 ? [[line, lines[i + 1]]] : [])));
  };

  it('is a set of users, a hash for each, and a key for each state', async () => {
    const service = await start({ defaults });
    await service.post('/users?user_id=alice&max_tokens=10&refill_rate=2');
    await service.get('/check?user_id=alice');
    await service.post('/users?user_id=bob&capacity=10&leak_rate=0.5');
    await service.get('/check?user_id=bob');
    await service.get('/check?user_id=carol');
    expect(await keys()).toEqual([
      'ratelimit:leaky-bucket:{bob}',
      'ratelimit:token-bucket:{alice}',
      'ratelimit:token-bucket:{carol}',
      'ratelimit:users',
      'ratelimit:users:{alice}',
      'ratelimit:users:{bob}',
      'ratelimit:users:{carol}',
    ]);
    expect(await cli('TYPE', 'ratelimit:users')).toBe('set');
    expect((await cli('SMEMBERS', 'ratelimit:users')).split('\n').sort()).toEqual(['alice', 'bob', 'carol']);
    const times = { created_at: instant, updated_at: instant };
    expect(await hash('ratelimit:users:{alice}')).toEqual({ max_tokens: '10', refill_rate: '2', ...times });
    expect(await hash('ratelimit:users:{bob}')).toEqual({ capacity: '10', leak_rate: '0.5', ...times });
    expect(await hash('ratelimit:users:{carol}')).toEqual(times);
    expect(Number(await cli('PTTL', 'ratelimit:users:{carol}'))).toBeGreaterThan(29 * 86_400_000);
    expect(await cli('PTTL', 'ratelimit:users:{alice}')).toBe('-1');
  });

  it('has nothing left of a user who is deleted', async () => {
    const service = await start({ defaults });
    await service.post('/ratelimit/rules', { id: 'login', endpoint: '/login', limit: 2, window: '365d' });
    await service.post('/users?user_id=alice&max_tokens=10&refill_rate=0.001');
    await service.check({ user_id: 'alice' });
    await service.check({ user_id: 'alice', endpoint: '/login' });
    expect((await keys()).filter((key) => key.includes('alice'))).toHaveLength(3);
    await service.delete('/users?user_id=alice');
    expect((await keys()).filter((key) => key.includes('alice'))).toEqual([]);
    expect(await cli('SMEMBERS', 'ratelimit:users')).toBe('');
  });

  it('names no id that could end the hash tag', async () => {
    const service = await start({ defaults });
    await service.get(`/check?user_id=${encodeURIComponent('a}b{c d')}`);
    for (const key of await keys()) expect(key).toMatch(/^ratelimit:(users|[\w:-]+:\{#[\w-]{22}\})$/);
  });
});
