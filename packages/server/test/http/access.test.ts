import { type FastifyError, fastify } from 'fastify';
import { describe, expect, it } from 'vitest';
import { Access } from '../../src/http/access.ts';
import { answerError } from '../../src/http/failures.ts';
import type { Client } from '../support/client.ts';
import { exchange } from '../support/raw.ts';
import { onEmbedded, type TestService } from '../support/service.ts';

const admin = ['admin-0123456789abcdef', 'admin-fedcba9876543210'];
const check = ['check-0123456789abcdef', 'check-fedcba9876543210'];
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const basic = (name: string, password: string) => ({
  authorization: `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`,
});

/** A request to each endpoint, and the scope that it needs. */
const requests: readonly (readonly [scope: string, method: string, path: string, body?: object])[] = [
  ['check', 'POST', '/ratelimit/check', { user_id: 'a' }],
  ['check', 'POST', '/ratelimit/check/batch', { checks: [{ user_id: 'a' }] }],
  ['check', 'POST', '/ratelimit/report', { user_id: 'a', cost: 1 }],
  ['check', 'POST', '/ratelimit/simulate', { user_id: 'a' }],
  ['check', 'GET', '/check?user_id=a'],
  ['check', 'GET', '/ratelimit/status/a'],
  ['check', 'GET', '/ratelimit/auth?ip=x-test-ip'],
  ['check', 'POST', '/ratelimit/auth?ip=x-test-ip'],
  ['check', 'GET', '/ratelimit/auth/some/path'],
  ['check', 'GET', '/metrics'],
  ['admin', 'DELETE', '/ratelimit/status/a'],
  ['admin', 'POST', '/ratelimit/rules', { endpoint: '/a', limit: 1, window: '1m' }],
  ['admin', 'GET', '/ratelimit/rules'],
  ['admin', 'PUT', '/ratelimit/rules/b', { endpoint: '/b', limit: 1, window: '1m' }],
  ['admin', 'GET', '/ratelimit/rules/b'],
  ['admin', 'DELETE', '/ratelimit/rules/b'],
  ['admin', 'GET', '/ratelimit/audit'],
  ['admin', 'GET', '/ratelimit/lists/allow'],
  ['admin', 'PUT', '/ratelimit/lists/allow/192.0.2.0/28'],
  ['admin', 'GET', '/ratelimit/lists/allow/192.0.2.0%2F28'],
  ['admin', 'DELETE', '/ratelimit/lists/allow/192.0.2.0/28'],
  ['admin', 'POST', '/users?user_id=a&max_tokens=10&refill_rate=2'],
  ['admin', 'GET', '/users?user_id=a'],
  ['admin', 'GET', '/users'],
  ['admin', 'GET', '/ratelimit/analytics'],
  ['admin', 'GET', '/ratelimit/analytics/top'],
  ['admin', 'DELETE', '/users?user_id=a'],
];

const send = (
  client: Client,
  [, method, path, body]: (typeof requests)[number],
  headers: Record<string, string> = {},
) =>
  client.send(method, path, body, {
    'x-test-ip': '203.0.113.1',
    // Behind this path, the query is the client's, and names no field.
    ...(path.startsWith('/ratelimit/auth/') && { 'x-forwarded-for': '203.0.113.1' }),
    ...headers,
  });
const name = ([, method, path]: (typeof requests)[number]) => `${method} ${path}`;

onEmbedded('a service with tokens of both scopes', (start) => {
  const tokens = { adminTokens: admin, checkTokens: check };

  it('takes any admin token for everything', async () => {
    const service = await start(tokens);
    for (const token of admin) {
      for (const request of requests) {
        const { status } = await send(service, request, bearer(token));
        expect(status, name(request)).toBeLessThan(300);
      }
      const { rules } = (await service.get('/ratelimit/rules', bearer(token))).json;
      for (const { id } of rules) await service.delete(`/ratelimit/rules/${id}`, bearer(token));
    }
  });

  it('takes any check token for decisions, and for nothing else', async () => {
    const service = await start(tokens);
    await service.put('/ratelimit/rules/b', { endpoint: '/b', limit: 1, window: '1m' }, bearer(admin[0]!));
    for (const token of check) {
      for (const request of requests) {
        const reply = await send(service, request, bearer(token));
        if (request[0] === 'check') expect(reply.status, name(request)).toBeLessThan(300);
        else expect(reply.status, name(request)).toBe(403);
      }
    }
    expect((await service.get('/ratelimit/rules/b', bearer(admin[0]!))).status).toBe(200);
  });

  it('takes nothing without a token, or with one that is wrong', async () => {
    const service = await start(tokens);
    for (const request of requests) {
      for (const headers of [
        {},
        bearer('wrong-0123456789abcdef'),
        bearer(admin[0]!.slice(0, -1)),
        bearer(`${admin[0]!}0`),
        bearer(admin[0]!.toUpperCase()),
        { authorization: admin[0]! },
        { authorization: 'Bearer' },
        { authorization: 'Bearer ' },
        basic('admin', 'wrong-0123456789abcdef'),
        basic(admin[0]!, ''),
        basic('admin', `${admin[0]}:`),
        { authorization: `Basic ${Buffer.from(admin[0]!).toString('base64')}` },
        { authorization: `Basic ${admin[0]}` },
        { authorization: 'Basic' },
        { authorization: `Bearer ${admin[0]}, Bearer ${admin[1]}` },
        { authorization: `Bearer ${admin[0]} ${admin[1]}` },
        { authorization: `Token ${admin[0]}` },
        { 'x-api-key': admin[0]! },
        { cookie: `token=${admin[0]}` },
      ] as Record<string, string>[]) {
        const reply = await send(service, request, headers);
        expect(reply.status, `${name(request)} ${JSON.stringify(headers)}`).toBe(401);
        expect(reply.headers['www-authenticate']).toBe('Bearer realm="sluice"');
        expect(reply.headers['content-type']).toMatch(/^application\/problem\+json/);
        // What is not to be known is not told: neither what there is, nor which tokens there are.
        expect(reply.text).not.toMatch(/0123456789abcdef|fedcba9876543210/);
      }
    }
    // The scheme is spelled in any case.
    expect((await service.get('/ratelimit/rules', { authorization: `bEARER   ${admin[0]}` })).status).toBe(200);
    expect((await service.get('/ratelimit/rules', bearer(admin[0]!))).json.rules).toEqual([]);
  });

  it('takes a token as the password of HTTP Basic too, whatever the name is', async () => {
    const service = await start(tokens);
    for (const name of ['sluice', '', 'näme']) {
      expect((await service.get('/check?user_id=a', basic(name, check[1]!))).status, name).toBe(200);
      expect((await service.get('/ratelimit/rules', basic(name, admin[1]!))).status, name).toBe(200);
      expect((await service.get('/ratelimit/rules', basic(name, check[1]!))).status, name).toBe(403);
    }
    const gateway = { 'x-forwarded-for': '203.0.113.1', 'sec-fetch-site': 'cross-site', ...basic('sluice', check[0]!) };
    expect((await service.get('/ratelimit/auth', gateway)).status).toBe(200);
  });

  it('does not take for administration a password that a browser sends along for a page of another site', async () => {
    const service = await start(tokens);
    const path = '/users?user_id=eve&max_tokens=9&refill_rate=9';
    for (const headers of [{ origin: 'https://evil.example' }, { 'sec-fetch-site': 'cross-site' }] as Record<
      string,
      string
    >[]) {
      const all = { ...headers, ...basic('x', admin[0]!) };
      expect((await service.post(path, undefined, all)).status, JSON.stringify(headers)).toBe(403);
      expect((await service.post(path, undefined, { ...headers, ...bearer(admin[0]!) })).status).toBe(200);
    }
    expect((await service.post(path, undefined, { origin: service.url, ...basic('x', admin[0]!) })).status).toBe(200);
  });

  it('says before it reads the body, or a parameter, that the token is missing', async () => {
    const service = await start(tokens);
    expect((await service.post('/ratelimit/rules', '{')).status).toBe(401);
    expect((await service.post('/ratelimit/check', '{')).status).toBe(401);
    expect((await service.get('/ratelimit/rules?limit=x')).status).toBe(401);
    expect((await service.put('/ratelimit/rules/b', 'x'.repeat(2_000_000))).status).toBe(401);
  });

  it('answers whoever asks whether it is alive, and what it can do', async () => {
    const service = await start(tokens);
    for (const path of ['/livez', '/readyz', '/openapi.json', '/docs']) {
      expect((await service.get(path)).status, path).toBeLessThan(400);
    }
  });
});

/** What a gateway may pass on of a client's. */
const ofOthers = [
  bearer('wrong-0123456789abcdef'),
  bearer('eyJhbGciOiJIUzI1NiJ9.e30.c2ln'),
  basic('alice', 'her password'),
  { authorization: 'Digest username="alice"' },
  { authorization: 'nonsense' },
];

onEmbedded('a service with tokens of one scope', (start) => {
  it('that is administration answers checks of anybody, whatever else Authorization says', async () => {
    const service = await start({ adminTokens: admin });
    for (const request of requests) {
      expect((await send(service, request)).status < 300, name(request)).toBe(request[0] === 'check');
      for (const headers of ofOthers) {
        const { status } = await send(service, request, headers);
        expect(status, `${name(request)} ${headers.authorization}`).toSatisfy((is) =>
          request[0] === 'check' ? is < 300 : is === 401,
        );
      }
      expect((await send(service, request, bearer(admin[1]!))).status, name(request)).toBeLessThan(300);
    }
  });

  it('that is checks leaves administration to this machine', async () => {
    const service = await start({ checkTokens: check });
    await service.check({ user_id: 'a' }, bearer(check[0]!));
    for (const request of requests) {
      expect((await send(service, request)).status, name(request)).toSatisfy((status) =>
        request[0] === 'check' ? status === 401 : status < 300,
      );
    }
    for (const headers of ofOthers) {
      expect((await service.get('/ratelimit/rules', headers)).status, headers.authorization).toBe(200);
      expect((await service.check({ user_id: 'a' }, headers)).status, headers.authorization).toBe(401);
      const { status } = await service.get('/ratelimit/rules', { ...headers, 'x-forwarded-for': '203.0.113.1' });
      expect(status, headers.authorization).toBe(403);
    }
    await service.put('/ratelimit/rules/b', { endpoint: '/b', limit: 1, window: '1m' });
    for (const request of requests) {
      const expected = request[0] === 'check' ? [200] : [403];
      expect(expected, name(request)).toContain((await send(service, request, bearer(check[0]!))).status);
    }
  });
});

onEmbedded('administration without a token', (start) => {
  const body = { endpoint: '/a', limit: 1, window: '1m' };
  const attempts = async (service: TestService, headers: Record<string, string>) => {
    const read = await service.get('/ratelimit/rules', headers);
    const written = await service.put('/ratelimit/rules/a', body, headers);
    const user = await service.post('/users?user_id=eve&max_tokens=9&refill_rate=9', undefined, headers);
    return [read.status, written.status, user.status];
  };

  it('is for programs of this machine, and for pages of the service itself', async () => {
    const service = await start();
    const host = new URL(service.url).host;
    const port = host.split(':')[1]!;
    for (const headers of [
      {},
      { origin: service.url },
      { origin: service.url, 'sec-fetch-site': 'same-origin' },
      { 'sec-fetch-site': 'none' },
      { host: `localhost:${port}` },
      { host: `LOCALHOST:${port}`, origin: `http://LOCALHOST:${port}` },
      { host: `[::1]:${port}` },
      { host: '127.0.0.1' },
    ] as Record<string, string>[]) {
      for (const status of await attempts(service, headers)) expect(status, JSON.stringify(headers)).toBeLessThan(300);
    }
  });

  it('is not for what a proxy passes on, nor for pages of other sites, by whatever name they call the service', async () => {
    const service = await start();
    const { port } = new URL(service.url);
    for (const headers of [
      { 'x-forwarded-for': '127.0.0.1' },
      { 'x-forwarded-for': '' },
      { forwarded: 'for=127.0.0.1' },
      { 'x-real-ip': '127.0.0.1' },
      { via: '1.1 proxy' },
      { 'x-forwarded-proto': 'https' },
      { 'X-Forwarded-Host': 'localhost' },
      { 'x-forwarded-anything': '' },
      { 'cf-connecting-ip': '127.0.0.1' },
      { 'true-client-ip': '127.0.0.1' },
      { 'x-client-ip': '127.0.0.1' },
      { 'x-envoy-external-address': '127.0.0.1' },
      { origin: 'https://evil.example' },
      { origin: 'null' },
      { origin: '' },
      { origin: 'http://127.0.0.1:1' },
      { origin: `https://127.0.0.1:${port}` },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
      // Its name was made to resolve to this machine: DNS rebinding.
      { host: `evil.example:${port}`, origin: `http://evil.example:${port}` },
      { host: `evil.example:${port}` },
      { host: `127.0.0.1.evil.example:${port}` },
      { host: `localhost.evil.example:${port}` },
      { host: `evil-localhost:${port}` },
      { host: `192.0.2.1:${port}` },
    ] as Record<string, string>[]) {
      expect(await attempts(service, headers), JSON.stringify(headers)).toEqual([403, 403, 403]);
    }
    const { json } = await service.get('/ratelimit/rules', { 'x-forwarded-for': '203.0.113.7' });
    expect(json.detail).toContain('--admin-token-file');
    expect((await service.get('/ratelimit/rules')).json.rules).toEqual([]);
    expect((await service.get('/users')).json.users).toEqual([]);
  });

  it('is not for HTTP/1.0, which nginx speaks where it is not told otherwise', async () => {
    const service = await start();
    const body = JSON.stringify({ endpoint: '/a', limit: 1, window: '1m' });
    const fields = `Host: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`;
    const put = await exchange(service.url, `PUT /ratelimit/rules/a HTTP/1.0\r\n${fields}${body}`);
    expect(put).toMatch(/^HTTP\/1\.[01] 403 /);
    expect(put).toContain('HTTP/1.0');
    expect((await service.get('/ratelimit/rules')).json.rules).toEqual([]);
    const check = await exchange(service.url, 'GET /check?user_id=a HTTP/1.0\r\n\r\n');
    expect(check).toMatch(/^HTTP\/1\.[01] 200 /);
  });

  it('lets checks pass that come through a proxy', async () => {
    const service = await start();
    expect((await service.check({ user_id: 'a' }, { 'x-forwarded-for': '203.0.113.7' })).status).toBe(200);
  });
});

describe('administration from another machine', () => {
  /** What a route of that scope answers to a request from that address. */
  async function statusOf(adminTokens: readonly string[], headers: Record<string, string>, remoteAddress: string) {
    const access = new Access({ admin: adminTokens, check: [] });
    const app = fastify();
    app.setErrorHandler((error: FastifyError, _request, reply) => answerError(error, reply));
    app.get('/', { onRequest: access.requires('admin') }, async () => 'done');
    try {
      return (await app.inject({ url: '/', headers: { host: 'localhost:8080', ...headers }, remoteAddress }))
        .statusCode;
    } finally {
      await app.close();
    }
  }

  it('is refused, and by an admin token allowed', async () => {
    for (const address of ['203.0.113.9', '::ffff:203.0.113.9', '2001:db8::9', '192.168.0.2']) {
      expect(await statusOf([], {}, address), address).toBe(403);
      expect(await statusOf(admin, {}, address), address).toBe(401);
      expect(await statusOf(admin, bearer(admin[0]!), address), address).toBe(200);
    }
    for (const address of ['127.0.0.1', '127.8.9.10', '::1', '::ffff:127.0.0.1']) {
      expect(await statusOf([], {}, address), address).toBe(200);
    }
  });
});
