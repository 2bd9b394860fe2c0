import { expect, it } from 'vitest';
import type { HeaderFields } from '../support/client.ts';
import { onBothBackends } from '../support/service.ts';

/** A request, and what it has wrong: a pointer into the body begins with a slash, a parameter does not. */
type Case = readonly [request: string, body: unknown, place: string, says?: RegExp, headers?: HeaderFields];

const check = 'POST /ratelimit/check';
const alice = { user_id: 'alice' };
const of = (more: object) => ({ ...alice, ...more });
const nobody = /names nobody/;
const rules = 'POST /ratelimit/rules';
const rule = (more: object) => ({ id: 'r', endpoint: '/r', limit: 1, window: '1m', ...more });

const checks: readonly Case[] = [
  [check, '', ''],
  [check, '{', '', /no JSON/],
  [check, '{"user_id":"alice"', '', /no JSON/],
  [check, '{"user_id":"alice",}', '', /no JSON/],
  [check, "{'user_id':'alice'}", '', /no JSON/],
  [check, '\u0000', '', /no JSON/],
  [check, 'null', '', /object/],
  [check, '[]', '', /object/],
  [check, '"alice"', '', /object/],
  [check, '7', '', /object/],
  [check, {}, '', nobody],
  [check, { endpoint: '/login' }, '', nobody],
  [check, { user_id: '' }, '/user_id'],
  [check, { user_id: 7 }, '/user_id', /string/],
  [check, { user_id: null }, '/user_id', /string/],
  [check, { user_id: ['alice'] }, '/user_id', /string/],
  [check, { user_id: 'u'.repeat(257) }, '/user_id', /256/],
  [check, { user_id: 'a\nb' }, '/user_id', /control/],
  [check, { user_id: 'a\u0000b' }, '/user_id', /control/],
  [check, '{"user_id":"\\ud800"}', '/user_id'],
  [check, { api_key: '' }, '/api_key'],
  [check, { api_key: 'k'.repeat(4_097) }, '/api_key', /4096/],
  [check, { api_key: 'a\tb' }, '/api_key', /control/],
  [check, { ip: '' }, '/ip'],
  [check, { ip: '1.2.3' }, '/ip', /address/],
  [check, { ip: '1.2.3.256' }, '/ip', /address/],
  [check, { ip: '01.2.3.4' }, '/ip', /address/],
  [check, { ip: '0x7f.0.0.1' }, '/ip', /address/],
  [check, { ip: '1.2.3.4:80' }, '/ip', /address/],
  [check, { ip: '1.2.3.0/24' }, '/ip', /address/],
  [check, { ip: '[::1]' }, '/ip', /address/],
  [check, { ip: 'fe80::1%eth0' }, '/ip', /address/],
  [check, { ip: ':::' }, '/ip', /address/],
  [check, { ip: 'localhost' }, '/ip', /address/],
  [check, of({ cost: -1 }), '/cost', />= 0/],
  [check, of({ cost: 0.5 }), '/cost', /integer/],
  [check, of({ cost: '1' }), '/cost', /integer/],
  [check, of({ cost: null }), '/cost', /integer/],
  [check, of({ cost: 1_000_000_001 }), '/cost', /<= 1000000000/],
  [check, '{"user_id":"alice","cost":1e400}', '/cost'],
  [check, of({ endpoint: '' }), '/endpoint'],
  [check, of({ endpoint: 'login' }), '/endpoint', /request target/],
  [check, of({ endpoint: 'ftp://example.org/' }), '/endpoint', /request target/],
  [check, of({ endpoint: 'https://' }), '/endpoint', /request target/],
  [check, of({ endpoint: `/${'x'.repeat(8_192)}` }), '/endpoint', /8192/],
  [check, of({ method: 'GET /' }), '/method'],
  [check, of({ method: '' }), '/method'],
  [check, of({ tier: '' }), '/tier'],
  [check, of({ tier: 't'.repeat(49) }), '/tier', /48/],
  [check, of({ tier: 1 }), '/tier', /string/],
  [check, of({ colour: 'red' }), '/colour', /no such field/],
  [check, of({ 'a/b~c': 1 }), '/a~1b~0c', /no such field/],
  [check, '{"user_id":"alice","__proto__":{"cost":0}}', ''],
  [check, of({ userId: 'alice' }), '/userId', /user_id/],
  [check, { user_id: ' alice' }, '/user_id', /space/],
  [check, { user_id: 'alice\u00a0' }, '/user_id', /space/],
  [check, { user_id: 'al\ufffdice' }, '/user_id', /U\+FFFD/],
  [check, { user_id: `#${'a'.repeat(22)}` }, '/user_id', /digest/],
  [check, { user_id: '😀'.repeat(257) }, '/user_id', /256/],
  ['POST /ratelimit/check?user_id=alice', alice, 'user_id', /no such field/],
  ['POST /ratelimit/check/batch?x=1', { checks: [alice] }, 'x', /no such field/],
  ['GET /livez?x=1', undefined, 'x', /no such field/],
  ['GET /openapi.json?x=1', undefined, 'x', /no such field/],
  ['GET /ratelimit/status/alice?x=1', undefined, 'x', /no such field/],
  ['GET /ratelimit/auth?x=1', undefined, 'x', /no such field/, { 'x-forwarded-for': '192.0.2.1' }],
  ['GET /check?user_id=%20a', undefined, 'user_id', /space/],
  ['GET /check?user_id=a%EF%BF%BD', undefined, 'user_id', /U\+FFFD/],
  [`GET /check?user_id=%23${'_'.repeat(22)}`, undefined, 'user_id', /digest/],
  [`GET /check?user_id=${encodeURIComponent('😀'.repeat(257))}`, undefined, 'user_id', /256/],
  ['GET /ratelimit/status/a%20', undefined, 'user_id', /space/],
  ['GET /ratelimit/status/%zz', undefined, 'path', /escape/],
  ['POST /ratelimit/simulate', { ip: 'here' }, '/ip', /address/],
  ['POST /ratelimit/simulate', {}, '', nobody],
  ['POST /ratelimit/report', alice, '/cost', /missing/],
  ['POST /ratelimit/report', of({ cost: 'much' }), '/cost', /integer/],
  ['POST /ratelimit/report', { cost: 1 }, '', nobody],
  ['POST /ratelimit/check/batch', {}, '/checks', /missing/],
  ['POST /ratelimit/check/batch', { checks: alice }, '/checks', /array/],
  ['POST /ratelimit/check/batch', { checks: [alice, 'bob'] }, '/checks/1', /object/],
  ['POST /ratelimit/check/batch', { checks: [alice, of({ cost: 1.5 })] }, '/checks/1/cost', /integer/],
  ['POST /ratelimit/check/batch', { checks: [alice, of({ endpoint: 'x' })] }, '/checks/1/endpoint'],
  ['POST /ratelimit/check/batch', { checks: [alice], more: 1 }, '/more', /no such field/],
  ['GET /check', undefined, 'user_id', /missing/],
  ['GET /check?user_id=', undefined, 'user_id'],
  ['GET /check?user_id=a&user_id=b', undefined, 'user_id'],
  ['GET /check?user_id=a%00', undefined, 'user_id', /control/],
  ['GET /check?user_id=a&cost=2', undefined, 'cost', /no such field/],
  ['GET /ratelimit/status/a%07', undefined, 'user_id', /control/],
  [`GET /ratelimit/status/${'u'.repeat(257)}`, undefined, 'user_id', /256/],
];

const administration: readonly Case[] = [
  ['POST /users', undefined, 'user_id', /missing/],
  ['POST /users?user_id=alice', undefined, 'max_tokens'],
  ['POST /users?user_id=alice&max_tokens=10', undefined, 'refill_rate', /missing/],
  ['POST /users?user_id=alice&leak_rate=10', undefined, 'capacity', /missing/],
  ['POST /users?user_id=alice&max_tokens=10&leak_rate=2', undefined, 'max_tokens'],
  ['POST /users?user_id=alice&max_tokens=0&refill_rate=2', undefined, 'max_tokens'],
  ['POST /users?user_id=alice&max_tokens=1.5&refill_rate=2', undefined, 'max_tokens'],
  ['POST /users?user_id=alice&max_tokens=1e3&refill_rate=2', undefined, 'max_tokens'],
  ['POST /users?user_id=alice&max_tokens=10&refill_rate=-1', undefined, 'refill_rate'],
  ['POST /users?user_id=alice&max_tokens=10&refill_rate=0', undefined, 'refill_rate'],
  ['POST /users?user_id=alice&max_tokens=10&refill_rate=0.0000001', undefined, 'refill_rate'],
  ['POST /users?user_id=alice&max_tokens=10&refill_rate=NaN', undefined, 'refill_rate'],
  ['POST /users?user_id=alice&max_tokens=10&refill_rate=2&refill_rate=3', undefined, 'refill_rate'],
  ['POST /users?user_id=alice&max_tokens=10&refill_rate=2&x=1', undefined, 'x', /no such field/],
  ['POST /users?user_id=a%0Ab&max_tokens=10&refill_rate=2', undefined, 'user_id', /control/],
  [`POST /users?user_id=%23${'-'.repeat(22)}&max_tokens=10&refill_rate=2`, undefined, 'user_id', /digest/],
  ['POST /users?user_id=a%20&max_tokens=10&refill_rate=2', undefined, 'user_id', /space/],
  ['POST /ratelimit/rules/recover?x=1', { from: 'service' }, 'x', /no such field/],
  ['GET /users?limit=0', undefined, 'limit'],
  ['GET /users?limit=1001', undefined, 'limit'],
  ['GET /users?limit=ten', undefined, 'limit', /integer/],
  ['GET /users?cursor=nonsense', undefined, 'cursor'],
  ['GET /users?user_id=a&cursor=x', undefined, 'cursor'],
  ['DELETE /users', undefined, 'user_id', /missing/],
  [rules, '{"id":', '', /no JSON/],
  [rules, {}, '/endpoint', /missing/],
  [rules, rule({ id: 'a b' }), '/id'],
  [rules, rule({ id: 'default' }), '/id', /another policy/],
  [rules, rule({ endpoint: 'login' }), '/endpoint', /slash/],
  [rules, rule({ limit: 1.5 }), '/limit', /integer/],
  [rules, rule({ limit: -1 }), '/limit'],
  [rules, rule({ window: '1 fortnight' }), '/window'],
  [rules, rule({ window: '0s' }), '/window'],
  [rules, rule({ window: 60 }), '/window', /string/],
  [rules, rule({ algorithm: 'token_bucket' }), '/algorithm', /token-bucket/],
  [rules, rule({ burst: 0 }), '/burst'],
  [rules, rule({ burst: 5, algorithm: 'fixed-window' }), '/burst'],
  [rules, rule({ methods: ['G ET'] }), '/methods/0'],
  [rules, rule({ mode: 'on' }), '/mode', /shadow/],
  [rules, rule({ lists: { allow: ['10.0.0.0/33'] } }), '/lists/allow/0'],
  [rules, rule({ unlimited: true }), '/limit'],
  ['PUT /ratelimit/lists/block/10.0.0.0%2F33', undefined, 'entry'],
  ['PUT /ratelimit/lists/block/nonsense', undefined, 'entry'],
  ['PUT /ratelimit/lists/grey/10.0.0.1', undefined, 'list', /allow, block/],
  ['PUT /ratelimit/lists/block/10.0.0.1', { expires_at: 'tomorrow' }, '/expires_at', /RFC 3339/],
  ['PUT /ratelimit/lists/block/10.0.0.1', { expires_at: '2026-02-30T00:00:00Z' }, '/expires_at', /RFC 3339/],
  ['PUT /ratelimit/lists/block/10.0.0.1', { expires_at: '2020-01-01T00:00:00Z' }, '/expires_at', /past/],
  ['GET /ratelimit/analytics?by=user', undefined, 'by', /endpoint/],
  ['GET /ratelimit/analytics?from=yesterday', undefined, 'from', /RFC 3339/],
  ['GET /ratelimit/analytics?to=2026-13-01T00:00:00Z', undefined, 'to', /RFC 3339/],
  ['GET /ratelimit/analytics?from=2100-01-01T00:00:00Z', undefined, 'from', /before/],
  ['GET /ratelimit/analytics?from=2020-01-01T00:00:00Z&step=1h', undefined, 'from', /30 days/],
  ['GET /ratelimit/analytics?step=90s', undefined, 'step', /whole minutes/],
  ['GET /ratelimit/analytics?step=soon', undefined, 'step'],
  ['GET /ratelimit/analytics/top?by=users', undefined, 'by', /requests/],
  ['GET /ratelimit/analytics/top?n=0', undefined, 'n'],
  ['GET /ratelimit/analytics/top?n=101', undefined, 'n'],
  ['GET /ratelimit/analytics/top?window=2h', undefined, 'window', /1h/],
  ['GET /ratelimit/analytics/top?window=x', undefined, 'window'],
  ['GET /ratelimit/audit?limit=0', undefined, 'limit'],
];

onBothBackends('Bad input', (start) => {
  for (const [name, cases] of [
    ['of a check', checks],
    ['of the administration', administration],
  ] as const) {
    it(`${name} is answered with 400 and problem details that name it`, async () => {
      const service = await start();
      for (const [request, body, place, says, headers] of cases) {
        const [method, path] = request.split(' ') as [string, string];
        const sent = typeof body === 'string' ? { body } : { body: body ?? undefined };
        const reply = await service.send(method, path, sent.body, headers);
        const what = `${request} ${typeof body === 'string' ? body : JSON.stringify(body)}: ${reply.text}`.slice(
          0,
          500,
        );
        expect(reply.status, what).toBe(400);
        expect(reply.headers['content-type'], what).toMatch(/^application\/problem\+json/);
        const { type, title, status, detail, errors } = reply.json;
        expect({ type, status }, what).toEqual({ type: 'about:blank', status: 400 });
        expect(title, what).toMatch(/^Invalid/);
        const [first] = errors;
        expect(first.pointer ?? first.parameter, what).toBe(place);
        expect('pointer' in first, what).toBe(place === '' || place.startsWith('/'));
        expect(detail, what).toMatch(says ?? /./);
        expect(reply.text, what).not.toMatch(/\bat .*\.[jt]s|node_modules|Error:/);
      }
      // None of it has done anything.
      expect((await service.get('/users')).json).toEqual({ users: [] });
      expect((await service.get('/ratelimit/rules')).json).toMatchObject({ version: 0, rules: [] });
      expect((await service.get('/metrics')).text).not.toMatch(/^sluice_decisions_total\{/m);
    });
  }

  it('is no id of 256 characters, however many bytes they take', async () => {
    const service = await start();
    for (const id of ['u'.repeat(256), '😀'.repeat(256), 'a b', `#${'a'.repeat(21)}`, `x#${'a'.repeat(22)}`]) {
      const one = await service.check({ user_id: id });
      const other = await service.get(`/check?user_id=${encodeURIComponent(id)}`);
      const state = await service.get(`/ratelimit/status/${encodeURIComponent(id)}`);
      expect([one.status, other.status, state.status, state.json.user_id], id).toEqual([200, 200, 200, id]);
      expect(other.json).toMatchObject({ key: one.json.key, remaining: 998 });
    }
  });

  it('that is no JSON at all, too long, or for no endpoint has a status of its own', async () => {
    const service = await start({ bodyLimit: 1_024 });
    for (const [method, path, body, headers, status] of [
      ['POST', '/ratelimit/check', 'user_id=alice', { 'content-type': 'application/x-www-form-urlencoded' }, 415],
      ['POST', '/ratelimit/check', 'alice', { 'content-type': 'text/plain' }, 415],
      ['POST', '/ratelimit/check', { user_id: 'a', endpoint: `/${'x'.repeat(1_100)}` }, {}, 413],
      ['GET', '/ratelimit/checks', undefined, {}, 404],
      ['GET', '/ratelimit/check', undefined, {}, 404],
      ['DELETE', '/ratelimit/check', undefined, {}, 404],
    ] as const) {
      const reply = await service.send(method, path, body, headers);
      expect({ method, path, status: reply.status }).toEqual({ method, path, status });
      expect(reply.headers['content-type']).toMatch(/^application\/problem\+json/);
      expect(reply.json).toMatchObject({ status });
    }
  });
});
