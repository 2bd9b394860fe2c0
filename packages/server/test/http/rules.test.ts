import { expect, it } from 'vitest';
import { onBothBackends, type TestService } from '../support/service.ts';

const login = { id: 'login', endpoint: '/login', methods: ['POST'], limit: 5, window: '1m', identity: 'ip' };

onBothBackends('rules', (start) => {
  it('are created, read, listed, replaced and removed', async () => {
    const service = await start();
    const created = await service.post('/ratelimit/rules', login);
    expect(created.status).toBe(201);
    expect(created.headers.location).toBe('/ratelimit/rules/login');
    expect(created.headers.etag).toBe('"1"');
    expect(created.json).toEqual({
      ...login,
      origin: 'api',
      version: 1,
      created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      updated_at: created.json.created_at,
    });

    const read = await service.get('/ratelimit/rules/login');
    expect([read.status, read.json, read.headers.etag]).toEqual([200, created.json, '"1"']);

    const replaced = await service.put('/ratelimit/rules/login', { ...login, limit: 7 });
    expect([replaced.status, replaced.headers.etag, replaced.headers.location]).toEqual([200, '"2"', undefined]);
    expect(replaced.json).toMatchObject({ limit: 7, version: 2, created_at: created.json.created_at });

    const added = await service.put('/ratelimit/rules/other', { endpoint: '/other', unlimited: true });
    expect([added.status, added.headers.location]).toEqual([201, '/ratelimit/rules/other']);
    const list = await service.get('/ratelimit/rules');
    expect(list.json.rules.map((rule: { id: string }) => rule.id)).toEqual(['login', 'other']);
    expect([list.json.version, list.headers.etag]).toEqual([3, '"3"']);

    const removed = await service.delete('/ratelimit/rules/login');
    expect([removed.status, removed.text]).toEqual([204, '']);
    for (const gone of [await service.get('/ratelimit/rules/login'), await service.delete('/ratelimit/rules/login')]) {
      expect(gone.status).toBe(404);
      expect(gone.headers['content-type']).toMatch(/^application\/problem\+json/);
      expect(gone.json.detail).toBe("There is no rule 'login'.");
    }
    expect((await service.get('/ratelimit/rules')).json.rules).toHaveLength(1);
  });

  it('that are posted without an id are given one', async () => {
    const service = await start();
    const { json, headers } = await service.post('/ratelimit/rules', { endpoint: '/a', limit: 1, window: '1m' });
    expect(json.id).toMatch(/^rule-[0-9a-f]{10}$/);
    expect(headers.location).toBe(`/ratelimit/rules/${json.id}`);
    expect((await service.get(headers.location!)).json).toEqual(json);
  });

  it('are paged by their ids', async () => {
    const service = await start();
    for (const id of ['c', 'a', 'd', 'b']) {
      await service.put(`/ratelimit/rules/${id}`, { endpoint: `/${id}`, limit: 1, window: '1m' });
    }
    const pages: string[][] = [];
    for (let after: string | undefined = ''; after !== undefined; ) {
      const { json } = await service.get(`/ratelimit/rules?limit=2${after && `&after=${after}`}`);
      pages.push(json.rules.map((rule: { id: string }) => rule.id));
      after = json.next;
    }
    expect(pages).toEqual([
      ['a', 'b'],
      ['c', 'd'],
    ]);
  });

  it('have their methods in capitals, each once, however they were written', async () => {
    const service = await start();
    const rule = { ...login, methods: ['post', 'Get', 'POST'] };
    const written = await service.put('/ratelimit/rules/login', rule);
    expect(written.json.methods).toEqual(['POST', 'GET']);
    expect((await service.get('/ratelimit/rules/login')).json.methods).toEqual(['POST', 'GET']);
    expect((await service.check({ ip: '192.0.2.1', method: 'POST', endpoint: '/login' })).json.rule).toBe('login');
  });

  it('of names that objects have by themselves are rules like any other', async () => {
    const service = await start();
    for (const id of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
      const rule = { endpoint: `/of/${id}`, limit: 1, window: '1h', tier: id };
      expect((await service.put(`/ratelimit/rules/${id}`, rule)).status).toBe(201);
      expect((await service.get(`/ratelimit/rules/${id}`)).json).toMatchObject({ ...rule, id });
      const check = { user_id: id, endpoint: rule.endpoint, tier: id };
      expect((await service.check(check)).json).toMatchObject({ allowed: true, rule: id, limit: 1 });
      expect((await service.check(check)).status).toBe(429);
    }
    expect((await service.get('/ratelimit/rules')).json.rules).toHaveLength(4);
    expect((await service.get('/ratelimit/analytics')).status).toBe(200);
  });

  it('are only written as If-Match and If-None-Match expect', async () => {
    const service = await start();
    const write = (headers: Record<string, string>, limit = 1) =>
      service.put('/ratelimit/rules/login', { ...login, limit }, headers);
    // Nothing is there yet.
    expect((await write({ 'if-match': '*' })).json.detail).toMatch(/there is none/);
    expect((await write({ 'if-match': '*' })).status).toBe(412);
    expect((await write({ 'if-match': '"1"' })).status).toBe(412);
    expect((await write({ 'if-none-match': '*' })).status).toBe(201);
    // Now version 1 is.
    expect((await write({ 'if-none-match': '*' })).status).toBe(412);
    expect((await write({ 'if-none-match': '*' })).json.detail).toMatch(/there is one already/);
    expect((await write({ 'if-match': '"0"' })).json.detail).toMatch(/written it since/);
    expect((await write({ 'if-match': '"0"' })).status).toBe(412);
    expect((await write({ 'if-match': 'W/"1"' })).status).toBe(412);
    expect((await write({ 'if-match': '"some-other"' })).status).toBe(412);
    expect((await service.get('/ratelimit/rules/login')).json.version).toBe(1);
    expect((await write({ 'if-match': '"1"' }, 2)).headers.etag).toBe('"2"');
    expect((await write({ 'if-match': '"7", W/"9" , "2"' }, 3)).headers.etag).toBe('"3"');
    expect((await write({ 'if-match': ' * ' }, 4)).headers.etag).toBe('"4"');
    const { status, json } = await write({ 'if-match': '"3"' });
    expect([status, json.status, json.title]).toEqual([412, 412, 'Precondition failed']);
    for (const [headers, parameter] of [
      [{ 'if-match': '4' }, 'If-Match'],
      [{ 'if-match': '"4' }, 'If-Match'],
      [{ 'if-match': '' }, 'If-Match'],
      [{ 'if-none-match': '"4"' }, 'If-None-Match'],
      [{ 'if-match': '"4"', 'if-none-match': '*' }, 'If-None-Match'],
    ] as const) {
      const wrong = await write(headers);
      expect([wrong.status, wrong.json.errors[0].parameter], JSON.stringify(headers)).toEqual([400, parameter]);
    }
    expect((await service.get('/ratelimit/rules/login')).json).toMatchObject({ version: 4, limit: 4 });

    const remove = (headers: Record<string, string>) => service.delete('/ratelimit/rules/login', headers);
    expect((await remove({ 'if-match': '"3"' })).status).toBe(412);
    expect((await remove({ 'if-none-match': '*' })).status).toBe(412);
    expect((await remove({ 'if-match': '"4"' })).status).toBe(204);
    expect((await remove({ 'if-match': '*' })).status).toBe(404);
    expect((await remove({ 'if-none-match': '*' })).status).toBe(404);
    // What has changed nothing is no version.
    expect((await service.get('/ratelimit/rules')).json.version).toBe(5);
  });

  it('that the client has already are not sent again', async () => {
    const service = await start();
    await service.post('/ratelimit/rules', login);
    await service.post('/ratelimit/rules', { ...login, id: 'second', endpoint: '/second' });
    for (const [path, etag] of [
      ['/ratelimit/rules/login', '"1"'],
      ['/ratelimit/rules', '"2"'],
    ] as const) {
      for (const tags of [etag, `W/${etag}`, `"77", ${etag}`, '*']) {
        const reply = await service.get(path, { 'if-none-match': tags });
        expect([reply.status, reply.text, reply.headers.etag], `${path} ${tags}`).toEqual([304, '', etag]);
      }
      for (const tags of ['"77"', 'W/"77", "78"', etag.replaceAll('"', '')]) {
        expect((await service.get(path, { 'if-none-match': tags })).status, `${path} ${tags}`).toBe(200);
      }
    }
    await service.put('/ratelimit/rules/login', { ...login, limit: 6 });
    expect((await service.get('/ratelimit/rules', { 'if-none-match': '"2"' })).status).toBe(200);
    expect((await service.get('/ratelimit/rules/second', { 'if-none-match': '"2"' })).status).toBe(304);
  });

  it('are only tried with dry_run', async () => {
    const service = await start();
    const posted = await service.post('/ratelimit/rules?dry_run=true', login);
    expect([posted.status, posted.json]).toEqual([200, { ...login, dry_run: true }]);
    expect((await service.put('/ratelimit/rules/login?dry_run=true', login)).status).toBe(200);
    expect((await service.delete('/ratelimit/rules/login?dry_run=true')).status).toBe(404);
    expect((await service.get('/ratelimit/rules')).json).toEqual({ version: 0, rules: [] });

    await service.post('/ratelimit/rules', login);
    expect((await service.post('/ratelimit/rules?dry_run=true', login)).status).toBe(409);
    const changed = { ...login, limit: 9 };
    const put = (query: string, headers = {}) => service.put(`/ratelimit/rules/login?${query}`, changed, headers);
    expect((await put('dry_run=true', { 'if-match': '"9"' })).status).toBe(412);
    expect((await put('dry_run=true', { 'if-match': '"1"' })).status).toBe(200);
    expect((await service.delete('/ratelimit/rules/login?dry_run=true', { 'if-match': '"2"' })).status).toBe(412);
    expect((await service.delete('/ratelimit/rules/login?dry_run=true')).status).toBe(204);
    expect((await put('dry_run=maybe')).json.errors[0].parameter).toBe('dry_run');
    expect((await put('dryrun=true')).status).toBe(400);
    expect((await service.get('/ratelimit/rules/login')).json).toMatchObject({ limit: 5, version: 1 });
    expect((await service.get('/ratelimit/audit')).json.entries).toHaveLength(1);
    expect((await put('dry_run=false')).json).toMatchObject({ limit: 9, version: 2 });
  });

  it('of which only one could apply cannot stand side by side', async () => {
    const service = await start();
    await service.post('/ratelimit/rules', { ...login, endpoint: '/files/:id', methods: ['GET', 'POST'] });
    const attempt = (rule: object) => service.post('/ratelimit/rules', { limit: 1, window: '1m', ...rule });
    for (const rule of [
      { endpoint: '/files/:name', methods: ['GET'] },
      { endpoint: '/Files/:x/', methods: ['post', 'PUT'] },
      { endpoint: '//files/:other', methods: ['HEAD', 'POST'] },
    ]) {
      const { status, json } = await attempt(rule);
      expect([status, json.errors?.[0]?.pointer], JSON.stringify(rule)).toEqual([409, '/endpoint']);
      expect(json.detail).toContain("The rule 'login'");
    }
    const same = await service.post('/ratelimit/rules', { ...login, endpoint: '/elsewhere' });
    expect([same.status, same.json.errors[0].pointer]).toEqual([409, '/id']);
    // Another method, tier, priority or mode makes it another matter.
    for (const rule of [
      { endpoint: '/files/:id', methods: ['PUT'] },
      { endpoint: '/files/:id', methods: ['GET'], tier: 'pro' },
      { endpoint: '/files/:id', methods: ['GET'], priority: 1 },
      { endpoint: '/files/:id', methods: ['GET'], mode: 'shadow' },
      { endpoint: '/files/:id', methods: ['GET'], mode: 'off' },
      { endpoint: '/files/:id' },
      { endpoint: '/files/*' },
    ]) {
      expect((await attempt(rule)).status, JSON.stringify(rule)).toBe(201);
    }
    // A rule does not stand in its own way, and cannot move to where another one is.
    expect((await service.put('/ratelimit/rules/login', { ...login, endpoint: '/files/:id' })).status).toBe(200);
    const moved = { ...login, endpoint: '/files/:id', methods: ['PUT'] };
    expect((await service.put('/ratelimit/rules/login', moved)).status).toBe(409);
  });

  it('that are not valid are refused with a pointer to what is wrong, and change nothing', async () => {
    const service = await start();
    const good = { endpoint: '/a', limit: 1, window: '1m' };
    for (const [rule, pointer] of [
      [{ ...good, id: 'a b' }, '/id'],
      [{ ...good, id: 'default' }, '/id'],
      [{ limit: 1, window: '1m' }, '/endpoint'],
      [{ ...good, endpoint: 'GET /a' }, '/endpoint'],
      [{ ...good, methods: ['GET', 'no method'] }, '/methods/1'],
      [{ ...good, methods: [] }, '/methods'],
      [{ ...good, algorithm: 'bucket' }, '/algorithm'],
      [{ ...good, algorithm: 'fixed-window', burst: 3 }, '/burst'],
      [{ ...good, limit: 1.5 }, '/limit'],
      [{ ...good, limit: '1' }, '/limit'],
      [{ ...good, limit: -1 }, '/limit'],
      [{ endpoint: '/a', limit: 1 }, '/window'],
      [{ ...good, window: 'soon' }, '/window'],
      [{ ...good, window: '0s' }, '/window'],
      [{ ...good, window: '367d' }, '/window'],
      [{ ...good, unlimited: true }, '/limit'],
      [{ ...good, unlimited: false }, '/unlimited'],
      [{ ...good, mode: 'on' }, '/mode'],
      [{ ...good, priority: 1_001 }, '/priority'],
      [{ ...good, identity: 'nobody' }, '/identity'],
      [{ ...good, tier: 'pro plan' }, '/tier'],
      [{ ...good, lists: { allow: ['10.0.0.0/8', '10.0.0.1/33'] } }, '/lists/allow/1'],
      [{ ...good, lists: { deny: [] } }, '/lists/deny'],
      [{ ...good, limits: 1 }, '/limits'],
      [[good], ''],
      ['null', ''],
      ['{"endpoint":', ''],
      [`{"endpoint":"/a","limit":1,"window":"1m","__proto__":{"limit":9}}`, ''],
    ] as const) {
      const { status, headers, json } = await service.post('/ratelimit/rules', rule);
      expect([status, json.errors?.[0]?.pointer], JSON.stringify(rule)).toEqual([400, pointer]);
      expect(headers['content-type']).toMatch(/^application\/problem\+json/);
    }
    expect((await service.get('/ratelimit/rules/a?dry_run=true')).json.errors[0].parameter).toBe('dry_run');
    const other = await service.put('/ratelimit/rules/a', { ...good, id: 'b' });
    expect([other.status, other.json.errors[0].pointer]).toEqual([400, '/id']);
    const named = await service.put('/ratelimit/rules/a%20b', good);
    expect([named.status, named.json.errors[0].parameter]).toEqual([400, 'id']);
    expect((await service.get('/ratelimit/rules')).json).toEqual({ version: 0, rules: [] });
  });

  it('of the configuration file are shown and stand beside the others, and cannot be changed', async () => {
    const fixed = { id: 'fixed', endpoint: '/fixed', limit: 2, window: '1h' };
    const service = await start({ rules: [fixed] });
    await service.post('/ratelimit/rules', login);
    expect((await service.get('/ratelimit/rules/fixed')).json).toEqual({ ...fixed, origin: 'file' });
    expect((await service.get('/ratelimit/rules')).json.rules).toMatchObject([
      { id: 'fixed', origin: 'file' },
      { id: 'login', origin: 'api' },
    ]);
    for (const reply of [
      await service.put('/ratelimit/rules/fixed', { ...fixed, limit: 3 }),
      await service.put('/ratelimit/rules/fixed?dry_run=true', { ...fixed, limit: 3 }),
      await service.post('/ratelimit/rules', { ...fixed, endpoint: '/free' }),
      await service.post('/ratelimit/rules', { ...fixed, id: 'other' }),
      await service.delete('/ratelimit/rules/fixed'),
    ]) {
      expect(reply.status).toBe(409);
    }
    expect((await service.check({ user_id: 'a', endpoint: '/fixed' })).json).toMatchObject({ rule: 'fixed', limit: 2 });
  });

  it('show of API keys in their lists nothing but digests', async () => {
    const service = await start();
    const rule = { endpoint: '/a', limit: 1, window: '1m', lists: { block: ['api-key:sk_very-secret'] } };
    const { json } = await service.put('/ratelimit/rules/listed', rule);
    expect(json.lists.block).toEqual([expect.stringMatching(/^api-key:#[\w-]{22}$/)]);
    // Written back as it was read, it is the same entry.
    const again = await service.put('/ratelimit/rules/listed', { ...rule, lists: json.lists });
    expect(again.json.lists).toEqual(json.lists);
    const refused = await service.check({ api_key: 'sk_very-secret', endpoint: '/a' });
    expect([refused.status, refused.json.reason]).toEqual([429, 'block-list']);
    expect((await service.check({ api_key: 'sk_other', endpoint: '/a' })).status).toBe(200);
    const everything = [
      ...service.exchanges.map(({ reply }) => reply.text),
      (await service.get('/ratelimit/audit')).text,
    ];
    expect(everything.join()).not.toContain('very-secret');
  });

  it('survive a restart, with their versions and the audit log', async () => {
    const first = await start();
    await first.post('/ratelimit/rules', login);
    await first.put('/ratelimit/rules/gone', { endpoint: '/gone', limit: 1, window: '1m' });
    await first.delete('/ratelimit/rules/gone');
    await first.put('/ratelimit/lists/block/user:eve', { note: 'abuse' });
    const paths = ['/ratelimit/rules', '/ratelimit/lists/block', '/ratelimit/audit'];
    const before = await Promise.all(paths.map((path) => first.get(path)));
    await first.stop();
    const second = await start();
    for (const [i, path] of paths.entries()) expect((await second.get(path)).json).toEqual(before[i]!.json);
    expect((await second.check({ ip: '203.0.113.1', method: 'POST', endpoint: '/login' })).json.rule).toBe('login');
    expect((await second.check({ user_id: 'eve' })).json.reason).toBe('block-list');
  });

  it('that are posted at once for the same requests come to be but one', async () => {
    const service = await start();
    const ids = Array.from({ length: 12 }, (_, i) => `rule-${i}`);
    const replies = await Promise.all(ids.map((id) => service.post('/ratelimit/rules', { ...login, id })));
    const statuses = replies.map(({ status }) => status).sort();
    expect(statuses).toEqual([201, ...Array(11).fill(409)]);
    const winner = ids[replies.findIndex(({ status }) => status === 201)];
    expect((await service.get('/ratelimit/rules')).json.rules.map((rule: { id: string }) => rule.id)).toEqual([winner]);
  });

  it('that are changed by several with the same ETag at once are changed by one of them', async () => {
    const service = await start();
    await service.post('/ratelimit/rules', login);
    for (let round = 0; round < 10; round++) {
      const { headers } = await service.get('/ratelimit/rules/login');
      const replies = await Promise.all(
        Array.from({ length: 8 }, (_, i) =>
          service.put('/ratelimit/rules/login', { ...login, limit: 10 + i }, { 'if-match': headers.etag! }),
        ),
      );
      const won = replies.filter(({ status }) => status === 200);
      expect(replies.map(({ status }) => status).sort()).toEqual([200, ...Array(7).fill(412)]);
      expect((await service.get('/ratelimit/rules/login')).json).toEqual(won[0]!.json);
    }
  });
});

onBothBackends('rules in force', (start) => {
  const take = async (service: TestService, check: object) => (await service.check(check)).json;

  it('apply from the answer to their write on', async () => {
    const service = await start();
    const alice = { user_id: 'alice', endpoint: '/a' };
    expect(await take(service, alice)).toMatchObject({ rule: null, limit: 1_000 });
    await service.put('/ratelimit/rules/a', { endpoint: '/a', limit: 2, window: '1h' });
    expect(await take(service, alice)).toMatchObject({ rule: 'a', limit: 2, remaining: 1 });
    await service.put('/ratelimit/rules/a', { endpoint: '/a', limit: 2, window: '1h', mode: 'off' });
    expect(await take(service, alice)).toMatchObject({ rule: null, limit: 1_000 });
    await service.put('/ratelimit/rules/a', { endpoint: '/a', unlimited: true });
    expect(await take(service, alice)).toMatchObject({ rule: 'a', limit: null, reason: 'unlimited' });
    await service.delete('/ratelimit/rules/a');
    expect(await take(service, alice)).toMatchObject({ rule: null, limit: 1_000 });
  });

  it.each(['fixed-window', 'sliding-window-log', 'sliding-window-counter', 'token-bucket', 'leaky-bucket'])(
    'of %s go on with their counts while others change, and while their own words change that say nothing of numbers',
    async (algorithm) => {
      const service = await start();
      const rule = { endpoint: '/a', algorithm, limit: 5, window: '365d' };
      const alice = { user_id: 'alice', endpoint: '/a' };
      await service.put('/ratelimit/rules/a', rule);
      expect(await take(service, alice)).toMatchObject({ remaining: 4 });
      await service.put('/ratelimit/rules/b', { endpoint: '/b', limit: 1, window: '1m' });
      expect(await take(service, alice)).toMatchObject({ remaining: 3 });
      await service.delete('/ratelimit/rules/b');
      await service.put('/ratelimit/lists/block/user:eve');
      await service.put('/ratelimit/rules/a', { ...rule, description: 'the same numbers', priority: 3 });
      expect(await take(service, alice)).toMatchObject({ remaining: 2 });
      await service.put('/ratelimit/rules/a', { ...rule, endpoint: '/a/*' });
      expect(await take(service, { ...alice, endpoint: '/a/x' })).toMatchObject({ rule: 'a', remaining: 1 });
    },
  );

  it.each([
    ['a burst', { burst: 7 }, 7],
    ['no burst', {}, 5],
  ])('with %s are of their own algorithm, whatever that of the default limits is', async (_, more, atOnce) => {
    for (const defaults of [
      { algorithm: 'fixed-window', limit: 9, window: '1h' },
      { algorithm: 'leaky-bucket', limit: 9, window: '1h', burst: 2 },
      { algorithm: 'token-bucket', limit: 9, window: '1h', burst: 2 },
    ] as const) {
      const service = await start({ defaults });
      await service.put('/ratelimit/rules/a', { endpoint: '/a', limit: 5, window: '365d', ...more });
      await service.put('/ratelimit/rules/b', { endpoint: '/b', limit: 5, window: '365d', algorithm: 'token-bucket' });
      for (const [endpoint, most] of [
        ['/a', atOnce],
        ['/b', 5],
      ] as const) {
        const statuses = [];
        for (let i = 0; i <= most; i++)
          statuses.push((await service.check({ user_id: defaults.algorithm, endpoint })).status);
        expect(statuses, `${endpoint} ${defaults.algorithm}`).toEqual([...Array(most).fill(200), 429]);
      }
      for (const id of ['a', 'b']) expect((await service.delete(`/ratelimit/rules/${id}`)).status).toBe(204);
      await service.stop();
    }
  });

  it('take up changed limits at once', async () => {
    const service = await start();
    const rule = { endpoint: '/a', limit: 3, window: '1h', algorithm: 'token-bucket' };
    const alice = { user_id: 'alice', endpoint: '/a' };
    await service.put('/ratelimit/rules/a', rule);
    for (const remaining of [2, 1, 0]) expect(await take(service, alice)).toMatchObject({ allowed: true, remaining });
    expect((await service.check(alice)).status).toBe(429);
    await service.put('/ratelimit/rules/a', { ...rule, limit: 1_000 });
    expect(await take(service, alice)).toMatchObject({ allowed: true, limit: 1_000 });
    await service.put('/ratelimit/rules/a', { ...rule, limit: 0 });
    expect(await take(service, alice)).toMatchObject({ allowed: false, limit: 0, retry_after: null });
  });

  it('of a tier, of a higher priority, and of a more specific endpoint go before others', async () => {
    const service = await start();
    const put = (id: string, rule: object) =>
      service.put(`/ratelimit/rules/${id}`, { limit: 9, window: '1h', ...rule });
    await put('any', { endpoint: '*' });
    await put('files', { endpoint: '/files/*' });
    await put('files-pro', { endpoint: '/files/*', tier: 'pro' });
    await put('exact', { endpoint: '/files/a' });
    const ruleOf = async (check: object) => (await take(service, { user_id: 'alice', ...check })).rule;
    expect(await ruleOf({})).toBe('any');
    expect(await ruleOf({ endpoint: '/x' })).toBe('any');
    expect(await ruleOf({ endpoint: '/files/b' })).toBe('files');
    expect(await ruleOf({ endpoint: '/files/b', tier: 'pro' })).toBe('files-pro');
    expect(await ruleOf({ endpoint: '/files/b', tier: 'free' })).toBe('files');
    expect(await ruleOf({ endpoint: '/files/a' })).toBe('exact');
    await put('first', { endpoint: '*', priority: 10 });
    expect(await ruleOf({ endpoint: '/files/a' })).toBe('first');
  });

  it('in the shadow of one that is enforced refuse nobody, and are counted', async () => {
    const service = await start();
    await service.put('/ratelimit/rules/real', { endpoint: '/a', limit: 3, window: '1h' });
    await service.put('/ratelimit/rules/trial', { endpoint: '/a', limit: 1, window: '1h', mode: 'shadow' });
    for (let i = 0; i < 3; i++) {
      expect(await take(service, { user_id: 'alice', endpoint: '/a' })).toMatchObject({ allowed: true, rule: 'real' });
    }
    expect((await service.check({ user_id: 'alice', endpoint: '/a' })).status).toBe(429);
    const { text } = await service.get('/metrics');
    expect(text).toMatch(/sluice_decisions_total\{rule="trial",decision="shadow-refused",source="store"\} [23]/);
    expect(text).toContain('sluice_decisions_total{rule="real",decision="refused",source="store"} 1');
  });

  it('count whom their identity says', async () => {
    const service = await start();
    await service.put('/ratelimit/rules/a', { endpoint: '/a', limit: 1, window: '1h', identity: 'ip' });
    const check = (user_id: string, ip: string) => service.check({ user_id, ip, endpoint: '/a' });
    expect((await check('alice', '203.0.113.1')).status).toBe(200);
    expect((await check('bob', '203.0.113.1')).status).toBe(429);
    expect((await check('alice', '203.0.113.2')).status).toBe(200);
    // Whom they do not name, they cannot count.
    for (const path of ['/ratelimit/check', '/ratelimit/simulate']) {
      const { status, json } = await service.post(path, { user_id: 'alice', endpoint: '/a' });
      expect([status, json.errors[0].pointer], path).toEqual([400, '/ip']);
    }
  });

  it('decide on requests that are sent while rules are written, without a gap', async () => {
    const service: TestService = await start();
    await service.put('/ratelimit/rules/a', { endpoint: '/a', limit: 10, window: '365d', algorithm: 'fixed-window' });
    let isWriting = true;
    const writing = (async () => {
      for (let i = 0; i < 30; i++)
        await service.put('/ratelimit/rules/b', { endpoint: `/b${i}`, limit: 1, window: '1m' });
      isWriting = false;
    })();
    let granted = 0;
    while (isWriting) {
      const replies = await Promise.all(
        Array.from({ length: 8 }, () => service.check({ user_id: 'alice', endpoint: '/a' })),
      );
      granted += replies.filter(({ status }) => status === 200).length;
    }
    await writing;
    expect(granted).toBe(10);
  });
});
