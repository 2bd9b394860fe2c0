import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { Client } from '../support/client.ts';
import { serve } from '../support/command.ts';
import { connected } from '../support/redis.ts';
import { onBothBackends } from '../support/service.ts';

const key = 'sk-live-4f9a77c1e0d2b385';
const listed = 'sk-live-9911aa5502cc74de';
const digest = createHash('sha256').update(key).digest('base64url').slice(0, 22);

/** What must be nowhere: the keys as they are, and as they might be written. */
const forbidden = [key, listed].flatMap((text) => {
  const bytes = Buffer.from(text);
  return [text, bytes.toString('base64').replace(/=+$/, ''), bytes.toString('base64url'), bytes.toString('hex')];
});

const shows = (text: string) => forbidden.filter((secret) => text.includes(secret));

/** Everything that can be asked with an API key, rightly or wrongly. */
async function useEverything(client: Client): Promise<void> {
  const who = { api_key: key };
  await client.post('/ratelimit/rules', { id: 'login', endpoint: '/login', limit: 2, window: '1h' });
  const lists = { allow: [`api-key:${listed}`], block: [] };
  await client.post('/ratelimit/rules', { id: 'own', endpoint: '/own', limit: 2, window: '1h', lists });
  await client.put('/ratelimit/rules/own', { endpoint: '/own', limit: 3, window: '1h', lists });
  await client.post('/ratelimit/rules', { endpoint: 'wrong', limit: 2, window: '1h', lists });
  await client.post('/ratelimit/rules', { endpoint: '/x', lists: { allow: [`apikey:${key}`] } });
  for (const list of ['allow', 'block']) {
    const path = `/ratelimit/lists/${list}/api-key:${listed}`;
    await client.put(path, { note: 'a partner' });
    for (const method of ['GET', 'GET', 'DELETE', 'DELETE', 'GET']) await client.send(method, path);
    await client.put(`/ratelimit/lists/${list}/api-key:${listed}%0a`);
    await client.put(`/ratelimit/lists/${list}/key:${key}`);
    await client.get(`/ratelimit/lists/${list}/api-key:${key}%zz`);
  }
  await client.put(`/ratelimit/lists/allow/api-key:${listed}`);
  for (const more of [{}, { ip: '192.0.2.1' }, { user_id: 'alice' }, { endpoint: '/login' }, { endpoint: '/own' }]) {
    for (let i = 0; i < 4; i++) await client.check({ ...who, ...more });
    await client.post('/ratelimit/simulate', { ...who, ...more });
    await client.post('/ratelimit/report', { ...who, ...more, cost: 3 });
    await client.check({ api_key: listed, ...more });
  }
  await client.post('/ratelimit/check/batch', { checks: [who, { ...who, ip: '192.0.2.2' }] });
  const gateway = { 'x-forwarded-for': '192.0.2.1', 'x-original-uri': '/login', 'x-api-key': key };
  for (let i = 0; i < 4; i++) await client.get('/ratelimit/auth', gateway);
  await client.get('/ratelimit/auth', { 'x-api-key': key });
  await client.get('/ratelimit/auth/login', gateway);
  // What is wrong.
  for (const more of [{ cost: -1 }, { ip: key }, { endpoint: key }, { tier: key.repeat(3) }, { method: key }]) {
    await client.check({ ...who, ...more });
  }
  for (const body of [`{"api_key":"${key}"`, `{"api_key":${key}}`, `${key}`, `"${key}"`, `["${key}"]`]) {
    await client.check(body);
  }
  await client.check({ api_key: `${key}\n` });
  await client.check({ api_key: key.repeat(500) });
  await client.check({ api_key: [key] });
  await client.check(`api_key=${key}`, { 'content-type': 'application/x-www-form-urlencoded' });
  await client.post(`/ratelimit/check?api_key=${key}`, who);
  await client.get(`/nowhere/${key}?api_key=${key}`);
  await client.get('/users', { authorization: `Bearer ${key}` });
  await client.get('/users', { authorization: `Basic ${key}` });
}

onBothBackends('API keys', (_start, backend) => {
  it('appear in no answer, no log, no file, no command to Redis, no metric and no count', async () => {
    const storage = backend.storage();
    const commands: string[] = [];
    const args = ['--log-level', 'debug'];
    const redis = storage.kind === 'redis' ? await connected(storage.urls[0]!) : undefined;
    const monitor = await redis?.monitor();
    monitor?.on('monitor', (_time: string, words: readonly string[]) => commands.push(words.join(' ')));
    if (storage.kind === 'redis') args.push('--redis', storage.urls[0]!, '--instances', '1');
    else args.push('--data-dir', storage.dataDir);
    const service = await serve(args);
    const client = new Client(service.url);
    try {
      await useEverything(client);
      const { text: metrics } = await client.get('/metrics');
      expect(metrics).toContain('sluice_decisions_total{rule="login",decision="refused"');
      const { json: top } = await client.get('/ratelimit/analytics/top?by=requests');
      // It is counted, and called by its digest.
      expect(top.top.map((one: { key: string }) => one.key)).toContain(`api-key:#${digest}`);
      await client.get('/ratelimit/analytics?by=endpoint');
      for (const path of ['/users', '/ratelimit/rules', '/ratelimit/audit', '/ratelimit/lists/allow'])
        await client.get(path);
      await client.get('/openapi.json');
    } finally {
      client.close();
    }
    await service.stop();

    expect(client.exchanges.length).toBeGreaterThan(80);
    for (const { method, path, reply } of client.exchanges) {
      const answer = `${JSON.stringify(reply.headers)} ${reply.text}`;
      expect(shows(answer), `${method} ${path}: ${answer}`).toEqual([]);
    }
    const log = service.output();
    expect(log).toContain('"level":"debug"');
    expect(
      shows(log),
      log
        .split('\n')
        .filter((line) => shows(line).length > 0)
        .join('\n'),
    ).toEqual([]);

    if (storage.kind === 'embedded') {
      const names = await readdir(storage.dataDir, { recursive: true, withFileTypes: true });
      const files = names.filter((name) => name.isFile()).map((name) => join(name.parentPath, name.name));
      expect(files.length).toBeGreaterThanOrEqual(4);
      const contents = await Promise.all(files.map(async (file) => [file, await readFile(file, 'latin1')] as const));
      expect(contents.some(([, content]) => content.includes(digest))).toBe(true);
      for (const [file, content] of contents) expect(shows(`${file} ${content}`), file).toEqual([]);
      return;
    }
    // What was sent to Redis is all that can be in it.
    expect(commands.some((command) => command.includes(digest))).toBe(true);
    expect(commands.filter((command) => shows(command).length > 0)).toEqual([]);
    for (const name of await redis!.keys('*')) {
      expect(shows(name), name).toEqual([]);
      expect(shows(await contentOf(name)), name).toEqual([]);
    }
    monitor!.disconnect();
    redis!.disconnect();

    async function contentOf(name: string): Promise<string> {
      switch (await redis!.type(name)) {
        case 'string':
          return String(await redis!.get(name));
        case 'hash':
          return JSON.stringify(await redis!.hgetall(name));
        case 'set':
          return JSON.stringify(await redis!.smembers(name));
        case 'zset':
          return JSON.stringify(await redis!.zrange(name, '0', '-1'));
        case 'list':
          return JSON.stringify(await redis!.lrange(name, '0', '-1'));
        case 'stream':
          return JSON.stringify(await redis!.xrange(name, '-', '+'));
        default:
          return '';
      }
    }
  });
});
