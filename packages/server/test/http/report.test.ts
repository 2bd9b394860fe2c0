import { ManualClock } from '@sluice/testing';
import { expect, it } from 'vitest';
import { onBothBackends, onEmbedded } from '../support/service.ts';

const defaults = { algorithm: 'token-bucket', limit: 10, window: '365d' } as const;

onBothBackends('POST /ratelimit/report', (start) => {
  it('charges what the limits have', async () => {
    const service = await start({ defaults });
    await service.check({ user_id: 'alice' });
    const { status, json, headers } = await service.post('/ratelimit/report', { user_id: 'alice', cost: 4 });
    expect({ status, json }).toMatchObject({
      status: 200,
      json: { allowed: true, reason: 'granted', remaining: 5, key: 'user:alice' },
    });
    expect(headers['x-ratelimit-remaining']).toBe('5');
    expect((await service.check({ user_id: 'alice', cost: 0 })).json.remaining).toBe(5);
  });

  it('charges beyond that as far as the capacity goes, and says that the limits did not have it all', async () => {
    const service = await start({ defaults });
    await service.check({ user_id: 'alice', cost: 8 });
    const { status, json } = await service.post('/ratelimit/report', { user_id: 'alice', cost: 1_000 });
    expect({ status, json }).toMatchObject({ status: 200, json: { allowed: false, reason: 'quota', remaining: 0 } });
    const next = await service.check({ user_id: 'alice' });
    expect(next.status).toBe(429);
    // It owes no more than the capacity: a tenth of the window later there is one again.
    expect(next.json.retry_after).toBeLessThanOrEqual(36.5 * 86_400);
  });

  it('charges the rule that the request has met', async () => {
    const service = await start({ defaults });
    const rule = { id: 'search', endpoint: '/search', methods: ['GET'], limit: 5, window: '365d' };
    await service.post('/ratelimit/rules', rule);
    const about = { user_id: 'alice', endpoint: '/search' };
    const { json } = await service.post('/ratelimit/report', { ...about, method: 'GET', cost: 5 });
    expect(json).toMatchObject({ allowed: true, rule: 'search', remaining: 0 });
    expect((await service.check({ ...about, method: 'GET' })).status).toBe(429);
    expect((await service.check({ ...about, method: 'POST' })).json).toMatchObject({ rule: null, remaining: 9 });
  });

  it('of 0 charges nothing, and one about somebody who is not limited neither', async () => {
    const service = await start({ defaults });
    await service.put('/ratelimit/lists/allow/user:root');
    const none = await service.post('/ratelimit/report', { user_id: 'alice', cost: 0 });
    expect(none.json).toMatchObject({ allowed: true, remaining: 10 });
    const root = await service.post('/ratelimit/report', { user_id: 'root', cost: 5 });
    expect(root.json).toMatchObject({ allowed: true, reason: 'allow-list', limit: null });
  });

  it('counts as no decision', async () => {
    const service = await start({ defaults });
    await service.post('/ratelimit/report', { user_id: 'alice', cost: 20 });
    expect((await service.get('/metrics')).text).not.toMatch(/^sluice_decisions_total\{/m);
  });
});

onEmbedded('POST /ratelimit/report, while time passes', (start) => {
  it('keeps who has overdrawn out until it has come back', async () => {
    const clock = new ManualClock();
    const service = await start({ defaults: { algorithm: 'token-bucket', limit: 10, window: '10s' } }, { clock });
    await service.post('/ratelimit/report', { user_id: 'alice', cost: 25 });
    const { json } = await service.check({ user_id: 'alice', cost: 3 });
    expect(json).toMatchObject({ allowed: false, retry_after: 3 });
    clock.advance(2_999);
    expect((await service.check({ user_id: 'alice', cost: 3 })).status).toBe(429);
    clock.advance(1);
    expect((await service.check({ user_id: 'alice', cost: 3 })).status).toBe(200);
  });
});
