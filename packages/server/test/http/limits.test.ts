import { request } from 'node:http';
import { expect, it } from 'vitest';
import { onEmbedded } from '../support/service.ts';

const rule = { endpoint: '/a', limit: 1, window: '1m' };
const problem = /^application\/problem\+json/;

onEmbedded('the limits of the service itself', (start) => {
  it('refuse administration of an address beyond its own limit, with an answer that is no decision', async () => {
    const service = await start({ adminLimit: '3/1h' });
    for (let i = 0; i < 3; i++) expect((await service.get('/ratelimit/rules')).status).toBe(200);
    for (const reply of [
      await service.get('/ratelimit/rules'),
      await service.put('/ratelimit/rules/a', rule),
      await service.get('/users'),
      await service.get('/ratelimit/analytics'),
    ]) {
      expect(reply.status).toBe(429);
      expect(reply.headers['content-type']).toMatch(problem);
      expect(reply.json).toMatchObject({ status: 429, title: expect.any(String), detail: expect.any(String) });
      expect(reply.json).not.toHaveProperty('allowed');
      expect(Number(reply.headers['retry-after'])).toBeGreaterThan(0);
      // Those are of decisions.
      expect(Object.keys(reply.headers).filter((name) => name.startsWith('x-ratelimit'))).toEqual([]);
    }
    // Who asks for decisions, and who watches the service, is not held up by it.
    expect((await service.check({ user_id: 'a' })).status).toBe(200);
    expect((await service.get('/metrics')).text).not.toContain('rule="administration"');
    expect((await service.get('/livez')).status).toBe(200);
  });

  it('count attempts with wrong tokens, so that none is guessed', async () => {
    const service = await start({ adminLimit: '5/1h', adminTokens: ['0123456789abcdef'] });
    const guess = (i: number) => service.get('/ratelimit/rules', { authorization: `Bearer guess-${i}` });
    const statuses = [];
    for (let i = 0; i < 8; i++) statuses.push((await guess(i)).status);
    expect(statuses).toEqual([401, 401, 401, 401, 401, 429, 429, 429]);
    // By a header field, nobody becomes another.
    expect((await service.get('/ratelimit/rules', { 'x-forwarded-for': '203.0.113.9' })).status).toBe(429);
  });

  it('refuse checks of an address beyond its own limit, with a 429 that no decision looks like', async () => {
    const service = await start({
      checkLimit: '2/1h',
      defaults: { algorithm: 'fixed-window', limit: 1, window: '365d' },
    });
    expect((await service.check({ user_id: 'a' })).status).toBe(200);
    const refused = await service.check({ user_id: 'a' });
    expect([refused.status, refused.json.allowed]).toEqual([429, false]);
    expect(refused.headers['content-type']).toMatch(/^application\/json/);
    const limited = await service.check({ user_id: 'b' });
    expect(limited.status).toBe(429);
    expect(limited.headers['content-type']).toMatch(problem);
    expect(limited.json).not.toHaveProperty('allowed');
    expect((await service.get('/ratelimit/rules')).status).toBe(200);
  });
});

onEmbedded('requests that are too much, or of another kind', (start) => {
  it('are refused with 413 beyond the length that a body may have, whether it is told before or not', async () => {
    const service = await start({ bodyLimit: 2_000 });
    const long = { ...rule, description: 'x'.repeat(2_000) };
    const told = await service.put('/ratelimit/rules/a', long);
    expect([told.status, told.json.status]).toEqual([413, 413]);
    expect(told.headers['content-type']).toMatch(problem);
    const streamed = await new Promise<number>((resolve, reject) => {
      const sent = request(`${service.url}/ratelimit/rules/a`, {
        method: 'PUT',
        headers: { 'content-type': 'application/json', 'transfer-encoding': 'chunked' },
      });
      sent.once('response', (response) => resolve(response.resume().statusCode!));
      sent.once('error', reject);
      sent.write('{"description":"');
      sent.end('x'.repeat(3_000));
    });
    expect(streamed).toBe(413);
    expect((await service.put('/ratelimit/rules/a', { ...rule, description: 'x'.repeat(900) })).status).toBe(201);
  });

  it('are refused with 415 where the body is no JSON by its name', async () => {
    const service = await start();
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'a/b']) {
      const reply = await service.post('/ratelimit/check', '{"user_id":"a"}', { 'content-type': type });
      expect([reply.status, reply.json.status], type).toEqual([415, 415]);
      expect(reply.headers['content-type']).toMatch(problem);
    }
    expect((await service.get('/users')).json.users).toEqual([]);
  });

  it('are refused with 404 and 400 where no endpoint is, by problems without anything for the operator', async () => {
    const service = await start();
    for (const [method, path] of [
      ['GET', '/'],
      ['PATCH', '/ratelimit/rules/a'],
      ['GET', '/ratelimit/check'],
      ['POST', '/%zz'],
      ['GET', '/ratelimit/rules/%E0%A4%A'],
      ['DELETE', `/ratelimit/lists/block/${'a'.repeat(6_000)}`],
    ] as const) {
      const reply = await service.send(method, path);
      expect([400, 404, 414], `${method} ${path}`).toContain(reply.status);
      expect(reply.headers['content-type'], path).toMatch(problem);
      expect(reply.text).not.toMatch(/\n\s+at |node_modules|\.[jt]s:\d/);
    }
  });
});

onEmbedded('every answer', (start) => {
  it('has the header fields that keep browsers from making more of it', async () => {
    const service = await start({ adminTokens: ['0123456789abcdef'], adminLimit: '1/1h', bodyLimit: 1_024 });
    for (const reply of [
      await service.check({ user_id: 'a' }),
      await service.check({}),
      await service.post('/ratelimit/check', 'x'.repeat(2_000)),
      await service.get('/ratelimit/rules'),
      await service.get('/ratelimit/rules'),
      await service.get('/nowhere'),
      await service.get('/metrics'),
      await service.get('/livez'),
      await service.get('/openapi.json'),
    ]) {
      const about = `${reply.status} ${reply.text.slice(0, 60)}`;
      expect(reply.headers['x-content-type-options'], about).toBe('nosniff');
      expect(reply.headers['x-frame-options'], about).toBe('SAMEORIGIN');
      expect(reply.headers['content-security-policy'], about).toMatch(/default-src 'none'.*frame-ancestors 'none'/);
      expect(reply.headers['referrer-policy'], about).toBe('no-referrer');
      expect(reply.headers, about).not.toHaveProperty('x-powered-by');
      expect(reply.headers, about).not.toHaveProperty('server');
    }
  });
});
