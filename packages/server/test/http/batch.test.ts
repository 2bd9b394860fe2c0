import { expect, it } from 'vitest';
import { onBothBackends } from '../support/service.ts';

const defaults = { algorithm: 'fixed-window', limit: 3, window: '365d' } as const;

onBothBackends('POST /ratelimit/check/batch', (start) => {
  it('answers each check as by itself, in order', async () => {
    const service = await start({ defaults });
    await service.put('/ratelimit/lists/block/203.0.113.7');
    const alice = { user_id: 'alice' };
    const checks = [
      alice,
      { ip: '192.0.2.1', cost: 2 },
      { ...alice, cost: 3 },
      alice,
      { ip: '203.0.113.7' },
      alice,
      alice,
    ];
    const { status, json } = await service.post('/ratelimit/check/batch', { checks });
    expect(status).toBe(200);
    expect(Object.keys(json)).toEqual(['results']);
    expect(json.results).toMatchObject([
      { key: 'user:alice', allowed: true, remaining: 2 },
      { key: 'ip:192.0.2.1', allowed: true, remaining: 1 },
      // Three are not left any more, and one still is.
      { key: 'user:alice', allowed: false, remaining: 2 },
      { key: 'user:alice', allowed: true, remaining: 1 },
      { key: 'ip:203.0.113.7', allowed: false, reason: 'block-list' },
      { key: 'user:alice', allowed: true, remaining: 0 },
      { key: 'user:alice', allowed: false, remaining: 0 },
    ]);
    const single = await service.check({ user_id: 'bob' });
    const [batched] = (await service.post('/ratelimit/check/batch', { checks: [{ user_id: 'carol' }] })).json.results;
    expect(Object.keys(batched).sort()).toEqual(Object.keys(single.json).sort());
  });

  it('takes 1,000 checks, of users as well, and grants exactly the limit', async () => {
    const service = await start({ defaults: { ...defaults, limit: 70 } });
    const checks = Array.from({ length: 1_000 }, (_, i) => ({ user_id: `user-${i % 10}` }));
    const { status, json } = await service.post('/ratelimit/check/batch', { checks });
    expect(status).toBe(200);
    expect(json.results).toHaveLength(1_000);
    for (const [i, { key, allowed }] of json.results.entries()) {
      expect({ i, key, allowed }).toEqual({ i, key: `user:user-${i % 10}`, allowed: i < 700 });
    }
  });

  it('charges none if one is not valid', async () => {
    const service = await start({ defaults });
    const good = { user_id: 'alice' };
    for (const [bad, pointer] of [
      [{ user_id: 'bob', cost: -1 }, '/checks/2/cost'],
      [{ ip: 'nowhere' }, '/checks/2/ip'],
      [{}, '/checks/2'],
      [{ user_id: 'bob', colour: 'red' }, '/checks/2/colour'],
    ] as const) {
      const reply = await service.post('/ratelimit/check/batch', { checks: [good, good, bad, good] });
      expect(reply.status).toBe(400);
      expect(reply.json.errors[0].pointer).toBe(pointer);
    }
    expect((await service.check({ ...good, cost: 0 })).json.remaining).toBe(3);
  });

  it('takes neither none nor 1,001', async () => {
    const service = await start({ defaults });
    for (const length of [0, 1_001]) {
      const checks = Array.from({ length }, () => ({ user_id: 'alice' }));
      const reply = await service.post('/ratelimit/check/batch', { checks });
      expect({ status: reply.status, pointer: reply.json.errors[0].pointer }).toEqual({
        status: 400,
        pointer: '/checks',
      });
    }
    expect((await service.check({ user_id: 'alice', cost: 0 })).json.remaining).toBe(3);
  });
});
