import { describe, expect, it, onTestFinished } from 'vitest';
import { freePort } from '../../../../test/support/redis/port.ts';
import { RedisServer } from '../../../../test/support/redis/server.ts';
import type { StorageSettings } from '../../src/settings/settings.ts';
import { sluice } from '../commands/running.ts';
import type { Reply } from '../support/client.ts';
import { onRedis, type Start, type TestBackend, type TestService } from '../support/service.ts';
import { started } from './command.ts';

const rule = { endpoint: '/a', limit: 100, window: '1h', algorithm: 'fixed-window' };

/** A check, and the milliseconds that it took. */
async function timed(ask: () => Promise<Reply>): Promise<{ reply: Reply; took: number }> {
  const begun = performance.now();
  const reply = await ask();
  return { reply, took: performance.now() - begun };
}

/** The deadline and 50 ms. On a busy machine a single answer may lie about for longer, but Redis is not waited for. */
function checkTimes(checks: readonly { readonly took: number }[]): void {
  const times = checks.map(({ took }) => took).sort((a, b) => a - b);
  expect(times[Math.floor(times.length / 2)]).toBeLessThan(50 + 50);
}

async function prepared(start: Start, backend: TestBackend): Promise<TestService> {
  const service = await start({ storage: { ...backend.storage(), deadline: '50ms' } as StorageSettings });
  expect((await service.put('/ratelimit/rules/a', rule)).status).toBe(201);
  expect((await service.put('/ratelimit/lists/block/user:eve')).status).toBe(201);
  expect((await service.post('/users?user_id=alice&max_tokens=10&refill_rate=1')).status).toBe(200);
  expect((await service.check({ user_id: 'alice', endpoint: '/a' })).json).toMatchObject({
    source: 'store',
    rule: 'a',
  });
  return service;
}

/** Asks for decisions until the store answers again. */
function isBack(service: TestService): Promise<void> {
  const ask = async () => (await service.check({ user_id: 'asked', endpoint: '/a' })).json.source;
  return expect.poll(ask, { timeout: 10_000, interval: 20 }).toBe('store');
}

onRedis('a service whose Redis hangs', (start, backend) => {
  it('answers checks by itself in time, refuses writes with 503, makes none of them later, and goes on as before', async () => {
    const service = await prepared(start, backend);
    const redis = backend.redis()!;
    await redis.pause();
    const checks = [];
    for (let i = 0; i < 60; i++) {
      checks.push(await timed(() => service.check({ user_id: i % 2 ? 'alice' : `new-${i}`, endpoint: '/a' })));
    }
    for (const { reply } of checks) {
      expect(reply.json).toMatchObject({ allowed: true, rule: 'a', source: 'fallback' });
    }
    checkTimes(checks);
    expect((await service.check({ user_id: 'eve', endpoint: '/a' })).json.reason).toBe('block-list');
    const batch = { checks: Array.from({ length: 100 }, () => ({ user_id: 'alice', endpoint: '/a' })) };
    const { json } = await service.post('/ratelimit/check/batch', batch);
    expect(json.results).toHaveLength(100);

    const writes = await Promise.all([
      service.put('/ratelimit/rules/late', { ...rule, endpoint: '/late' }),
      service.post('/ratelimit/rules', { ...rule, id: 'later', endpoint: '/later' }),
      service.put('/ratelimit/rules/a', { ...rule, limit: 1 }),
      service.delete('/ratelimit/rules/a'),
      service.put('/ratelimit/lists/allow/user:late'),
      service.delete('/ratelimit/lists/block/user:eve'),
      service.post('/users?user_id=late&max_tokens=3&refill_rate=1'),
      service.post('/users?user_id=alice&max_tokens=3&refill_rate=1'),
      service.delete('/users?user_id=alice'),
    ]);
    for (const { status, headers } of writes) {
      expect(status).toBe(503);
      expect(headers['content-type']).toMatch(/^application\/problem\+json/);
    }
    for (const path of ['/users?user_id=alice', '/users', '/ratelimit/audit', '/ratelimit/analytics']) {
      expect((await service.get(path)).status, path).toBe(503);
    }
    // Rules and lists are known here.
    expect((await service.get('/ratelimit/rules/a')).json).toMatchObject(rule);
    expect((await service.get('/readyz')).status).toBe(200);

    redis.resume();
    await isBack(service);
    await expect
      .poll(() => service.put('/ratelimit/rules/b', { ...rule, endpoint: '/b' }).then(({ status }) => status))
      .toBe(201);
    const { rules, version } = (await service.get('/ratelimit/rules')).json;
    expect(version).toBe(3);
    expect(rules.map(({ id, limit }: { id: string; limit: number }) => [id, limit])).toEqual([
      ['a', 100],
      ['b', 100],
    ]);
    expect((await service.get('/ratelimit/lists/allow')).json.entries).toEqual([]);
    expect((await service.get('/ratelimit/lists/block/user:eve')).status).toBe(200);
    expect((await service.get('/users?user_id=alice')).json).toMatchObject({ max_tokens: 10 });
    expect((await service.get('/users?user_id=late')).status).toBe(404);
    expect((await service.get('/ratelimit/audit')).json.entries).toHaveLength(3);
  });
});

onRedis('a service whose Redis is killed', (start, backend) => {
  it('answers checks by itself in time, refuses writes with 503, and keeps its rules though Redis comes back empty', async () => {
    const service = await prepared(start, backend);
    const redis = backend.redis()!;
    await redis.kill();
    const checks = [];
    for (let i = 0; i < 60; i++) {
      checks.push(await timed(() => service.check({ user_id: i % 2 ? 'alice' : `new-${i}`, endpoint: '/a' })));
    }
    for (const { reply } of checks) expect(reply.json).toMatchObject({ allowed: true, rule: 'a', source: 'fallback' });
    checkTimes(checks);
    for (const write of [
      await service.put('/ratelimit/rules/late', { ...rule, endpoint: '/late' }),
      await service.delete('/ratelimit/rules/a'),
      await service.put('/ratelimit/lists/allow/user:late'),
      await service.post('/users?user_id=late&max_tokens=3&refill_rate=1'),
    ]) {
      expect(write.status).toBe(503);
    }
    await redis.restart();
    await isBack(service);
    // It has lost the rules: what it says now is not what anybody wants in force.
    await expect
      .poll(async () => (await service.get('/metrics')).text, { timeout: 10_000 })
      .toContain('sluice_configuration_stale 1');
    await expect.poll(async () => (await service.get('/readyz')).text, { timeout: 10_000 }).toMatch(/has lost writes/);
    expect((await service.check({ user_id: 'alice', endpoint: '/a' })).json.rule).toBe('a');
    expect((await service.check({ user_id: 'eve' })).json.reason).toBe('block-list');
    expect((await service.put('/ratelimit/rules/b', { ...rule, endpoint: '/b' })).status).toBe(503);
  });
});

onRedis('a service whose Redis has lost its data', (start, backend) => {
  it('goes on with its rules, says so, writes nothing on top, and goes on as before with the data restored', async () => {
    const service = await prepared(start, backend);
    const redis = backend.redis()!;
    const names = ['version', 'rules', 'allow', 'block', 'audit'].map((name) => `ratelimit:{config}:${name}`);
    for (const key of names) {
      const exists = await redis.cli('EXISTS', key);
      if (exists === '1') await redis.cli('COPY', key, key, 'DB', '1');
    }
    await redis.cli('FLUSHDB');
    const note = async () => (await service.get('/readyz')).text;
    await expect.poll(note, { timeout: 10_000 }).toMatch(/^ready\n.*has lost writes/);
    expect((await service.get('/readyz')).status).toBe(200);
    expect((await service.get('/metrics')).text).toContain('sluice_configuration_stale 1');
    expect((await service.check({ user_id: 'alice', endpoint: '/a' })).json).toMatchObject({ rule: 'a', limit: 100 });
    expect((await service.check({ user_id: 'eve' })).json.reason).toBe('block-list');
    const write = await service.put('/ratelimit/rules/b', { ...rule, endpoint: '/b' });
    expect([write.status, write.json.detail]).toEqual([503, expect.stringMatching(/lost/)]);
    expect(await redis.cli('EXISTS', ...names)).toBe('0');
    // What is restored is what is in force.
    for (const key of names) {
      const kept = await redis.cli('-n', '1', 'EXISTS', key);
      if (kept === '1') await redis.cli('-n', '1', 'COPY', key, key, 'DB', '0');
    }
    await expect.poll(note, { timeout: 10_000 }).toBe('ready\n');
    expect((await service.put('/ratelimit/rules/b', { ...rule, endpoint: '/b' })).json.version).toBe(3);
  });
});

onRedis('two services on one Redis', (start) => {
  it('that write a rule at once with the same ETag write it once', async () => {
    const [a, b] = [await start(), await start()];
    await a.put('/ratelimit/rules/a', rule);
    for (let round = 0; round < 20; round++) {
      const { etag } = (await a.get('/ratelimit/rules/a')).headers;
      const replies = await Promise.all(
        [a, b, a, b].map((service, i) =>
          service.put('/ratelimit/rules/a', { ...rule, limit: 10 + i }, { 'if-match': etag! }),
        ),
      );
      expect(replies.map(({ status }) => status).sort()).toEqual([200, 412, 412, 412]);
      const winner = replies.find(({ status }) => status === 200)!.json;
      // In force where it was written; on the other instance within a second.
      for (const service of [a, b]) {
        await expect
          .poll(async () => (await service.get('/ratelimit/rules/a')).json, { timeout: 1_000, interval: 10 })
          .toEqual(winner);
      }
    }
    expect((await a.get('/ratelimit/rules')).json.version).toBe(21);
  });

  it('that add rules for the same requests at once keep one of them', async () => {
    const [a, b] = [await start(), await start()];
    for (let round = 0; round < 10; round++) {
      const ids = ['w', 'x', 'y', 'z'].map((name) => `${name}${round}`);
      const replies = await Promise.all(
        ids.map((id, i) => (i % 2 ? a : b).post('/ratelimit/rules', { ...rule, id, endpoint: `/${round}` })),
      );
      expect(replies.map(({ status }) => status).sort()).toEqual([201, 409, 409, 409]);
      const winner = ids[replies.findIndex(({ status }) => status === 201)];
      for (const service of [a, b]) {
        const found = async () => {
          const { rules } = (await service.get('/ratelimit/rules')).json;
          return rules.map(({ id }: { id: string }) => id).filter((id: string) => ids.includes(id));
        };
        await expect.poll(found, { timeout: 1_000, interval: 10 }).toEqual([winner]);
        expect((await service.check({ user_id: 'u', endpoint: `/${round}` })).json.rule).toBe(winner);
      }
    }
  });
});

describe('the command while Redis hangs', () => {
  it('ends with 0 when it is told to, and says in its log that counts are lost', async () => {
    const redis = await RedisServer.start();
    onTestFinished(() => redis.stop());
    const service = await started(['--redis', redis.url, '--instances', '2']);
    await service.client.check({ user_id: 'alice', endpoint: '/a' });
    await redis.pause();
    expect((await service.client.check({ user_id: 'alice', endpoint: '/a' })).status).toBe(200);
    service.running.child.kill('SIGTERM');
    const { code, stderr } = await service.running.ended();
    service.client.close();
    expect(code, stderr).toBe(0);
    expect(stderr).toContain(
      'What analytics have counted since Redis last took them is lost: Redis could not be asked',
    );
    expect(stderr).not.toMatch(/^sluice: /m);
  });
});

describe('the command without a Redis that answers', () => {
  it('ends with 1, and says what to do', async () => {
    const url = `redis://127.0.0.1:${await freePort()}`;
    const { code, stdout, stderr } = await sluice(['serve', '--port', '0', '--redis', url, '--instances', '2']);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/^sluice: Redis does not answer \(.*ECONNREFUSED.*\n$/m);
    expect(stderr).toContain('--redis');
  });
});
