import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import { afterEach, describe, expect, test } from 'vitest';
import { FaultProxy } from '../../../../test/support/redis/fault-proxy.ts';
import { RedisServer } from '../../../../test/support/redis/server.ts';
import { until } from '../../../../test/support/redis/until.ts';
import { lookScript, writeScript } from '../../src/configuration/redis-scripts.ts';
import { RedisConfigurationStore } from '../../src/configuration/redis-store.ts';
import { connected, withServer } from '../support/redis.ts';
import { configurationStoreSuite, entryChange, ruleChange, text } from './store-suite.ts';

let redis: Redis;
let server: RedisServer;
withServer((client, itsServer) => {
  redis = client;
  server = itsServer;
});

configurationStoreSuite('RedisConfigurationStore', async () => {
  const prefix = `test-${randomUUID()}`;
  return {
    open: async () => new RedisConfigurationStore(redis, { prefix }),
    close: async () => {},
  };
});

/** What HGETALL replies, as an object. */
function pairsOf(reply: readonly string[] | Record<string, string>): Record<string, string> {
  if (!Array.isArray(reply)) return reply as Record<string, string>;
  return Object.fromEntries(reply.flatMap((id, i) => (i % 2 === 0 ? [[id, reply[i + 1]!]] : [])));
}

describe('a RedisConfigurationStore', () => {
  const cleanups: (() => unknown)[] = [];
  afterEach(async () => {
    for (const clean of cleanups.splice(0).toReversed()) await clean();
  });

  let prefix: string;

  interface Setup {
    readonly url?: string;
    readonly over?: string;
    readonly auditLength?: number;
    readonly auditBytes?: number;
    readonly socketTimeout?: number;
    /** Runs before a script is sent: faults come at the right moment, not at a guessed one. */
    readonly onEval?: (...args: Parameters<typeof redis.eval>) => unknown;
  }

  /** A store over a client of its own, on a prefix that no other test uses, unless `over` names one. */
  async function store({ url = server.url, over, onEval, socketTimeout, ...options }: Setup = {}) {
    prefix = over ?? `test-${randomUUID()}`;
    const client = await connected(url, socketTimeout === undefined ? {} : { socketTimeout });
    if (onEval) {
      const send = client.eval.bind(client) as (...args: unknown[]) => Promise<unknown>;
      client.eval = async (...args: unknown[]) => {
        await onEval(...(args as Parameters<typeof redis.eval>));
        return send(...args);
      };
    }
    const made = new RedisConfigurationStore(client, { prefix, ...options });
    cleanups.push(
      () => client.disconnect(),
      () => made.close(),
    );
    return made;
  }

  async function proxied() {
    const proxy = await FaultProxy.to(server.port);
    cleanups.push(() => proxy.close());
    return proxy;
  }

  const key = (name: string) => `${prefix}:{config}:${name}`;

  test('forgets the oldest writes where the audit log takes too many bytes, and keeps the latest in any case', async () => {
    const one = await store({ auditBytes: 100_000 });
    for (let limit = 1; limit <= 60; limit++) {
      await one.write(ruleChange('a', { limit, description: text(4) }), 'me', 'anything');
      const told = await one.audit(1_000);
      expect(JSON.stringify(told).length).toBeLessThanOrEqual(120_000);
      expect(told.map(({ version }) => version).slice(0, 9)).toEqual(
        Array.from({ length: Math.min(limit, 9) }, (_, i) => limit - i),
      );
    }
    expect(await redis.xlen(`${prefix}:{config}:audit`)).toBeLessThan(15);
    await one.write(ruleChange('b', { description: text(200) }), 'me', 'anything');
    await one.write(ruleChange('c', { description: text(200) }), 'me', 'anything');
    expect((await one.audit(10)).map(({ version }) => version)).toEqual([62]);
    expect((await one.load()).rules.size).toBe(3);
  });

  test('keeps everything under one hash tag, each value with its format', async () => {
    const a = await store();
    await a.write(ruleChange('login'), 'me', 'anything');
    await a.write(entryChange('block', 'user:1'), 'me', 'anything');
    expect((await redis.keys(`${prefix}*`)).sort()).toEqual(['audit', 'block', 'rules', 'version'].map(key));
    expect(await redis.get(key('version'))).toBe('1 2 1 0 1');
    expect(await redis.hget(key('rules'), 'login')).toMatch(/^1 1 \d{13} \d{13} \{"id":"login",/);
    expect(await redis.hget(key('block'), 'user:1')).toMatch(/^1 2 \d{13} \d{13} \{"entry":"user:1"\}$/);
  });

  test('another instance sees a write, and is told of it', async () => {
    const a = await store();
    const b = await store({ over: prefix });
    const heard = new Promise<void>((resolve) => b.onChange(resolve));
    await a.write(ruleChange('login'), 'me', 'anything');
    await heard;
    expect((await b.load()).rules.get('login')).toMatchObject({ version: 1, rule: { limit: 5 } });
    expect(await b.version()).toBe(1);
  });

  test('instances that write the same rule at once never write over one another unseen', async () => {
    const a = await store();
    const b = await store({ over: prefix });
    await a.write(ruleChange('login', { limit: 0 }), 'me', 'anything');
    const increments = Array.from({ length: 10 }, async (_, i) => {
      const by = i % 2 === 0 ? a : b;
      for (;;) {
        const found = (await by.load()).rules.get('login')!;
        const next = ruleChange('login', { limit: found.rule.limit! + 1 });
        if ((await by.write(next, `writer ${i}`, [found.version])).outcome === 'written') return;
      }
    });
    await Promise.all(increments);
    expect((await a.load()).rules.get('login')).toMatchObject({ version: 11, rule: { limit: 10 } });
  });

  test('keeps the latest entries of the audit log and lets go of older ones', async () => {
    const a = await store({ auditLength: 10 });
    for (let i = 0; i < 25; i++) await a.write(ruleChange('login', { limit: i }), 'me', 'anything');
    expect((await a.audit(100)).map(({ version }) => version)).toEqual([25, 24, 23, 22, 21, 20, 19, 18, 17, 16]);
  });

  test('what is loaded while others write is all of one version', async () => {
    const a = await store();
    const b = await store({ over: prefix });
    let isWriting = true;
    const writes = (async () => {
      for (let i = 0; i < 300; i++) await a.write(ruleChange(`r${i}`), 'me', 'absent');
      isWriting = false;
    })();
    const versions = new Set<number>();
    while (isWriting) {
      const { version, rules } = await b.load();
      expect(rules.size).toBe(version);
      versions.add(version);
    }
    await writes;
    expect(versions.size).toBeGreaterThan(10);
  });

  test('reads again where somebody writes between two of its reads', async () => {
    const other = await store();
    await other.write(ruleChange('login'), 'me', 'anything');
    const client = await connected(server.url);
    cleanups.push(() => client.disconnect());
    let wasInterrupted = false;
    // The commands of a batch one by one, so that there is a moment between them.
    const run = async (commands: readonly [string, ...(string | number)[]][]) => {
      const results: [null, unknown][] = [];
      for (const [name, ...args] of commands) {
        const reply = await client.call(name, ...args);
        results.push([null, name === 'hgetall' ? pairsOf(reply as string[]) : reply]);
        if (wasInterrupted || name !== 'hgetall') continue;
        wasInterrupted = true;
        await other.write(entryChange('block', 'user:1'), 'me', 'anything');
      }
      return results;
    };
    Object.assign(client, {
      pipeline() {
        const commands: [string, ...(string | number)[]][] = [];
        const add =
          (name: string) =>
          (...args: (string | number)[]) => {
            commands.push([name, ...args]);
            return batch;
          };
        const batch = { eval: add('eval'), hgetall: add('hgetall'), exec: () => run(commands) };
        return batch;
      },
    });
    const { version, rules, block } = await new RedisConfigurationStore(client, { prefix }).load();
    expect(wasInterrupted).toBe(true);
    expect([version, rules.size, block.size]).toEqual([2, 1, 1]);
  });

  test('loads ten thousand rules as one version', async () => {
    const a = await store();
    const text = (i: number) =>
      `1 ${i + 1} 1764000000000 1764000000000 {"id":"r${i}","endpoint":"/${i}","limit":5,"window":"1m"}`;
    const pairs = Array.from({ length: 10_000 }, (_, i) => [`r${i}`, text(i)]).flat();
    await redis.hset(key('rules'), ...pairs);
    await redis.set(key('version'), '1 10000 10000 0 0');
    const { rules, version } = await a.load();
    expect(version).toBe(10_000);
    expect(rules.size).toBe(10_000);
    expect(rules.get('r9999')).toMatchObject({ version: 10_000, rule: { endpoint: '/9999' } });
  });

  test('finds a write whose answer was lost, and answers with it', async () => {
    const proxy = await proxied();
    const a = await store({ url: proxy.url, onEval: (script) => script === writeScript && proxy.swallowReplies(1) });
    const written = await a.write(ruleChange('login'), 'me', 'absent');
    expect(written).toMatchObject({ outcome: 'written', entry: { version: 1, before: null } });
    expect(await a.version()).toBe(1);
    expect(await a.audit(10)).toEqual([written.outcome === 'written' && written.entry]);
  });

  test('a write on a connection that is cut before the answer is told as what it was: made, once', async () => {
    const proxy = await proxied();
    const a = await store({ url: proxy.url, onEval: (script) => script === writeScript && proxy.cutAfterRequest() });
    for (let i = 1; i <= 10; i++) {
      const connections = proxy.connections;
      const written = await a.write(ruleChange('login', { limit: i }), 'me', 'anything');
      expect(written).toMatchObject({ outcome: 'written', entry: { version: i } });
      expect(proxy.connections).toBe(connections + 1);
    }
    expect((await a.audit(100)).map(({ version }) => version)).toEqual([10, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
  });

  test('a write that reaches the server twice is made once, and answered alike', async () => {
    const answers: unknown[] = [];
    const a = await store({
      onEval: async (script, ...rest) => script === writeScript && answers.push(await redis.eval(script, ...rest)),
    });
    expect(await a.write(ruleChange('login'), 'me', 'absent')).toMatchObject({
      outcome: 'written',
      entry: { version: 1 },
    });
    expect(answers).toMatchObject([['written', '1-0', expect.anything()]]);
    expect(await a.version()).toBe(1);
  });

  test('a server that hangs is answered with 503, and the write is not made when it goes on', async () => {
    const own = await RedisServer.start();
    cleanups.push(() => own.stop());
    const a = await store({ url: own.url });
    await a.write(ruleChange('login'), 'me', 'anything');
    await own.pause();
    await expect(a.write(ruleChange('login', { limit: 9 }), 'me', 'anything')).rejects.toMatchObject({
      status: 503,
      detail: expect.stringContaining('was not made'),
    });
    await expect(a.load()).rejects.toMatchObject({ status: 503 });
    await expect(a.version()).rejects.toMatchObject({ status: 503 });
    await expect(a.audit(10)).rejects.toMatchObject({ status: 503 });
    own.resume();
    const { rules, version } = await until('the server answers', () => a.load());
    expect(version).toBe(1);
    expect(rules.get('login')!.rule.limit).toBe(5);
  });

  test('a server that hangs with the write in its hands leaves the writer in doubt, says so, and does not make it later', async () => {
    const own = await RedisServer.start();
    cleanups.push(() => own.stop());
    let armed = false;
    const a = await store({ url: own.url, onEval: async (script) => armed && script === writeScript && own.pause() });
    await a.write(ruleChange('login'), 'me', 'anything');
    armed = true;
    await expect(a.write(ruleChange('login', { limit: 9 }), 'me', 'anything')).rejects.toMatchObject({
      status: 503,
      detail: expect.stringContaining('not known'),
    });
    own.resume();
    const { version, rules } = await until('the server answers', () => a.load());
    expect(version).toBe(1);
    expect(rules.get('login')!.rule.limit).toBe(5);
  });

  test('a server that comes to a write when its time is over does not make it, which is found out', async () => {
    const own = await RedisServer.start();
    cleanups.push(() => own.stop());
    const a = await store({
      url: own.url,
      // A client that waits: the write lies on the connection, in front of the question what became of it.
      socketTimeout: 10_000,
      onEval: async (script) => {
        if (script === writeScript) await own.pause();
        if (script === lookScript) own.resume();
      },
    });
    await expect(a.write(ruleChange('login'), 'me', 'anything')).rejects.toMatchObject({
      status: 503,
      detail: expect.stringContaining('was not made'),
    });
    expect(await a.version()).toBe(0);
  });

  test('a server that is gone is answered with 503 at once or within the deadline, and again served when it is back', async () => {
    const own = await RedisServer.start();
    cleanups.push(() => own.stop());
    const a = await store({ url: own.url });
    await own.kill();
    await expect(a.write(ruleChange('login'), 'me', 'anything')).rejects.toMatchObject({ status: 503 });
    await own.restart();
    await until('the client is connected', () => a.write(ruleChange('login'), 'me', 'anything'));
    expect((await a.load()).rules.size).toBe(1);
  });

  test('a write that the server refuses is not made, and the reason is told', async () => {
    const own = await RedisServer.start();
    cleanups.push(() => own.stop());
    const a = await store({ url: own.url });
    await a.write(ruleChange('login'), 'me', 'anything');
    await own.cli('CONFIG', 'SET', 'maxmemory', '1');
    await expect(a.write(ruleChange('other'), 'me', 'anything')).rejects.toMatchObject({
      status: 503,
      detail: 'The write was not made: Redis refused it (OOM).',
    });
    expect([...(await a.load()).rules.keys()]).toEqual(['login']);
    expect(await a.audit(10)).toHaveLength(1);
    await own.cli('CONFIG', 'SET', 'maxmemory', '0');
    expect(await a.write(ruleChange('other'), 'me', 'anything')).toMatchObject({ entry: { version: 2 } });
  });

  test.each(['version', 'rules', 'block'])(
    'a part that the server has lost is told of, not taken for no rules: %s',
    async (part) => {
      const a = await store();
      await a.write(ruleChange('login'), 'me', 'anything');
      await a.write(entryChange('block', 'user:1'), 'me', 'anything');
      await redis.del(key(part));
      const error = {
        code: 'UNUSABLE_STATE',
        message: expect.stringContaining(`"${key(part)}" is not as it was written`),
      };
      await expect(a.load()).rejects.toMatchObject(error);
      await expect(a.version()).rejects.toMatchObject(error);
      await expect(a.write(ruleChange('new'), 'me', 'anything')).rejects.toMatchObject({
        status: 503,
        detail: expect.stringContaining('noeviction'),
      });
      expect(await redis.hexists(key('rules'), 'new')).toBe(0);
    },
  );

  test('does not write on top of a server that has lost writes this process knows of', async () => {
    const a = await store();
    for (let i = 1; i <= 3; i++) await a.write(ruleChange(`r${i}`), 'me', 'anything');
    for (const name of ['version', 'rules', 'audit']) await redis.del(key(name));
    await expect(a.write(ruleChange('new'), 'me', 'anything')).rejects.toMatchObject({
      status: 503,
      detail: expect.stringContaining('has version 0 of the configuration, and had 3: it has lost writes'),
    });
    expect(await redis.exists(key('rules'))).toBe(0);
    // One that was started since goes by what is there.
    const b = await store({ over: prefix });
    expect(await b.write(ruleChange('new'), 'me', 'anything')).toMatchObject({ entry: { version: 1 } });
  });

  test('a value of another format is an error that names it', async () => {
    const a = await store();
    await a.write(ruleChange('login'), 'me', 'anything');
    await redis.hset(key('rules'), 'login', '2 1 {"id":"login"}');
    const named = { code: 'UNUSABLE_STATE', message: expect.stringContaining('has under "login" is not of format 1') };
    await expect(a.load()).rejects.toMatchObject(named);
    await expect(a.write(ruleChange('login'), 'me', 'anything')).rejects.toMatchObject({ status: 503 });
    expect(await redis.hget(key('rules'), 'login')).toBe('2 1 {"id":"login"}');
    await redis.set(key('version'), '2 1');
    await expect(a.load()).rejects.toMatchObject({
      code: 'UNUSABLE_STATE',
      message: expect.stringContaining('format 1'),
    });
  });

  test('hears of writes again after the connection was lost', async () => {
    const proxy = await proxied();
    const a = await store({ url: proxy.url });
    let calls = 0;
    a.onChange(() => calls++);
    const b = await store({ over: prefix });
    await until('the first subscription', async () => calls > 0);
    proxy.cut();
    const before = calls;
    await until('it has subscribed anew', async () => calls > before);
    const subscribed = calls;
    await b.write(ruleChange('login'), 'me', 'anything');
    await until('the write is heard of', async () => calls > subscribed);
  });
});
