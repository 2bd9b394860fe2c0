import { expect, it } from 'vitest';
import { onBothBackends } from '../support/service.ts';

const login = { endpoint: '/login', limit: 5, window: '1m' };
const alpha = 'alpha-0123456789abcdef';
const beta = 'beta-0123456789abcdef';

onBothBackends('the audit log', (start) => {
  it('says who changed what and when, from what to what, the latest first', async () => {
    const service = await start({ adminTokens: [alpha, beta] });
    const as = (token: string) => ({ authorization: `Bearer ${token}` });
    await service.put('/ratelimit/rules/login', login, as(alpha));
    await service.put('/ratelimit/rules/login', { ...login, limit: 6 }, as(beta));
    await service.put('/ratelimit/lists/block/user:eve', { note: 'abuse' }, as(beta));
    await service.delete('/ratelimit/lists/block/user:eve', as(alpha));
    await service.delete('/ratelimit/rules/login', as(alpha));
    const { entries } = (await service.get('/ratelimit/audit', as(alpha))).json;
    const rule = { id: 'login', ...login, origin: 'api' };
    const eve = { entry: 'user:eve', expires_at: null, note: 'abuse' };
    expect(entries).toEqual(
      [
        { by: 'admin-1', rule: 'login', before: null, after: { ...rule, version: 1 } },
        { by: 'admin-2', rule: 'login', before: { ...rule, version: 1 }, after: { ...rule, limit: 6, version: 2 } },
        { by: 'admin-2', list: 'block', entry: 'user:eve', before: null, after: eve },
        { by: 'admin-1', list: 'block', entry: 'user:eve', before: eve, after: null },
        { by: 'admin-1', rule: 'login', before: { ...rule, limit: 6, version: 2 }, after: null },
      ]
        .map(({ by, before, after, ...of }, i) => ({
          ...of,
          version: i + 1,
          at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
          by: `${by} 127.0.0.1`,
          before: before && expect.objectContaining(before),
          after: after && expect.objectContaining(after),
        }))
        .reverse(),
    );
    expect(JSON.stringify(entries)).not.toMatch(/0123456789abcdef/);
  });

  it('calls whoever needs no token by the loopback', async () => {
    const service = await start();
    await service.put('/ratelimit/rules/login', login);
    expect((await service.get('/ratelimit/audit')).json.entries[0].by).toBe('loopback 127.0.0.1');
  });

  it('is read page by page, and knows nothing of what was refused or only tried', async () => {
    const service = await start();
    for (let i = 1; i <= 5; i++) await service.put('/ratelimit/rules/login', { ...login, limit: i });
    await service.put('/ratelimit/rules/login', login, { 'if-match': '"1"' });
    await service.put('/ratelimit/rules/login?dry_run=true', login);
    await service.put('/ratelimit/rules/login', { ...login, limit: -1 });
    await service.delete('/ratelimit/rules/other');
    const versions = async (query: string) =>
      (await service.get(`/ratelimit/audit?${query}`)).json.entries.map(({ version }: { version: number }) => version);
    expect(await versions('')).toEqual([5, 4, 3, 2, 1]);
    expect(await versions('limit=2')).toEqual([5, 4]);
    expect(await versions('limit=2&before=4')).toEqual([3, 2]);
    expect(await versions('limit=2&before=2')).toEqual([1]);
    expect(await versions('before=1')).toEqual([]);
    expect(await versions('before=99')).toEqual([5, 4, 3, 2, 1]);
    for (const [query, parameter] of [
      ['limit=0', 'limit'],
      ['limit=1001', 'limit'],
      ['before=x', 'before'],
      ['before=1.5', 'before'],
      ['after=1', 'after'],
    ] as const) {
      const { status, json } = await service.get(`/ratelimit/audit?${query}`);
      expect([status, json.errors?.[0]?.parameter], query).toEqual([400, parameter]);
    }
  });

  it('tells of a write that lost against another for the same requests, and of its being taken back', async () => {
    const service = await start();
    const replies = await Promise.all(['a', 'b'].map((id) => service.post('/ratelimit/rules', { ...login, id })));
    const loser = replies[0]!.status === 409 ? 'a' : 'b';
    const { entries } = (await service.get('/ratelimit/audit')).json;
    const ofLoser = entries.filter(({ rule }: { rule: string }) => rule === loser);
    // Refused before it was written, or written and taken back.
    expect(ofLoser.map(({ after }: { after: object | null }) => after !== null)).toEqual(
      ofLoser.length === 0 ? [] : [false, true],
    );
    expect((await service.get('/ratelimit/rules')).json.rules).toHaveLength(1);
  });
});
