import { ManualClock } from '@sluice/testing';
import { expect, it } from 'vitest';
import { until } from '../../../../test/support/redis/until.ts';
import type { HeaderFields } from '../support/client.ts';
import { onBothBackends, onEmbedded } from '../support/service.ts';

const hour = 3_600_000;

onBothBackends('lists', (start) => {
  it('say of an entry that is not as expected what there is instead', async () => {
    const service = await start();
    const put = async (headers: HeaderFields) => {
      const { status, json } = await service.put('/ratelimit/lists/block/user:eve', undefined, headers);
      return `${status} ${json.detail}`;
    };
    expect(await put({ 'if-match': '*' })).toMatch(/^412 .*there is none/);
    expect(await put({ 'if-none-match': '*' })).toMatch(/^201 /);
    expect(await put({ 'if-none-match': '*' })).toMatch(/^412 .*there is one already/);
    expect(await put({ 'if-match': '"9"' })).toMatch(/^412 .*somebody has written it since/);
  });

  it('are read and written entry by entry', async () => {
    const service = await start();
    const put = await service.put('/ratelimit/lists/block/user:eve', { note: 'abuse' });
    expect([put.status, put.headers.etag]).toEqual([201, '"1"']);
    expect(put.json).toEqual({
      entry: 'user:eve',
      expires_at: null,
      note: 'abuse',
      origin: 'api',
      version: 1,
      created_at: expect.stringMatching(/Z$/),
    });
    const read = await service.get('/ratelimit/lists/block/user:eve');
    expect([read.status, read.json, read.headers.etag]).toEqual([200, put.json, '"1"']);
    expect((await service.get('/ratelimit/lists/block/user:eve', { 'if-none-match': 'W/"1"' })).status).toBe(304);
    const again = await service.put('/ratelimit/lists/block/user:eve');
    expect([again.status, again.json.note, again.json.version]).toEqual([200, undefined, 2]);
    expect((await service.put('/ratelimit/lists/block/user:ann', 'null')).status).toBe(201);
    const json = { 'content-type': 'application/json' };
    expect((await service.put('/ratelimit/lists/block/user:ann', undefined, json)).status).toBe(200);
    expect((await service.put('/ratelimit/lists/block/user:ann', '', json)).status).toBe(200);
    expect((await service.put('/ratelimit/lists/block/user:ann', '{', json)).status).toBe(400);
    const all = await service.get('/ratelimit/lists/block');
    expect(all.json.entries.map(({ entry }: { entry: string }) => entry)).toEqual(['user:ann', 'user:eve']);
    expect((await service.get('/ratelimit/lists/allow')).json).toEqual({ entries: [] });

    expect((await service.delete('/ratelimit/lists/block/user:eve')).status).toBe(204);
    for (const gone of [
      await service.get('/ratelimit/lists/block/user:eve'),
      await service.delete('/ratelimit/lists/block/user:eve'),
      await service.get('/ratelimit/lists/allow/user:ann'),
      await service.delete('/ratelimit/lists/allow/user:ann'),
    ]) {
      expect(gone.status).toBe(404);
      expect(gone.headers['content-type']).toMatch(/^application\/problem\+json/);
    }
  });

  it('refuse, or let pass without a limit, from the answer to the write on', async () => {
    const service = await start({ defaults: { algorithm: 'fixed-window', limit: 1, window: '365d' } });
    const alice = { user_id: 'alice', ip: '203.0.113.7' };
    expect((await service.check(alice)).json).toMatchObject({ allowed: true, reason: 'granted' });
    await service.put('/ratelimit/lists/allow/203.0.113.0%2F24');
    expect((await service.check(alice)).json).toMatchObject({ allowed: true, reason: 'allow-list', limit: null });
    await service.put('/ratelimit/lists/block/user:alice');
    const blocked = await service.check(alice);
    expect([blocked.status, blocked.json]).toEqual([
      429,
      expect.objectContaining({ allowed: false, reason: 'block-list' }),
    ]);
    expect((await service.check({ user_id: 'bob' })).json.reason).toBe('granted');
    await service.delete('/ratelimit/lists/block/user:alice');
    expect((await service.check(alice)).json.reason).toBe('allow-list');
    await service.delete('/ratelimit/lists/allow/203.0.113.0/24');
    // What passed unlimited was not charged, and what was charged before still is.
    expect((await service.check(alice)).json).toMatchObject({ allowed: false, reason: 'quota' });
  });

  it('take a range with its slash as it is or escaped, in every way to write it, for the same entry', async () => {
    const service = await start();
    for (const [paths, entry] of [
      [['203.0.113.0/24', '203.0.113.0%2F24', '203.0.113.0%2f24', 'ip:203.0.113.0%2F24'], '203.0.113.0/24'],
      [['203.0.113.7', '203.0.113.7/32', '::ffff:203.0.113.7', '%3A%3Affff%3A203.0.113.7'], '203.0.113.7'],
      [['2001:db8::/32', '2001:DB8:0::%2F32', '2001%3Adb8%3A%3A%2F32'], '2001:db8::/32'],
    ] as const) {
      const statuses: number[] = [];
      for (const path of paths) {
        const { status, json } = await service.put(`/ratelimit/lists/block/${path}`);
        statuses.push(status);
        expect(json.entry, path).toBe(entry);
        expect((await service.get(`/ratelimit/lists/block/${path}`)).json, path).toEqual(json);
      }
      expect(statuses).toEqual([201, ...Array(paths.length - 1).fill(200)]);
    }
    expect((await service.get('/ratelimit/lists/block')).json.entries).toHaveLength(3);
    expect((await service.check({ ip: '2001:db8:1::1' })).json.reason).toBe('block-list');
    expect((await service.delete('/ratelimit/lists/block/2001:db8::%2f32')).status).toBe(204);
    expect((await service.check({ ip: '2001:db8:1::1' })).json.reason).toBe('granted');
  });

  it('refuse what names nobody, by the parameter or pointer, and write nothing', async () => {
    const service = await start();
    for (const entry of [
      '203.0.113.0/33',
      '203.0.113.1/24',
      '203.0.113.256',
      '2001:db8::/129',
      '203.0.113.0/x',
      '10.0.0.1-10.0.0.9',
      'alice',
      'user:',
      'api-key:',
      'role:admin',
      '%20user:eve',
    ]) {
      for (const method of ['GET', 'PUT', 'DELETE']) {
        const { status, json } = await service.send(method, `/ratelimit/lists/block/${entry}`);
        expect([status, json.errors?.[0]?.parameter], `${method} ${entry}`).toEqual([400, 'entry']);
      }
    }
    const put = (body: unknown) => service.put('/ratelimit/lists/block/user:eve', body);
    for (const [body, pointer] of [
      [{ expires_at: 'tomorrow' }, '/expires_at'],
      [{ expires_at: '2099-02-30T00:00:00Z' }, '/expires_at'],
      [{ expires_at: '2099-01-01T00:00:00' }, '/expires_at'],
      [{ expires_at: 4_102_444_800 }, '/expires_at'],
      [{ expires_at: '2020-01-01T00:00:00Z' }, '/expires_at'],
      [{ note: 1 }, '/note'],
      [{ expires: '2099-01-01T00:00:00Z' }, '/expires'],
      ['[]', ''],
      ['{', ''],
    ] as const) {
      const { status, json } = await put(body);
      expect([status, json.errors?.[0]?.pointer], JSON.stringify(body)).toEqual([400, pointer]);
    }
    const grey = await service.put('/ratelimit/lists/grey/user:eve');
    expect([grey.status, grey.json.errors[0].parameter]).toEqual([400, 'list']);
    const dry = await service.put('/ratelimit/lists/block/user:eve?dry_run=true');
    expect([dry.status, dry.json.errors[0].parameter]).toEqual([400, 'dry_run']);
    expect((await service.get('/ratelimit/lists/block')).json.entries).toEqual([]);
    expect((await service.get('/ratelimit/audit')).json.entries).toEqual([]);
  });

  it('keep of an API key only its digest, by which the entry is found too', async () => {
    const service = await start();
    const put = await service.put('/ratelimit/lists/block/api-key:sk_very-secret%2Fkey%3F');
    expect([put.status, put.json.entry]).toEqual([201, expect.stringMatching(/^api-key:#[\w-]{22}$/)]);
    expect((await service.check({ api_key: 'sk_very-secret/key?' })).json.reason).toBe('block-list');
    const byDigest = `/ratelimit/lists/block/${encodeURIComponent(put.json.entry)}`;
    expect((await service.get(byDigest)).json).toEqual(put.json);
    await service.get('/ratelimit/lists/block');
    await service.get('/ratelimit/audit');
    await service.put('/ratelimit/lists/block/api-key:sk_very-secret%2Fkey%3F', { expires_at: 'x' });
    for (const { reply } of service.exchanges) {
      expect(reply.text).not.toContain('very-secret');
      expect(JSON.stringify(reply.headers)).not.toContain('very-secret');
    }
    expect((await service.delete(byDigest)).status).toBe(204);
    expect((await service.check({ api_key: 'sk_very-secret/key?' })).json.reason).toBe('granted');
  });

  it('are only written as If-Match and If-None-Match expect', async () => {
    const service = await start();
    const path = '/ratelimit/lists/allow/user:ann';
    const put = (headers: Record<string, string>) => service.put(path, {}, headers);
    expect((await put({ 'if-match': '*' })).status).toBe(412);
    expect((await put({ 'if-none-match': '*' })).status).toBe(201);
    expect((await put({ 'if-none-match': '*' })).status).toBe(412);
    expect((await put({ 'if-match': '"2", W/"1"' })).status).toBe(412);
    expect((await put({ 'if-match': '"2", "1"' })).headers.etag).toBe('"2"');
    expect((await service.delete(path, { 'if-match': '"1"' })).status).toBe(412);
    expect((await service.delete(path, { 'if-none-match': '*' })).status).toBe(412);
    expect((await service.delete(path, { 'if-match': 'W/"2"' })).status).toBe(412);
    expect((await service.delete(path, { 'if-match': '"2"' })).status).toBe(204);
    expect((await service.delete(path, { 'if-none-match': '*' })).status).toBe(404);
    expect((await service.get('/ratelimit/audit')).json.entries).toHaveLength(3);
  });

  it('of the configuration file hold beside the others, and cannot be changed', async () => {
    const service = await start({ lists: { allow: ['192.0.2.0/28'], block: ['user:eve', 'api-key:sk_file'] } });
    await service.put('/ratelimit/lists/block/user:ann');
    expect((await service.get('/ratelimit/lists/allow/192.0.2.0/28')).json).toEqual({
      entry: '192.0.2.0/28',
      origin: 'file',
    });
    const { entries } = (await service.get('/ratelimit/lists/block')).json;
    expect(entries.map(({ origin }: { origin: string }) => origin).sort()).toEqual(['api', 'file', 'file']);
    for (const path of ['block/user:eve', 'block/api-key:sk_file', 'allow/192.0.2.0%2F28']) {
      expect((await service.put(`/ratelimit/lists/${path}`)).status).toBe(409);
      expect((await service.delete(`/ratelimit/lists/${path}`)).status).toBe(409);
    }
    expect((await service.check({ user_id: 'eve' })).json.reason).toBe('block-list');
    // On the other list it is an entry like any other, and who is blocked stays so.
    expect((await service.put('/ratelimit/lists/allow/user:eve')).status).toBe(201);
    expect((await service.check({ user_id: 'eve' })).json.reason).toBe('block-list');
    expect((await service.delete('/ratelimit/lists/allow/user:eve')).status).toBe(204);
  });

  it('are paged', async () => {
    const service = await start();
    for (const id of ['c', 'a', 'b']) await service.put(`/ratelimit/lists/block/user:${id}`);
    const first = (await service.get('/ratelimit/lists/block?limit=2')).json;
    expect(first.next).toBe('user:b');
    const second = (await service.get(`/ratelimit/lists/block?limit=2&after=${first.next}`)).json;
    expect(second).toEqual({ entries: [expect.objectContaining({ entry: 'user:c' })] });
  });

  it('that are written at once with the same ETag are written by one', async () => {
    const service = await start();
    const path = '/ratelimit/lists/block/203.0.113.0/24';
    const { headers } = await service.put(path);
    const replies = await Promise.all(
      Array.from({ length: 8 }, (_, i) => service.put(path, { note: `${i}` }, { 'if-match': headers.etag! })),
    );
    expect(replies.map(({ status }) => status).sort()).toEqual([200, ...Array(7).fill(412)]);
  });
});

onBothBackends('an entry that ends', (start, backend) => {
  it('is out of force and out of sight at that moment, and can come back as a new one', async () => {
    const clock = new ManualClock(Date.now());
    const service = await start({}, { clock });
    const path = '/ratelimit/lists/block/user:eve';
    const end = clock.now() / 1_000 + hour;
    const put = () => service.put(path, { expires_at: new Date(end).toISOString() }, { 'if-none-match': '*' });
    expect((await put()).json.expires_at).toBe(new Date(end).toISOString());
    const list = await service.get('/ratelimit/lists/block');
    await clock.pass(hour - 1);
    expect((await service.check({ user_id: 'eve' })).json.reason).toBe('block-list');
    expect((await service.get(path)).status).toBe(200);
    expect((await service.get('/ratelimit/lists/block', { 'if-none-match': list.headers.etag! })).status).toBe(304);
    await clock.pass(1);
    expect((await service.check({ user_id: 'eve' })).json.reason).not.toBe('block-list');
    expect((await service.get(path)).status).toBe(404);
    // The list has changed, so that its ETag has.
    const after = await service.get('/ratelimit/lists/block', { 'if-none-match': list.headers.etag! });
    expect([after.status, after.json]).toEqual([200, { entries: [] }]);
    expect((await service.delete(path)).status).toBe(404);
    const again = await service.put(path, { note: 'again' }, { 'if-none-match': '*' });
    expect([again.status, again.json]).toEqual([201, expect.objectContaining({ expires_at: null, note: 'again' })]);
    expect((await service.check({ user_id: 'eve' })).json.reason).toBe('block-list');
  });

  it('takes no room for good', async () => {
    const clock = new ManualClock(Date.now());
    const service = await start({}, { clock });
    const put = (net: number, i: number) => {
      const expires_at = new Date(clock.now() / 1_000 + hour).toISOString();
      return service.put(`/ratelimit/lists/block/203.0.${net}.${i}`, { expires_at });
    };
    for (let net = 0; net < 4; net++) {
      for (let i = 0; i < 10; i++) expect((await put(net, i)).status).toBe(201);
      await clock.pass(hour);
    }
    const ended = await until('what ended an hour ago is gone', async () => {
      await clock.pass(10_000);
      const { entries } = (await service.get('/ratelimit/audit?limit=1000')).json;
      const found = entries.filter(({ by }: { by: string }) => by === 'expiry');
      return found.length >= 30 && found;
    });
    expect(ended).toHaveLength(30);
    expect(ended[0]).toMatchObject({ list: 'block', before: { expires_at: expect.any(String) }, after: null });
    const redis = backend.redis();
    if (redis !== undefined) expect(await redis.cli('HLEN', 'ratelimit:{config}:block')).toBe('10');
  });
});

// Redis has a clock of its own.
onEmbedded('lists', (start) => {
  it('take an end that the clock of the service has not reached yet', async () => {
    const clock = new ManualClock(Date.now() - 1_000 * hour);
    const service = await start({}, { clock });
    const put = (ms: number) =>
      service.put('/ratelimit/lists/block/user:eve', {
        expires_at: new Date(clock.now() / 1_000 + ms).toISOString(),
      });
    expect((await put(0)).status).toBe(400);
    expect((await put(hour)).status).toBe(201);
    expect((await service.check({ user_id: 'eve' })).json.reason).toBe('block-list');
  });
});
