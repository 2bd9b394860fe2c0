import { createHash } from 'node:crypto';
import { expect, it } from 'vitest';
import { onBothBackends } from '../support/service.ts';

const login = { endpoint: '/login', limit: 5, window: '1m' };
const alpha = 'alpha-0123456789abcdef';
const beta = 'beta-0123456789abcdef';
/** What the log calls whoever has that token. */
const nameOf = (token: string) => `admin:${createHash('sha256').update(token).digest('hex').slice(0, 6)}`;

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
        { by: nameOf(alpha), rule: 'login', before: null, after: { ...rule, version: 1 } },
        { by: nameOf(beta), rule: 'login', before: { ...rule, version: 1 }, after: { ...rule, limit: 6, version: 2 } },
        { by: nameOf(beta), list: 'block', entry: 'user:eve', before: null, after: eve },
        { by: nameOf(alpha), list: 'block', entry: 'user:eve', before: eve, after: null },
        { by: nameOf(alpha), rule: 'login', before: { ...rule, limit: 6, version: 2 }, after: null },
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

  it('calls a token the same after others have come and gone', async () => {
    const as = { authorization: `Bearer ${beta}` };
    const first = await start({ adminTokens: [alpha, beta] });
    await first.put('/ratelimit/rules/login', login, as);
    await first.stop();
    const second = await start({ adminTokens: [beta, 'gamma-0123456789abcdef'] });
    await second.put('/ratelimit/rules/login', login, as);
    const { entries } = (await second.get('/ratelimit/audit', as)).json;
    expect(entries.map(({ by }: { by: string }) => by)).toEqual(Array(2).fill(`${nameOf(beta)} 127.0.0.1`));
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

onBothBackends('what would be too long an answer', (start) => {
  it('of the audit log, or of rules, ends early, and says what to go on with', async () => {
    const service = await start();
    const block = Array.from({ length: 5_000 }, (_, i) => `user:${i}${'x'.repeat(150)}`);
    for (let i = 0; i < 6; i++) {
      const rule = { endpoint: `/${i}`, limit: 1, window: '1m', lists: { block } };
      expect((await service.put(`/ratelimit/rules/r${i}`, rule)).status).toBe(201);
    }
    const rules: string[] = [];
    const pages: number[] = [];
    for (let after: string | undefined = ''; after !== undefined; ) {
      const { json, text } = await service.get(`/ratelimit/rules?after=${after}`);
      expect(text.length).toBeLessThan(4.5 * 2 ** 20);
      rules.push(...json.rules.map(({ id }: { id: string }) => id));
      pages.push(json.rules.length);
      after = json.next;
    }
    expect(rules).toEqual(['r0', 'r1', 'r2', 'r3', 'r4', 'r5']);
    expect(pages).toEqual([5, 1]);

    const versions: number[] = [];
    for (let before: number | undefined = 7; before !== undefined; ) {
      const { json, text } = await service.get(`/ratelimit/audit?before=${before}`);
      expect(text.length).toBeLessThan(4.5 * 2 ** 20);
      versions.push(...json.entries.map(({ version }: { version: number }) => version));
      before = json.next;
    }
    expect(versions).toEqual([6, 5, 4, 3, 2, 1]);
    const { entries, next } = (await service.get('/ratelimit/audit?limit=2')).json;
    expect([entries.length, next]).toEqual([2, 5]);
    expect((await service.get('/ratelimit/audit?limit=2&before=3')).json).not.toHaveProperty('next');
  });
});
