import { createHash } from 'node:crypto';
import type { AlgorithmName } from '@sluice/core';
import { describe, expect, it } from 'vitest';
import type { Reply } from '../support/client.ts';
import { onBothBackends } from '../support/service.ts';

/** Long enough that no test meets the end of a window, and that nothing comes back while one runs. */
const window = '365d';
const year = 365 * 86_400;

const digest = (text: string) => createHash('sha256').update(text).digest('base64url').slice(0, 22);

const algorithms: readonly AlgorithmName[] = [
  'fixed-window',
  'sliding-window-log',
  'sliding-window-counter',
  'token-bucket',
  'leaky-bucket',
];

/** What header fields of the legacy style tell. */
const told = ({ headers }: Reply) => ({
  limit: headers['x-ratelimit-limit'],
  remaining: headers['x-ratelimit-remaining'],
  reset: headers['x-ratelimit-reset'],
  retryAfter: headers['retry-after'],
});

const secondsUp = (instant: string) => String(Math.ceil(Date.parse(instant) / 1_000));

onBothBackends('POST /ratelimit/check', (start) => {
  const rule = async (service: Awaited<ReturnType<typeof start>>, body: object) => {
    const reply = await service.post('/ratelimit/rules', { limit: 2, window, ...body });
    expect(reply.status, reply.text).toBe(201);
  };

  it('grants what the limit has and refuses what is beyond, with the same JSON and the same headers', async () => {
    const service = await start({ defaults: { algorithm: 'token-bucket', limit: 2, window } });
    const before = Date.now();
    const replies = [];
    for (let i = 0; i < 3; i++) replies.push(await service.check({ user_id: 'alice' }));
    const [first, second, refused] = replies as [Reply, Reply, Reply];
    expect([first.status, second.status, refused.status]).toEqual([200, 200, 429]);
    const same = {
      rule: null,
      policy: 'default',
      limit: 2,
      delay_ms: 0,
      key: 'user:alice',
      tier: null,
      source: 'store',
    };
    const reset_at = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    const granted = { ...same, allowed: true, reason: 'granted', retry_after: 0, reset_at };
    expect(first.json).toEqual({ ...granted, remaining: 1 });
    expect(second.json).toEqual({ ...granted, remaining: 0 });
    const { retry_after: wait } = refused.json;
    expect(refused.json).toEqual({
      ...same,
      allowed: false,
      reason: 'quota',
      remaining: 0,
      reset_at,
      retry_after: wait,
    });
    // One of the two units is back after half the window.
    expect(wait).toBeGreaterThan(year / 2 - 60);
    expect(wait).toBeLessThanOrEqual(year / 2);
    const back = Date.parse(second.json.reset_at) - before;
    expect(back).toBeGreaterThanOrEqual(year * 1_000 - 1);
    expect(back).toBeLessThan((year + 60) * 1_000);
    for (const reply of replies) {
      expect(reply.headers['content-type']).toMatch(/^application\/json/);
      expect(reply.headers['cache-control']).toBe('no-store');
      expect(told(reply)).toEqual({
        limit: '2',
        remaining: String(reply.json.remaining),
        reset: secondsUp(reply.json.reset_at),
        retryAfter: reply === refused ? String(wait) : undefined,
      });
    }
  });

  it.each(algorithms)('counts by a rule with the algorithm %s', async (algorithm) => {
    const service = await start();
    await rule(service, { id: 'three', endpoint: '/three', algorithm, limit: 3 });
    const replies = [];
    for (let i = 0; i < 4; i++) replies.push(await service.check({ user_id: 'alice', endpoint: '/three' }));
    expect(replies.map(({ status }) => status)).toEqual([200, 200, 200, 429]);
    expect(replies.map(({ json }) => json.remaining)).toEqual([2, 1, 0, 0]);
    for (const { json } of replies) expect(json).toMatchObject({ rule: 'three', policy: 'three', limit: 3 });
    expect(replies[3]!.json.retry_after).toBeGreaterThan(0);
    expect(replies[3]!.json.retry_after).toBeLessThanOrEqual(2 * year);
    expect(replies[3]!.headers['retry-after']).toBe(String(replies[3]!.json.retry_after));
  });

  it('tells how long a leaky bucket has a request wait', async () => {
    const service = await start();
    await rule(service, { id: 'even', endpoint: '/even', algorithm: 'leaky-bucket', limit: 1, window: '1h', burst: 3 });
    const replies = [];
    for (let i = 0; i < 4; i++) replies.push(await service.check({ user_id: 'alice', endpoint: '/even' }));
    expect(replies.map(({ status }) => status)).toEqual([200, 200, 200, 429]);
    const delays = replies.map(({ json }) => json.delay_ms / 3_600_000);
    expect(delays[0]).toBe(0);
    // Each begins an hour behind the one before, less the time that the test has taken.
    for (const i of [1, 2]) {
      expect(delays[i]).toBeLessThanOrEqual(i);
      expect(delays[i]).toBeGreaterThan(i - 1 / 60);
    }
    expect(delays[3]).toBe(0);
  });

  describe('who is counted', () => {
    it('is the API key, else the user, else the address', async () => {
      const cases: readonly [object, string][] = [
        [{ user_id: 'alice' }, 'user:alice'],
        [{ user_id: 'alice@example.org' }, 'user:alice@example.org'],
        [{ user_id: 'org:alice' }, 'user:org:alice'],
        [{ user_id: 'Ünal {1}' }, `user:#${digest('Ünal {1}')}`],
        [{ user_id: 'u'.repeat(65) }, `user:#${digest('u'.repeat(65))}`],
        [{ api_key: 'k-1' }, `api-key:#${digest('k-1')}`],
        [{ ip: '203.0.113.7' }, 'ip:203.0.113.7'],
        [{ ip: '::ffff:203.0.113.7' }, 'ip:203.0.113.7'],
        [{ ip: '2001:DB8:0:1:2:3:4:5' }, 'ip:2001:db8:0:1::/64'],
        [{ api_key: 'k-1', user_id: 'alice', ip: '203.0.113.7' }, `api-key:#${digest('k-1')}`],
        [{ user_id: 'alice', ip: '203.0.113.7' }, 'user:alice'],
      ];
      const service = await start();
      for (const [who, key] of cases) {
        const { status, json } = await service.check(who);
        expect({ status, key: json.key }).toEqual({ status: 200, key });
      }
    });

    it('is each for himself', async () => {
      const service = await start({ defaults: { algorithm: 'fixed-window', limit: 1, window } });
      const all = [
        { user_id: 'a' },
        { user_id: 'b' },
        { api_key: 'a' },
        { api_key: 'b' },
        { ip: '192.0.2.1' },
        { ip: '192.0.2.2' },
      ];
      for (const who of all) expect((await service.check(who)).status, JSON.stringify(who)).toBe(200);
      for (const who of all) expect((await service.check(who)).status, JSON.stringify(who)).toBe(429);
    });

    it('is no more than ten times what one may, by keys that an address has invented', async () => {
      const service = await start({ defaults: { algorithm: 'fixed-window', limit: 2, window } });
      const ip = '198.51.100.9';
      const replies = [];
      for (let i = 0; i < 25; i++) replies.push(await service.check({ api_key: `made-up-${i}`, ip }));
      expect(replies.filter(({ status }) => status === 200)).toHaveLength(20);
      expect(replies.at(-1)!.json).toMatchObject({ allowed: false, reason: 'quota', limit: 20, remaining: 0 });
      // Without an address, somebody vouches for the key.
      expect((await service.check({ api_key: 'made-up-30' })).status).toBe(200);
    });

    it('is whom a rule says', async () => {
      const service = await start();
      await rule(service, { id: 'by-ip', endpoint: '/by-ip', identity: 'ip', limit: 1 });
      const check = (who: object) => service.check({ endpoint: '/by-ip', ...who });
      expect((await check({ user_id: 'a', ip: '192.0.2.1' })).json).toMatchObject({
        allowed: true,
        key: 'ip:192.0.2.1',
      });
      expect((await check({ user_id: 'b', ip: '192.0.2.1' })).json).toMatchObject({
        allowed: false,
        key: 'ip:192.0.2.1',
      });
      expect((await check({ user_id: 'b', ip: '192.0.2.2' })).status).toBe(200);
    });
  });

  describe('the cost', () => {
    it('is taken as it is, one where there is none, and never in part', async () => {
      const service = await start({ defaults: { algorithm: 'sliding-window-log', limit: 10, window } });
      const remaining = async (cost?: number) => {
        const { status, json } = await service.check({ user_id: 'alice', ...(cost !== undefined && { cost }) });
        return [status, json.remaining];
      };
      expect(await remaining(7)).toEqual([200, 3]);
      expect(await remaining(4)).toEqual([429, 3]);
      expect(await remaining()).toEqual([200, 2]);
      expect(await remaining(2)).toEqual([200, 0]);
      expect(await remaining()).toEqual([429, 0]);
    });

    it('of 0 only looks', async () => {
      const service = await start({ defaults: { algorithm: 'token-bucket', limit: 1, window } });
      for (let i = 0; i < 3; i++) {
        const { status, json } = await service.check({ user_id: 'alice', cost: 0 });
        expect({ status, remaining: json.remaining }).toEqual({ status: 200, remaining: 1 });
      }
      expect((await service.check({ user_id: 'alice' })).status).toBe(200);
      expect((await service.check({ user_id: 'alice', cost: 0 })).json).toMatchObject({ allowed: true, remaining: 0 });
    });

    it('that no one can ever have has no time at which to come back', async () => {
      const service = await start({ defaults: { algorithm: 'token-bucket', limit: 5, window } });
      const { status, json, headers } = await service.check({ user_id: 'alice', cost: 6 });
      expect({ status, json }).toMatchObject({
        status: 429,
        json: { allowed: false, retry_after: null, remaining: 5 },
      });
      expect(headers['retry-after']).toBeUndefined();
    });
  });

  describe('the endpoint', () => {
    const spellings = [
      '/login',
      '/LOGIN',
      '/login/',
      '//login',
      '/%6cogin',
      '/./login',
      '/x/../login',
      '/login;a=1',
      '/login?next=%2F',
      'https://example.org/login',
      'http://example.org:8080/login?x',
    ];

    it('does not escape its rule by any spelling', async () => {
      const service = await start();
      await rule(service, { id: 'login', endpoint: '/login', limit: 1 });
      for (const [i, endpoint] of spellings.entries()) {
        const user_id = `user-${i}`;
        expect((await service.check({ user_id, endpoint: '/login' })).status).toBe(200);
        const { status, json } = await service.check({ user_id, endpoint });
        expect({ endpoint, status, rule: json.rule }).toEqual({ endpoint, status: 429, rule: 'login' });
      }
    });

    it('and the method choose the rule, the most specific one', async () => {
      const service = await start();
      await rule(service, { id: 'any-file', endpoint: '/files/*', limit: 10 });
      await rule(service, { id: 'one-file', endpoint: '/files/:name', methods: ['GET', 'PUT'], limit: 20 });
      await rule(service, { id: 'everything', endpoint: '*', limit: 30 });
      const of = async (method: string | undefined, endpoint: string | undefined) => {
        const about = { ...(method && { method }), ...(endpoint && { endpoint }) };
        return (await service.check({ user_id: 'alice', ...about })).json.rule;
      };
      expect(await of('GET', '/files/a')).toBe('one-file');
      expect(await of('head', '/files/a')).toBe('one-file');
      expect(await of('DELETE', '/files/a')).toBe('any-file');
      expect(await of(undefined, '/files/a')).toBe('any-file');
      expect(await of('GET', '/files/a/b')).toBe('any-file');
      expect(await of('GET', '/elsewhere')).toBe('everything');
      expect(await of('GET', undefined)).toBe('everything');
    });

    it('is not needed: then only rules for any endpoint apply', async () => {
      const service = await start({ defaults: { algorithm: 'fixed-window', limit: 7, window } });
      await rule(service, { id: 'root', endpoint: '/', limit: 1 });
      const { status, json } = await service.check({ user_id: 'alice' });
      expect({ status, json }).toMatchObject({ status: 200, json: { rule: null, policy: 'default', limit: 7 } });
      expect((await service.check({ user_id: 'alice', endpoint: '/' })).json.rule).toBe('root');
    });
  });

  it('goes by the rule of the tier, and by the rule for all where the tier has none', async () => {
    const service = await start();
    await rule(service, { id: 'all', endpoint: '/search', limit: 1 });
    await rule(service, { id: 'pro', endpoint: '/search', tier: 'pro', limit: 2 });
    const check = async (tier?: string) =>
      (await service.check({ user_id: 'alice', endpoint: '/search', ...(tier && { tier }) })).json;
    expect(await check('pro')).toMatchObject({ rule: 'pro', limit: 2, remaining: 1, tier: 'pro' });
    expect(await check()).toMatchObject({ rule: 'all', limit: 1, remaining: 0, tier: null });
    expect(await check('pro')).toMatchObject({ rule: 'pro', allowed: true, remaining: 0 });
    expect(await check('pro')).toMatchObject({ rule: 'pro', allowed: false });
    // No tier that has rules: as if none were given.
    expect(await check('gold')).toMatchObject({ rule: 'all', allowed: false, tier: null });
  });

  it('refuses nobody for a shadow rule', async () => {
    const service = await start();
    await rule(service, { id: 'shade', endpoint: '/shade', limit: 1, mode: 'shadow' });
    for (let i = 0; i < 3; i++) {
      const { status, json } = await service.check({ user_id: 'alice', endpoint: '/shade' });
      expect({ status, json }).toMatchObject({ status: 200, json: { rule: null, policy: 'default' } });
    }
    const { text } = await service.get('/metrics');
    expect(text).toContain('sluice_decisions_total{rule="shade",decision="shadow-refused",source="store"} 2');
  });

  it('is as without a rule that is off', async () => {
    const service = await start();
    await rule(service, { id: 'out', endpoint: '/out', limit: 0, mode: 'off' });
    expect((await service.check({ user_id: 'alice', endpoint: '/out' })).json).toMatchObject({
      allowed: true,
      rule: null,
    });
  });

  it('refuses everybody for a limit of 0', async () => {
    const service = await start();
    await rule(service, { id: 'shut', endpoint: '/shut', limit: 0 });
    const { status, json } = await service.check({ user_id: 'alice', endpoint: '/shut' });
    expect({ status, json }).toMatchObject({ status: 429, json: { rule: 'shut', limit: 0, remaining: 0 } });
  });

  it('lets everybody pass for a rule without a limit, and tells of none', async () => {
    const service = await start({ defaults: { algorithm: 'fixed-window', limit: 0, window } });
    await service.post('/ratelimit/rules', { id: 'free', endpoint: '/free', unlimited: true });
    const reply = await service.check({ user_id: 'alice', endpoint: '/free' });
    expect(reply.status).toBe(200);
    const nothing = {
      policy: null,
      limit: null,
      remaining: null,
      reset_at: null,
      retry_after: 0,
      delay_ms: 0,
      tier: null,
    };
    const about = { allowed: true, reason: 'unlimited', rule: 'free', key: 'user:alice', source: 'store' };
    expect(reply.json).toEqual({ ...about, ...nothing });
    expect(told(reply)).toEqual({});
  });

  it('lets whom the allow list names pass, and refuses whom the block list names, which comes first', async () => {
    const service = await start({ defaults: { algorithm: 'fixed-window', limit: 0, window } });
    for (const path of ['allow/user:root', 'allow/198.51.100.0%2F24', `allow/api-key:k-1`, 'block/203.0.113.0%2F24']) {
      expect((await service.put(`/ratelimit/lists/${path}`)).status, path).toBe(201);
    }
    for (const who of [{ user_id: 'root' }, { ip: '198.51.100.200' }, { api_key: 'k-1' }]) {
      const reply = await service.check(who);
      expect(reply.json).toMatchObject({ allowed: true, reason: 'allow-list', policy: null, limit: null });
      expect({ status: reply.status, told: told(reply) }).toEqual({ status: 200, told: {} });
    }
    for (const who of [{ ip: '203.0.113.255' }, { user_id: 'root', ip: '203.0.113.1' }]) {
      const reply = await service.check(who);
      expect({ status: reply.status, json: reply.json }).toMatchObject({
        status: 429,
        json: { allowed: false, reason: 'block-list', retry_after: null, reset_at: null },
      });
    }
    expect((await service.check({ ip: '203.0.114.0' })).json.reason).toBe('quota');
  });

  it('tells of the limit in the fields of a draft where that is set', async () => {
    const defaults = { algorithm: 'fixed-window', limit: 2, window } as const;
    const service = await start({ defaults, headers: ['draft-8'] });
    const { headers } = await service.check({ user_id: 'alice' });
    expect(headers['ratelimit-policy']).toBe(`"default";q=2;w=${year}`);
    expect(headers.ratelimit).toMatch(/^"default";r=1;t=\d+$/);
    expect(headers['x-ratelimit-limit']).toBeUndefined();
  });

  it('tells of none where header fields are off', async () => {
    const service = await start({ headers: false });
    const { headers } = await service.check({ user_id: 'alice' });
    expect(Object.keys(headers).filter((name) => /ratelimit|retry/.test(name))).toEqual([]);
  });

  it('calls a policy alike in the answer and in the header fields, also where a user has limits of his own', async () => {
    const service = await start({ headers: ['draft-8'] });
    await service.post('/users?user_id=alice&max_tokens=3&refill_rate=0.001');
    for (const user_id of ['alice', 'bob']) {
      const { json, headers } = await service.check({ user_id });
      expect(headers.ratelimit).toMatch(new RegExp(`^"${json.policy}";r=${json.remaining};`));
      expect(headers['ratelimit-policy']).toMatch(new RegExp(`^"${json.policy}";`));
    }
  });
});
