import { createHash } from 'node:crypto';
import { connect } from 'node:net';
import { expect, it } from 'vitest';
import { onBothBackends, onEmbedded } from '../support/service.ts';

const defaults = { algorithm: 'fixed-window', limit: 2, window: '365d' } as const;
const login = { id: 'login', endpoint: '/login', methods: ['POST'], limit: 1, window: '365d' };
const address = { 'x-forwarded-for': '192.0.2.1' };

onBothBackends('/ratelimit/auth', (start) => {
  it('goes by what nginx sends, and refuses with the status that nginx passes on', async () => {
    const service = await start({ defaults });
    await service.post('/ratelimit/rules', login);
    const ask = () =>
      service.get('/ratelimit/auth?refused=403', {
        ...address,
        'x-original-uri': '/login?next=%2F',
        'x-original-method': 'POST',
      });
    const passed = await ask();
    expect({ status: passed.status, json: passed.json }).toMatchObject({
      status: 200,
      json: { allowed: true, rule: 'login', key: 'ip:192.0.2.1' },
    });
    const refused = await ask();
    expect({ status: refused.status, json: refused.json }).toMatchObject({
      status: 403,
      json: { allowed: false, reason: 'quota', rule: 'login' },
    });
    expect(refused.headers).toMatchObject({
      'x-ratelimit-limit': '1',
      'x-ratelimit-remaining': '0',
      'retry-after': String(refused.json.retry_after),
      'cache-control': 'no-store',
    });
  });

  it('goes by what Traefik sends, and refuses with 429', async () => {
    const service = await start({ defaults });
    await service.post('/ratelimit/rules', login);
    const ask = () =>
      service.get('/ratelimit/auth', {
        ...address,
        'x-forwarded-uri': '//LOGIN',
        'x-forwarded-method': 'POST',
        'x-forwarded-proto': 'https',
        'x-forwarded-host': 'example.org',
      });
    expect((await ask()).json).toMatchObject({ allowed: true, rule: 'login' });
    expect((await ask()).status).toBe(429);
  });

  it('goes by what Envoy sends: the path behind its own, with the method of the request', async () => {
    const service = await start({ defaults });
    await service.post('/ratelimit/rules', login);
    const ask = (method: string, path: string, more = {}) =>
      service.send(method, `/ratelimit/auth${path}`, undefined, { ...address, ...more });
    expect((await ask('POST', '/login?ip=x-fake&refused=403')).json).toMatchObject({ allowed: true, rule: 'login' });
    expect((await ask('POST', '/login?ip=x-fake', { 'x-fake': '192.0.2.9' })).status).toBe(429);
    // Fields of the client's are not asked.
    const more = { 'x-original-uri': '/free', 'x-original-method': 'GET', 'x-forwarded-uri': '/free' };
    expect((await ask('POST', '/login', more)).status).toBe(429);
    for (const method of ['GET', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'HEAD']) {
      const reply = await ask(method, '/login', { 'x-forwarded-for': `198.51.100.${method.length}` });
      expect({ method, status: reply.status }).toEqual({ method, status: 200 });
    }
    expect((await ask('GET', '/')).status).toBe(200);
  });

  it('knows the API key, and the user and the tier where the gateway is set to tell them', async () => {
    const service = await start({ defaults });
    await service.post('/ratelimit/rules', { ...login, id: 'pro', tier: 'pro', limit: 7 });
    const headers = {
      ...address,
      'x-original-uri': '/login',
      'x-original-method': 'POST',
      'x-user': 'alice',
      'x-tier': 'pro',
    };
    expect((await service.get('/ratelimit/auth', headers)).json).toMatchObject({ key: 'ip:192.0.2.1', tier: null });
    const set = '/ratelimit/auth?user=X-User&tier=X-Tier&ip=X-Address&api_key=X-Key';
    const told = await service.get(set, { ...headers, 'x-address': '10.0.0.1', 'x-api-key': 'k' });
    expect(told.json).toMatchObject({ key: 'user:alice', tier: 'pro', rule: 'pro', remaining: 6 });
    const key = createHash('sha256').update('k').digest('base64url').slice(0, 22);
    const keyed = await service.get(set, { ...headers, 'x-address': '10.0.0.1', 'x-key': 'k' });
    expect(keyed.json.key).toBe(`api-key:#${key}`);
    expect((await service.get('/ratelimit/auth', { ...headers, 'x-api-key': 'k' })).json.key).toBe(`api-key:#${key}`);
    const anonymous = await service.get('/ratelimit/auth?user=x-user', { ...address, 'x-user': '' });
    expect(anonymous.json.key).toBe('ip:192.0.2.1');
  });

  it('takes the last of several addresses, which the gateway has added', async () => {
    const service = await start({ defaults });
    const fields = ['192.0.2.1', '198.51.100.7, 192.0.2.1', 'nonsense,192.0.2.1', ['1.1.1.1', '192.0.2.1']];
    for (const field of fields) {
      const { json } = await service.get('/ratelimit/auth', { 'x-forwarded-for': field });
      expect(json.key, String(field)).toBe('ip:192.0.2.1');
    }
  });

  it('refuses with 403 whom the block list names', async () => {
    const service = await start({ defaults });
    await service.put('/ratelimit/lists/block/192.0.2.0%2F24');
    const { status, json, headers } = await service.get('/ratelimit/auth', address);
    expect({ status, reason: json.reason }).toEqual({ status: 403, reason: 'block-list' });
    expect(headers['retry-after']).toBeUndefined();
  });

  it('reads no body, whatever it is', async () => {
    const service = await start({ defaults: { ...defaults, limit: 10 } });
    const bodies: readonly [string, string][] = [
      ['application/json', '{"user_id":"mallory"'],
      ['application/json', '{"ip":"198.51.100.1"}'],
      ['text/strange', 'x'.repeat(100_000)],
      ['multipart/form-data', ''],
    ];
    for (const path of ['/ratelimit/auth', '/ratelimit/auth/path']) {
      for (const [type, body] of bodies) {
        const { status, json } = await service.post(path, body, { ...address, 'content-type': type });
        expect({ type, status, key: json.key }).toEqual({ type, status: 200, key: 'ip:192.0.2.1' });
      }
    }
  });

  it('does not choose between a field of the gateway and one that may be the client’s', async () => {
    const service = await start({ defaults });
    await service.post('/ratelimit/rules', login);
    const uris = { 'x-forwarded-uri': '/login', 'x-original-uri': '/free' };
    const methods = { 'x-forwarded-method': 'POST', 'x-original-method': 'GET' };
    for (const [headers, parameter] of [
      [uris, 'x-forwarded-uri'],
      [{ 'x-forwarded-uri': '/login', ...methods }, 'x-forwarded-method'],
    ] as const) {
      const { status, json } = await service.get('/ratelimit/auth', { ...address, ...headers });
      expect({ status, parameter: json.errors[0].parameter }).toEqual({ status: 400, parameter });
    }
    const set = '/ratelimit/auth?uri=X-Forwarded-Uri&method=X-Forwarded-Method';
    const { json } = await service.get(set, { ...address, ...uris, ...methods });
    expect(json).toMatchObject({ allowed: true, rule: 'login' });
  });

  it('says which field is missing or wrong', async () => {
    const service = await start({ defaults });
    for (const [path, headers, parameter] of [
      ['/ratelimit/auth', {}, 'x-forwarded-for'],
      ['/ratelimit/auth', { 'x-forwarded-for': '' }, 'x-forwarded-for'],
      ['/ratelimit/auth', { 'x-forwarded-for': 'unknown' }, 'x-forwarded-for'],
      ['/ratelimit/auth', { 'x-forwarded-for': '192.0.2.1:80' }, 'x-forwarded-for'],
      ['/ratelimit/auth/path', {}, 'x-forwarded-for'],
      ['/ratelimit/auth?ip=X-Client', address, 'X-Client'],
      ['/ratelimit/auth?user=x-user', { ...address, 'x-user': 'u'.repeat(257) }, 'x-user'],
      ['/ratelimit/auth?user=x-user', { ...address, 'x-user': `#${'a'.repeat(22)}` }, 'x-user'],
      ['/ratelimit/auth?tier=x-tier', { ...address, 'x-tier': 't'.repeat(49) }, 'x-tier'],
      ['/ratelimit/auth?refused=500', address, 'refused'],
      ['/ratelimit/auth?ip=a%20b', address, 'ip'],
      ['/ratelimit/auth?header=x', address, 'header'],
    ] as const) {
      const { status, json } = await service.get(path, headers);
      expect({ path, status, parameter: json.errors?.[0].parameter }).toEqual({ path, status: 400, parameter });
    }
  });
});

onEmbedded('/ratelimit/auth over a bare connection', (start) => {
  it('answers a request that announces a body before the body comes', async () => {
    const service = await start({ defaults });
    const { port } = new URL(service.url);
    const socket = connect(Number(port), '127.0.0.1');
    const answer = new Promise<string>((resolve, reject) => {
      let text = '';
      socket.setEncoding('utf8').on('data', (part) => {
        text += part;
        if (text.includes('\r\n\r\n')) resolve(text);
      });
      socket.once('error', reject);
    });
    socket.write('POST /ratelimit/auth HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.1\r\n');
    socket.write('Content-Type: text/plain\r\nContent-Length: 1000\r\n\r\n');
    expect(await answer).toMatch(/^HTTP\/1\.1 200 /);
    socket.destroy();
  });
});
