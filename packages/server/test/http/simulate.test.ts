import { expect, it } from 'vitest';
import { onBothBackends } from '../support/service.ts';

const defaults = { algorithm: 'fixed-window', limit: 2, window: '365d' } as const;

onBothBackends('POST /ratelimit/simulate', (start) => {
  it('tells what a check would be answered, and charges nothing', async () => {
    const service = await start({ defaults });
    const body = { user_id: 'alice', cost: 2 };
    for (let i = 0; i < 3; i++) {
      const { status, json } = await service.post('/ratelimit/simulate', body);
      expect({ status, json }).toMatchObject({ status: 200, json: { allowed: true, remaining: 2, retry_after: 0 } });
    }
    const { json: checked } = await service.check(body);
    expect(checked).toMatchObject({ allowed: true, remaining: 0 });
    const { status, json } = await service.post('/ratelimit/simulate', { user_id: 'alice' });
    expect({ status, json }).toMatchObject({ status: 200, json: { allowed: false, reason: 'quota', remaining: 0 } });
    const { explanation, ...answer } = json;
    expect(Object.keys(answer).sort()).toEqual(Object.keys(checked).sort());
    expect(explanation.outcome).toBe('refused');
    const refused = await service.check({ user_id: 'alice' });
    expect(answer).toEqual({ ...refused.json, retry_after: expect.closeTo(refused.json.retry_after, -2) });
    expect((await service.get('/metrics')).text).toContain('decision="allowed",source="store"} 1\n');
  });

  it('explains which rule applies, whom it counts, and what each policy has left', async () => {
    const service = await start({ defaults });
    const rule = { id: 'login', endpoint: '/login', methods: ['POST'], limit: 5, window: '365d' };
    await service.post('/ratelimit/rules', rule);
    await service.post('/ratelimit/rules', { ...rule, id: 'shade', limit: 1, mode: 'shadow' });
    const about = { user_id: 'alice', method: 'POST', endpoint: '/login' };
    await service.check(about);
    const { json } = await service.post('/ratelimit/simulate', { ...about, cost: 2 });
    expect(json.explanation).toMatchObject({
      outcome: 'allowed',
      identity: { key: 'user:alice', from: 'user' },
      list_entry: null,
      policies: expect.arrayContaining([
        expect.objectContaining({
          policy: 'login',
          mode: 'enforce',
          key: 'user:alice',
          cost: 2,
          allowed: true,
          remaining: 4,
        }),
        expect.objectContaining({ policy: 'shade', mode: 'shadow', cost: 2, allowed: false, limit: 1, remaining: 0 }),
      ]),
    });
    expect(json.explanation.summary).toContain('user:alice');
    expect(Date.parse(json.explanation.passes_at)).toBeGreaterThan(0);
  });

  it('names the entry of a list that decides', async () => {
    const service = await start({ defaults });
    await service.put('/ratelimit/lists/block/203.0.113.0%2F24');
    const { status, json } = await service.post('/ratelimit/simulate', { ip: '203.0.113.9' });
    expect({ status, json }).toMatchObject({
      status: 200,
      json: { allowed: false, reason: 'block-list', explanation: { outcome: 'blocked', list_entry: '203.0.113.0/24' } },
    });
  });

  it('makes nobody known', async () => {
    const service = await start({ defaults });
    await service.post('/ratelimit/simulate', { user_id: 'alice' });
    expect((await service.get('/users?user_id=alice')).status).toBe(404);
  });
});
