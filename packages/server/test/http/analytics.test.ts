import { ManualClock } from '@sluice/testing';
import { expect, it } from 'vitest';
import { totalsBy } from '../support/series.ts';
import { onBothBackends, onEmbedded } from '../support/service.ts';

const defaults = { algorithm: 'fixed-window', limit: 5, window: '365d' } as const;

onBothBackends('GET /ratelimit/analytics', (start) => {
  it('has counted exactly what was sent, by rule, endpoint, tier and decision', async () => {
    const service = await start({ defaults });
    const rule = { window: '365d', endpoint: '/login' };
    await service.post('/ratelimit/rules', { ...rule, id: 'login', limit: 3 });
    await service.post('/ratelimit/rules', { ...rule, id: 'pro', limit: 4, tier: 'pro' });
    await service.post('/ratelimit/rules', { ...rule, id: 'shade', limit: 1, mode: 'shadow', endpoint: '/Shade' });
    await service.put('/ratelimit/lists/block/203.0.113.7');
    const times = async (n: number, body: object) => {
      for (let i = 0; i < n; i++) await service.check(body);
    };
    await times(7, { user_id: 'alice', endpoint: '/login' });
    await times(6, { user_id: 'alice', endpoint: '//LOGIN/', tier: 'pro' });
    await times(4, { user_id: 'bob', endpoint: '/shade' });
    await times(2, { user_id: 'carol', endpoint: '/Other%2Fpath?secret=1' });
    await times(3, { ip: '203.0.113.7', endpoint: '/login' });
    await service.get('/check?user_id=dora');
    await service.post('/ratelimit/check/batch', { checks: [{ user_id: 'dora' }, { user_id: 'dora' }] });
    await service.get('/ratelimit/auth', { 'x-forwarded-for': '192.0.2.1', 'x-original-uri': '/login' });
    // Of these, none is a decision.
    await service.post('/ratelimit/simulate', { user_id: 'alice', endpoint: '/login' });
    await service.post('/ratelimit/report', { user_id: 'alice', cost: 1 });
    await service.check({ user_id: 'alice', cost: -1 });

    const counts = (allowed: number, refused: number, shadow_refused = 0) => ({
      allowed,
      refused,
      shadow_refused,
      sources: { store: allowed + refused + shadow_refused },
    });
    const rules = await totalsBy(service, 'rule');
    expect(rules.login).toEqual(counts(4, 4));
    expect(rules.pro).toEqual(counts(4, 2));
    expect(rules.shade).toEqual(counts(0, 0, 3));
    // The shadow's four, carol's two, dora's three, and the three that were blocked.
    expect(rules['(none)']).toEqual(counts(9, 3));
    expect(Object.keys(rules).sort()).toEqual(['(none)', 'login', 'pro', 'shade']);

    const decisions = await totalsBy(service, 'decision');
    expect(decisions).toEqual({
      allowed: counts(17, 0),
      refused: counts(0, 9),
      'shadow-refused': counts(0, 0, 3),
    });
    const tiers = await totalsBy(service, 'tier');
    expect(tiers).toEqual({ pro: counts(4, 2), '(none)': counts(13, 7, 3) });
    const endpoints = await totalsBy(service, 'endpoint');
    expect(endpoints['/login']).toEqual(counts(8, 9));
    expect(endpoints['(none)']).toEqual(counts(3, 0));
    expect(JSON.stringify(endpoints)).not.toContain('secret');
  });

  it('has a point for every step, from the first to the last', async () => {
    const service = await start({ defaults });
    await service.check({ user_id: 'alice' });
    const to = new Date(Math.ceil((Date.now() + 1) / 3_600_000) * 3_600_000);
    const from = new Date(to.getTime() - 2 * 3_600_000);
    for (const [step, points] of [
      ['1m', 120],
      ['5m', 24],
      ['1h', 2],
    ] as const) {
      const path = `/ratelimit/analytics?from=${from.toISOString()}&to=${to.toISOString()}&step=${step}&by=decision`;
      const { status, json } = await service.get(path);
      expect({ status, json }).toMatchObject({
        status: 200,
        json: { from: from.toISOString(), to: to.toISOString(), by: 'decision', step },
      });
      expect(json.series[0].points).toHaveLength(points);
      const ms = (2 * 3_600_000) / points;
      for (const [i, point] of json.series[0].points.entries()) {
        expect(point.at).toBe(new Date(from.getTime() + i * ms).toISOString());
      }
    }
  });
});

onEmbedded('GET /ratelimit/analytics', (start) => {
  it('goes back from what the clock of the service says', async () => {
    const clock = new ManualClock(Date.UTC(2031, 0, 1));
    const service = await start({ defaults }, { clock });
    expect((await service.get('/ratelimit/analytics')).json).toMatchObject({
      from: '2030-12-31T23:00:00.000Z',
      to: '2031-01-01T00:00:00.000Z',
    });
    clock.advance(1_000);
    expect((await service.get('/ratelimit/analytics')).json.to).toBe('2031-01-01T00:00:01.000Z');
  });
});

onBothBackends('GET /ratelimit/analytics/top', (start) => {
  it('names who sends the most, and who is refused the most', async () => {
    const service = await start({ defaults });
    const checks = [12, 3, 8, 6].flatMap((n, i) => Array.from({ length: n }, () => ({ user_id: `user-${i}` })));
    await service.post('/ratelimit/check/batch', { checks });
    const top = async (query: string) => (await service.get(`/ratelimit/analytics/top?${query}`)).json;
    expect(await top('by=requests&n=3&window=1h')).toEqual({
      by: 'requests',
      window: '1h',
      top: [
        { key: 'user:user-0', count: 12, error: 0 },
        { key: 'user:user-2', count: 8, error: 0 },
        { key: 'user:user-3', count: 6, error: 0 },
      ],
    });
    expect(await top('')).toEqual({
      by: 'refused',
      window: '5m',
      top: [
        { key: 'user:user-0', count: 7, error: 0 },
        { key: 'user:user-2', count: 3, error: 0 },
        { key: 'user:user-3', count: 1, error: 0 },
      ],
    });
  });
});
