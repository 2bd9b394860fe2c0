import { expect, it } from 'vitest';
import { until } from '../../../../test/support/redis/until.ts';
import { onBothBackends, onEmbedded, onRedis, type Start, type TestService } from '../support/service.ts';

const login = { endpoint: '/login', limit: 2, window: '1h' };
const path = '/ratelimit/rules/recover';
const isStale = async (service: TestService) =>
  /^sluice_configuration_stale 1$/m.test((await service.get('/metrics')).text);

async function stale(service: TestService): Promise<void> {
  await until('the loss is noticed', () => isStale(service));
}

onRedis('a Redis that has lost its data', (start, backend) => {
  async function two(begin: Start): Promise<[TestService, TestService]> {
    const [a, b] = [await begin(), await begin()];
    expect((await a.put('/ratelimit/rules/login', login)).status).toBe(201);
    expect((await a.put('/ratelimit/lists/block/user:eve')).status).toBe(201);
    await until('all have it', async () => (await b.get('/ratelimit/lists/block/user:eve')).status === 200);
    await backend.redis()!.cli('FLUSHALL');
    await stale(a);
    await stale(b);
    return [a, b];
  }

  it('gets back what is in force, as an administrator says, without a restart', async () => {
    const [a, b] = await two(start);
    const refused = await a.put('/ratelimit/rules/other', { ...login, endpoint: '/other' });
    expect(refused.status).toBe(503);
    expect(refused.json.detail).toContain('POST /ratelimit/rules/recover with {"from":"service"}');
    const recovered = await b.post(path, { from: 'service' });
    expect([recovered.status, recovered.json]).toEqual([
      200,
      { version: 1_000_002, from: 'service', rules: 1, allow: 0, block: 1 },
    ]);
    await until('both are up to date', async () => !(await isStale(a)) && !(await isStale(b)));
    for (const one of [a, b]) {
      expect((await one.get('/ratelimit/rules')).json).toMatchObject({ version: 1_000_002, rules: [{ id: 'login' }] });
      expect((await one.check({ user_id: 'eve' })).json.reason).toBe('block-list');
      expect((await one.check({ user_id: 'al', endpoint: '/login' })).json.rule).toBe('login');
    }
    expect((await a.put('/ratelimit/rules/other', { ...login, endpoint: '/other' })).status).toBe(201);
    const { entries } = (await a.get('/ratelimit/audit')).json;
    expect(entries[1]).toEqual({
      version: 1_000_002,
      at: expect.any(String),
      by: 'loopback 127.0.0.1',
      recovered_from: 'service',
      before: null,
      after: null,
    });
  });

  it('is gone by as it is, as an administrator says, without a restart', async () => {
    const [a, b] = await two(start);
    expect((await a.post(path, { from: 'storage' })).json).toEqual({
      version: 1_000_000,
      from: 'storage',
      rules: 0,
      allow: 0,
      block: 0,
    });
    await until('the other one follows', async () => (await b.get('/ratelimit/rules/login')).status === 404);
    await until('both are up to date', async () => !(await isStale(a)) && !(await isStale(b)));
    expect((await b.check({ user_id: 'eve' })).json.reason).toBe('granted');
    expect((await a.post(path, { from: 'storage' })).status).toBe(409);
  });
});

onBothBackends('a recovery', (start) => {
  it('is refused where nothing is lost', async () => {
    const service = await start();
    await service.put('/ratelimit/rules/login', login);
    for (const from of ['service', 'storage']) {
      const refused = await service.post(path, { from });
      expect([refused.status, refused.json.title]).toEqual([409, 'Nothing is lost']);
    }
    expect((await service.get('/ratelimit/rules')).json.version).toBe(1);
  });
});

onEmbedded('a recovery', (start) => {
  it.each([
    [{}, '/from'],
    [{ from: 'backup' }, '/from'],
    [{ from: 'service', force: true }, '/force'],
    [[], ''],
  ])('names what is wrong with %j', async (body, pointer) => {
    const service = await start();
    const refused = await service.post(path, body);
    expect([refused.status, refused.json.errors[0].pointer]).toEqual([400, pointer]);
  });

  it('is for administrators alone', async () => {
    const service = await start({ adminTokens: ['a'.repeat(32)], checkTokens: ['c'.repeat(32)] });
    const as = (token: string) => service.post(path, { from: 'service' }, { authorization: `Bearer ${token}` });
    expect((await service.post(path, { from: 'service' })).status).toBe(401);
    expect((await as('c'.repeat(32))).status).toBe(403);
    expect((await as('a'.repeat(32))).status).toBe(409);
  });
});
