import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import { afterEach, describe, expect, test } from 'vitest';
import { FaultProxy } from '../../../../test/support/redis/fault-proxy.ts';
import { RedisServer } from '../../../../test/support/redis/server.ts';
import { until } from '../../../../test/support/redis/until.ts';
import { LiveConfiguration } from '../../src/configuration/live.ts';
import { recoverScript, stageScript, surveyScript } from '../../src/configuration/redis-scripts.ts';
import { RedisConfigurationStore } from '../../src/configuration/redis-store.ts';
import { connected, withServer } from '../support/redis.ts';
import { entryChange, ruleChange } from './store-suite.ts';

let redis: Redis;
let server: RedisServer;
withServer((client, itsServer) => {
  redis = client;
  server = itsServer;
});

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const clean of cleanups.splice(0).toReversed()) await clean();
});

interface Setup {
  readonly url?: string;
  /** Runs before a script is sent. */
  readonly onEval?: (script: string) => unknown;
  /** Does not hear of writes, and does not look by itself. */
  readonly isDeaf?: boolean;
}

describe('a recovery', () => {
  let prefix: string;
  const key = (name: string) => `${prefix}:{config}:${name}`;

  /** An instance of the service; those of one test share a prefix. */
  async function instance({ url = server.url, onEval, isDeaf = false }: Setup = {}) {
    const client = await connected(url);
    const send = client.eval.bind(client) as (...args: unknown[]) => Promise<unknown>;
    client.eval = async (...args: unknown[]) => {
      await onEval?.(String(args[0]));
      return send(...args);
    };
    const store = new RedisConfigurationStore(client, { prefix });
    if (isDeaf) store.onChange = () => () => {};
    const versions: number[] = [];
    const live = await LiveConfiguration.start(store, {
      apply: ({ version }) => void versions.push(version),
      ...(isDeaf && { pollEvery: 2 ** 31 }),
    });
    cleanups.push(
      () => client.disconnect(),
      () => store.close(),
      () => live.close(),
    );
    return { live, store, versions, isLost: async () => live.status.stale?.why === 'lost' };
  }

  async function instances(count: number, setup: Setup = {}) {
    prefix = `test-${randomUUID()}`;
    const all = [];
    for (let i = 0; i < count; i++) all.push(await instance(setup));
    return all as [Instance, Instance, ...Instance[]];
  }
  type Instance = Awaited<ReturnType<typeof instance>>;

  async function lose(): Promise<void> {
    await redis.del(['version', 'rules', 'allow', 'block', 'audit'].map(key));
  }

  /** What the instances have in force, by what was written. */
  const told = ({ live }: Instance) => [
    live.current.version,
    [...live.current.rules].map(([id, { rule }]) => `${id} ${rule.limit}`),
    [...live.current.allow.keys()],
    [...live.current.block.keys()],
  ];

  test('from the service writes back what is in force, for every instance, and writes go on', async () => {
    const [a, b] = await instances(2);
    await a.live.write(ruleChange('z', { limit: 1 }), 'me', 'absent');
    await a.live.write(ruleChange('y', { limit: 2 }), 'me', 'absent');
    await a.live.write(
      entryChange('block', 'user:1', { expiresAt: '2099-01-01T00:00:00Z', note: 'n' }),
      'me',
      'absent',
    );
    const before = a.live.current;
    await until('all have it', async () => b.live.current.version === 3);
    await lose();
    for (const one of [a, b]) await until('the loss is noticed', one.isLost);
    const entry = await b.live.recover('service', 'admin-1 ::1');
    expect(entry).toMatchObject({ version: 1_000_003, by: 'admin-1 ::1', kind: 'recovery', id: 'service' });
    expect(b.live.status).toMatchObject({ version: entry.version, stale: undefined });
    await until('the other one follows', async () => a.live.status.version === entry.version);
    expect(a.live.status.stale).toBeUndefined();
    expect(told(a)).toEqual([1_000_003, ['y 2', 'z 1'], [], ['user:1']]);
    expect(told(b)).toEqual(told(a));
    // Only the versions are others, in the order of the ones before: the first of two rules that cannot stand together stays.
    expect(a.live.current.rules.get('z')).toEqual({ ...before.rules.get('z'), version: 1_000_001 });
    expect(a.live.current.rules.get('y')).toEqual({ ...before.rules.get('y'), version: 1_000_002 });
    expect(a.live.current.block.get('user:1')).toEqual({ ...before.block.get('user:1'), version: 1_000_003 });
    expect(await a.store.audit(10)).toEqual([entry]);
    expect(await a.live.write(ruleChange('x'), 'me', 'absent')).toMatchObject({ entry: { version: 1_000_004 } });
    expect(await redis.keys(`${prefix}*recovery*`)).toEqual([]);
    for (const name of ['rules', 'block']) expect(await redis.pttl(key(name))).toBe(-1);
    for (const { versions } of [a, b]) expect(versions).toEqual(versions.toSorted((x, y) => x - y));
  });

  test('from the storage goes by what is left there, for every instance', async () => {
    const [a, b] = await instances(2);
    await a.live.write(ruleChange('kept'), 'me', 'absent');
    const left = { version: await redis.get(key('version')), rules: await redis.hgetall(key('rules')) };
    await a.live.write(ruleChange('lost'), 'me', 'absent');
    await until('all have it', async () => b.live.current.version === 2);
    // A replica that had not heard of the last write.
    await redis.set(key('version'), left.version!);
    await redis.del(key('rules'));
    await redis.hset(key('rules'), left.rules);
    await redis.xdel(key('audit'), '2-0');
    for (const one of [a, b]) await until('the loss is noticed', one.isLost);
    const entry = await a.live.recover('storage', 'me');
    expect(entry).toMatchObject({ version: 1_000_001, id: 'storage' });
    await until('the other one follows', async () => b.live.status.version === entry.version);
    for (const one of [a, b]) {
      expect(told(one)).toEqual([1_000_001, ['kept 5'], [], []]);
      expect(one.live.status.stale).toBeUndefined();
    }
    expect((await a.store.audit(10)).map(({ version }) => version)).toEqual([1_000_001, 1]);
  });

  test('from a storage that is empty lets every rule go, and a second loss can be recovered from as well', async () => {
    const [a, b] = await instances(2);
    await a.live.write(ruleChange('login'), 'me', 'absent');
    await until('all have it', async () => b.live.current.version === 1);
    await lose();
    for (const one of [a, b]) await until('the loss is noticed', one.isLost);
    await a.live.recover('storage', 'me');
    await until('the other one follows', async () => b.live.status.version === 1_000_000);
    expect(told(b)).toEqual([1_000_000, [], [], []]);
    await b.live.write(ruleChange('new'), 'me', 'absent');
    await until('all have it', async () => a.live.current.rules.has('new'));
    await lose();
    for (const one of [a, b]) await until('the loss is noticed', one.isLost);
    expect(await a.live.recover('service', 'me')).toMatchObject({ version: 2_000_001 });
    await until('the other one follows', async () => b.live.status.version === 2_000_001);
  });

  test('of two administrators at once one is heard, and the other is told that nothing is lost any more', async () => {
    const [a, b] = await instances(2);
    await a.live.write(ruleChange('login'), 'me', 'absent');
    await until('all have it', async () => b.live.current.version === 1);
    for (let round = 1; round <= 5; round++) {
      await lose();
      for (const one of [a, b]) await until('the loss is noticed', one.isLost);
      const answers = await Promise.allSettled([a.live.recover('service', 'a'), b.live.recover('service', 'b')]);
      const refusals = answers.filter((answer) => answer.status === 'rejected').map(({ reason }) => reason.status);
      expect(refusals).toEqual([409]);
      await until('all agree', async () => a.live.status.version === b.live.status.version);
      for (const one of [a, b]) expect(told(one)).toEqual([round * 1_000_000 + 1, ['login 5'], [], []]);
      expect(await a.store.audit(10)).toHaveLength(1);
    }
  });

  test('is not made on top of what somebody has written since it was looked at', async () => {
    const [a] = await instances(1);
    await a.live.write(ruleChange('one'), 'me', 'absent');
    await a.live.write(ruleChange('two'), 'me', 'absent');
    let surveys = 0;
    let fresh: Instance | undefined;
    const b = await instance({
      onEval: async (script) => {
        if (script === surveyScript) surveys++;
        // One that was started after the loss, and knows of none.
        if (script === recoverScript && surveys === 1) await fresh!.live.write(ruleChange('since'), 'me', 'absent');
      },
    });
    await lose();
    fresh = await instance();
    await until('the loss is noticed', b.isLost);
    expect(await b.live.recover('storage', 'me')).toMatchObject({ version: 1_000_001 });
    expect(surveys).toBe(2);
    expect(told(b)).toEqual([1_000_001, ['since 5'], [], []]);
    await until('all agree', async () => fresh.live.status.version === 1_000_001);
  });

  test('from the service leaves nothing of what was written since the loss', async () => {
    const [a] = await instances(1);
    await a.live.write(ruleChange('login'), 'me', 'absent');
    await lose();
    const fresh = await instance();
    await fresh.live.write(entryChange('block', 'user:1'), 'me', 'absent');
    await until('the loss is noticed', a.isLost);
    await a.live.recover('service', 'me');
    await until('all agree', async () => fresh.live.status.version === 1_000_001);
    for (const one of [a, fresh]) expect(told(one)).toEqual([1_000_001, ['login 5'], [], []]);
    expect(a.live.status.stale).toBeUndefined();
    expect(await redis.exists(key('block'))).toBe(0);
    // What is gone is still told of in the audit log.
    expect((await a.store.audit(10)).map(({ version }) => version)).toEqual([1_000_001, 1]);
  });

  test('is not made where nothing is lost, and changes nothing', async () => {
    const [a] = await instances(1);
    await a.live.write(ruleChange('login'), 'me', 'absent');
    for (const from of ['service', 'storage'] as const) {
      await expect(a.live.recover(from, 'me')).rejects.toMatchObject({
        status: 409,
        detail: expect.stringContaining('Nothing was changed'),
      });
    }
    expect(await redis.get(key('version'))).toBe('1 1 1 0 0');
    expect(await redis.keys(`${prefix}*`)).toHaveLength(3);
  });

  test('from the service puts back what the server has evicted; from the storage it cannot', async () => {
    const [a] = await instances(1);
    await a.live.write(ruleChange('login'), 'me', 'absent');
    await a.live.write(entryChange('allow', 'user:1'), 'me', 'absent');
    await redis.del(key('rules'));
    await expect(a.live.recover('storage', 'me')).rejects.toMatchObject({
      status: 409,
      detail: expect.stringContaining(`"${key('rules')}" is not as it was written`),
    });
    expect(await a.live.recover('service', 'me')).toMatchObject({ version: 1_000_002 });
    expect(a.live.status.stale).toBeUndefined();
    expect(told(a)).toEqual([1_000_002, ['login 5'], ['user:1'], []]);
    // The log of what was before is still there.
    expect(await a.store.audit(10)).toHaveLength(3);
  });

  test('does not write over what a newer version of sluice has written', async () => {
    const [a] = await instances(1);
    await a.live.write(ruleChange('login'), 'me', 'absent');
    await redis.set(key('version'), '2 something else');
    await expect(a.live.recover('service', 'me')).rejects.toMatchObject({ status: 409 });
    expect(await redis.get(key('version'))).toBe('2 something else');
  });

  test('an answer that is lost on the way is found out, and the recovery made once', async () => {
    const proxy = await FaultProxy.to(server.port);
    cleanups.push(() => proxy.close());
    const [a] = await instances(1, {
      url: proxy.url,
      onEval: (script) => script === recoverScript && proxy.cutAfterRequest(),
    });
    await a.live.write(ruleChange('login'), 'me', 'absent');
    await lose();
    expect(await a.live.recover('service', 'me')).toMatchObject({ version: 1_000_001 });
    expect(await redis.xlen(key('audit'))).toBe(1);
  });

  test('a process that dies with the half of it done has changed nothing, and leaves nothing for good', async () => {
    const [a] = await instances(1);
    for (let i = 0; i < 3; i++) await a.live.write(ruleChange(`r${i}`), 'me', 'absent');
    const steps: string[] = [];
    const dying = await instance({
      onEval: (script) => {
        if (script === stageScript) steps.push('stage');
        if (script !== recoverScript) return;
        steps.push('recover');
        // What a process that is gone does not send.
        return new Promise(() => {});
      },
    });
    await lose();
    await until('the loss is noticed', dying.isLost);
    await expect(dying.live.recover('service', 'me')).rejects.toMatchObject({ status: 503 });
    expect(steps).toEqual(['stage', 'recover']);
    expect(await redis.get(key('version'))).toBeNull();
    const [staged] = await redis.keys(`${prefix}*`);
    expect(staged).toContain(':recovery:');
    expect(await redis.pttl(staged!)).toBeGreaterThan(0);
    expect(await a.live.recover('service', 'me')).toMatchObject({ version: 1_000_003 });
  });

  test('what was put together and is gone again is put together anew', async () => {
    let isFirst = true;
    const [a] = await instances(1, {
      onEval: async (script) => {
        if (script !== recoverScript || !isFirst) return;
        isFirst = false;
        for (const staged of await redis.keys(`${prefix}*:recovery:*`)) await redis.del(staged);
      },
    });
    await a.live.write(ruleChange('login'), 'me', 'absent');
    await lose();
    await a.live.recover('service', 'me');
    expect(told(a)).toEqual([1_000_001, ['login 5'], [], []]);
  });

  test('a server that is full refuses it, and all stays as it was', async () => {
    const own = await RedisServer.start();
    cleanups.push(() => own.stop());
    const [a] = await instances(1, { url: own.url });
    await a.live.write(ruleChange('login'), 'me', 'absent');
    await own.cli('FLUSHALL');
    await own.cli('CONFIG', 'SET', 'maxmemory', '1');
    await expect(a.live.recover('service', 'me')).rejects.toMatchObject({
      status: 503,
      detail: expect.stringContaining('OOM'),
    });
    expect(await own.cli('DBSIZE')).toBe('0');
    await own.cli('CONFIG', 'SET', 'maxmemory', '0');
    await a.live.recover('service', 'me');
    expect(told(a)).toEqual([1_000_001, ['login 5'], [], []]);
  });

  test('takes a thousand rules and more at once, and none of them half', async () => {
    const [a, b] = await instances(2);
    const texts = Array.from({ length: 1_200 }, (_, i) => {
      const text = `1 ${i + 1} 1764000000000 1764000000000 {"id":"r${i}","endpoint":"/${i}","limit":5,"window":"1m"}`;
      return [`r${i}`, text];
    });
    await redis.hset(key('rules'), ...texts.flat());
    await redis.set(key('version'), '1 1200 1200 0 0');
    for (const one of [a, b]) await until('it is in force', async () => one.live.current.version === 1_200);
    await lose();
    await until('the loss is noticed', b.isLost);
    expect(await b.live.recover('service', 'me')).toMatchObject({ version: 1_001_200 });
    await until('the other one follows', async () => a.live.current.version === 1_001_200);
    expect(a.live.current.rules.size).toBe(1_200);
    expect(a.versions).toEqual([0, 1_200, 1_001_200]);
  });

  test('an instance does not take other writes for those it knows of because their numbers are the same', async () => {
    const [a, b] = await instances(2);
    await a.live.write(ruleChange('login', { limit: 1 }), 'me', 'absent');
    await until('all have it', async () => b.live.current.version === 1);
    await lose();
    const fresh = await instance();
    for (let limit = 7; limit <= 9; limit++) {
      await fresh.live.write(ruleChange('login', { limit }), 'me', 'anything');
      for (const one of [a, b]) await one.live.refresh();
      for (const one of [a, b]) expect(one.live.status).toMatchObject({ version: 1, stale: { why: 'lost' } });
    }
    await expect(a.live.write(ruleChange('other'), 'me', 'absent')).rejects.toMatchObject({ status: 503 });
    expect(told(a)).toEqual([1, ['login 1'], [], []]);
    await b.live.recover('storage', 'me');
    for (const one of [a, b, fresh]) {
      await until('all agree', async () => one.live.status.version === 1_000_001);
      expect(told(one)).toEqual([1_000_001, ['login 9'], [], []]);
    }
  });

  test('an instance that has heard of more than the one that recovered follows it all the same', async () => {
    const [a] = await instances(1);
    for (let limit = 1; limit <= 4; limit++) await a.live.write(ruleChange('login', { limit }), 'me', 'anything');
    // It was started when the store had lost most of that, and knows of little.
    await lose();
    const b = await instance();
    await b.live.write(ruleChange('login', { limit: 50 }), 'me', 'absent');
    await lose();
    await until('the loss is noticed', b.isLost);
    await b.live.recover('service', 'me');
    await until('all agree', async () => a.live.status.version === 1_000_001);
    expect(told(a)).toEqual([1_000_001, ['login 50'], [], []]);
    expect(a.live.status.stale).toBeUndefined();
  });

  test('is refused while the server does not answer, within its bounds', async () => {
    const own = await RedisServer.start();
    cleanups.push(() => own.stop());
    const [a] = await instances(1, { url: own.url });
    await own.pause();
    await expect(a.live.recover('service', 'me')).rejects.toMatchObject({ status: 503 });
    own.resume();
  });
});
