import { randomUUID } from 'node:crypto';
import { ManualClock } from '@sluice/testing';
import type { Redis } from 'ioredis';
import { afterEach, describe, expect, test } from 'vitest';
import { FaultProxy } from '../../../../test/support/redis/fault-proxy.ts';
import { RedisServer } from '../../../../test/support/redis/server.ts';
import { until } from '../../../../test/support/redis/until.ts';
import type { Configuration, ConfigurationStore } from '../../src/configuration/configuration.ts';
import { FileConfigurationStore } from '../../src/configuration/file-store.ts';
import { LiveConfiguration } from '../../src/configuration/live.ts';
import { versionScript } from '../../src/configuration/redis-scripts.ts';
import { RedisConfigurationStore } from '../../src/configuration/redis-store.ts';
import { connected, withServer } from '../support/redis.ts';
import { MemoryJournal } from './memory-journal.ts';
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

/** What was put in force so far, and what was logged. */
class Witness {
  readonly applied: Configuration[] = [];
  readonly warnings: string[] = [];
  readonly notes: string[] = [];
  /** Refuses configurations with a rule of this id. */
  refuses: string | undefined;

  readonly apply = (configuration: Configuration): void => {
    if (this.refuses !== undefined && configuration.rules.has(this.refuses)) throw new Error('no such thing');
    this.applied.push(configuration);
  };
  readonly logger = {
    warn: (message: string) => void this.warnings.push(message),
    info: (message: string) => void this.notes.push(message),
  };

  get versions(): readonly number[] {
    return this.applied.map(({ version }) => version);
  }
}

async function live(
  store: ConfigurationStore,
  witness: Witness,
  more: { clock?: ManualClock; patience?: number } = {},
) {
  const { apply, logger } = witness;
  const configuration = await LiveConfiguration.start(store, { apply, logger, ...more });
  cleanups.push(() => configuration.close());
  return configuration;
}

describe('a LiveConfiguration over a file', () => {
  function embedded(clock = new ManualClock()) {
    return { clock, witness: new Witness(), store: new FileConfigurationStore(new MemoryJournal(), { clock }) };
  }

  test('is what the store had when it was started', async () => {
    const { clock, witness, store } = embedded();
    await store.write(ruleChange('a'), 'me', 'anything');
    const configuration = await live(store, witness, { clock });
    expect(witness.versions).toEqual([1]);
    expect(configuration.current).toBe(witness.applied[0]);
    expect(configuration.status).toEqual({ version: 1, reloads: 1, failures: 0, stale: undefined });
  });

  test('has put a write in force when it answers it', async () => {
    const { clock, witness, store } = embedded();
    const configuration = await live(store, witness, { clock });
    const written = await configuration.write(ruleChange('a'), 'me', 'absent');
    expect(written).toMatchObject({ outcome: 'written', entry: { version: 1 } });
    expect(witness.versions).toEqual([0, 1]);
    expect(configuration.current.rules.get('a')).toMatchObject({ version: 1 });
    expect(await configuration.write(ruleChange('a'), 'me', 'absent')).toMatchObject({ outcome: 'conflict' });
    expect(witness.versions).toEqual([0, 1]);
  });

  test('has put each of many writes at once in force when it answers it', async () => {
    const { clock, witness, store } = embedded();
    const configuration = await live(store, witness, { clock });
    const writes = Array.from({ length: 30 }, async (_, i) => {
      await configuration.write(ruleChange(`r${i}`), 'me', 'absent');
      expect(configuration.current.rules.has(`r${i}`)).toBe(true);
    });
    await Promise.all(writes);
    expect(configuration.current.version).toBe(30);
    expect(witness.versions).toEqual(witness.versions.toSorted((a, b) => a - b));
  });

  test('keeps what is in force where the next cannot be, tells it once, and goes on with the one after', async () => {
    const { clock, witness, store } = embedded();
    const configuration = await live(store, witness, { clock });
    await configuration.write(ruleChange('good'), 'me', 'anything');
    witness.refuses = 'bad';
    await expect(configuration.write(ruleChange('bad'), 'me', 'anything')).rejects.toMatchObject({
      status: 503,
      detail: expect.stringMatching(/^Version 2 was written, and is not in force here: .*no such thing/),
    });
    expect([...configuration.current.rules.keys()]).toEqual(['good']);
    const since = configuration.status.stale?.since;
    await clock.pass(2_000);
    expect(configuration.status).toMatchObject({ version: 1, failures: 1, stale: { why: 'refused', since } });
    expect(witness.warnings).toEqual(['Version 2 cannot be put in force: no such thing Version 1 stays in force.']);
    await configuration.write({ kind: 'rules', id: 'bad', value: null }, 'me', 'present');
    expect(configuration.status).toMatchObject({ version: 3, stale: undefined });
    expect(witness.notes).toEqual(['The configuration is up to date again, at version 3.']);
  });

  test('leaves out what has ended, and takes out of force what ends, at that moment', async () => {
    const { clock, witness, store } = embedded();
    const inMs = (ms: number) => ({ expiresAt: new Date(clock.now() / 1_000 + ms).toISOString() });
    await store.write(entryChange('block', 'user:1', inMs(0)), 'me', 'anything');
    await store.write(entryChange('block', 'user:2', inMs(60_000)), 'me', 'anything');
    await store.write(entryChange('allow', 'user:3', inMs(90_000)), 'me', 'anything');
    await store.write(entryChange('allow', 'user:4'), 'me', 'anything');
    const configuration = await live(store, witness, { clock });
    const inForce = () => [...configuration.current.block.keys(), ...configuration.current.allow.keys()];
    expect(inForce()).toEqual(['user:2', 'user:3', 'user:4']);
    await clock.pass(59_999);
    expect(inForce()).toEqual(['user:2', 'user:3', 'user:4']);
    await clock.pass(1);
    expect(inForce()).toEqual(['user:3', 'user:4']);
    expect(witness.applied.at(-1)).toBe(configuration.current);
    await clock.pass(30_000);
    expect(inForce()).toEqual(['user:4']);
    expect(configuration.status).toMatchObject({ version: 4, reloads: 3, failures: 0 });
  });

  test('an end that was put off, or called off, is not met at the old moment', async () => {
    const { clock, witness, store } = embedded();
    const configuration = await live(store, witness, { clock });
    const inMs = (ms: number) => ({ expiresAt: new Date(clock.now() / 1_000 + ms).toISOString() });
    await configuration.write(entryChange('block', 'user:1', inMs(1_000)), 'me', 'anything');
    await configuration.write(entryChange('block', 'user:1', inMs(5_000)), 'me', 'anything');
    await clock.pass(4_999);
    expect(configuration.current.block.size).toBe(1);
    // At the start, and with each write.
    expect(configuration.status.reloads).toBe(3);
    await clock.pass(1);
    expect(configuration.current.block.size).toBe(0);
    expect(configuration.status.reloads).toBe(4);
  });

  test('does not start with an entry of which nobody can say when it ends', async () => {
    const { witness, store } = embedded();
    await store.write(entryChange('block', 'user:1', { expiresAt: 'tomorrow' }), 'me', 'anything');
    await expect(live(store, witness)).rejects.toMatchObject({
      code: 'UNUSABLE_STATE',
      message: expect.stringContaining('"user:1" of a list ends at "tomorrow"'),
    });
    expect(witness.applied).toEqual([]);
  });

  test('does not start with what cannot be put in force', async () => {
    const { witness, store } = embedded();
    await store.write(ruleChange('bad'), 'me', 'anything');
    witness.refuses = 'bad';
    await expect(live(store, witness)).rejects.toThrow('no such thing');
  });

  test('sets no timer any more, and puts nothing in force, once it is closed', async () => {
    const { clock, witness, store } = embedded();
    const configuration = await live(store, witness, { clock });
    const soon = { expiresAt: new Date(clock.now() / 1_000 + 1_000).toISOString() };
    await configuration.write(entryChange('block', 'user:1', soon), 'me', 'anything');
    await configuration.close();
    expect(clock.pending).toBe(0);
    await store.write(ruleChange('a'), 'me', 'anything');
    await clock.pass(5_000);
    expect(witness.versions).toEqual([0, 1]);
  });
});

test('a LiveConfiguration that is closed while it loads puts nothing in force any more', async () => {
  const clock = new ManualClock();
  const store = new FileConfigurationStore(new MemoryJournal(), { clock });
  const witness = new Witness();
  const configuration = await live(store, witness, { clock });
  let open = () => {};
  const loading = new Promise<void>((resolve) => {
    const load = store.load.bind(store);
    store.load = async () => {
      resolve();
      await new Promise<void>((go) => {
        open = go;
      });
      return load();
    };
  });
  await store.write(ruleChange('a'), 'me', 'anything');
  await loading;
  const closed = configuration.close();
  open();
  await closed;
  expect(witness.versions).toEqual([0]);
  expect(configuration.current.version).toBe(0);
  expect(clock.pending).toBe(0);
});

describe('a LiveConfiguration over Redis', () => {
  interface Instance {
    readonly url?: string;
    readonly prefix: string;
    readonly onEval?: (script: string) => unknown;
    readonly isDeaf?: boolean;
  }

  async function instance({ url = server.url, prefix, onEval, isDeaf = false }: Instance) {
    const client = await connected(url);
    if (onEval) {
      const send = client.eval.bind(client) as (...args: unknown[]) => Promise<unknown>;
      client.eval = (...args: unknown[]) => {
        onEval(String(args[0]));
        return send(...args);
      };
    }
    const store = new RedisConfigurationStore(client, { prefix });
    // One that cannot subscribe finds out by looking.
    if (isDeaf) store.onChange = () => () => {};
    const witness = new Witness();
    cleanups.push(
      () => client.disconnect(),
      () => store.close(),
    );
    return { witness, configuration: await live(store, witness), store };
  }

  test.each([
    ['is told of it', false],
    ['only looks at the version now and then', true],
  ])('has in force what another instance has written, when it %s', async (_, isDeaf) => {
    const prefix = `test-${randomUUID()}`;
    const a = await instance({ prefix });
    const b = await instance({ prefix, isDeaf });
    await a.configuration.write(ruleChange('login'), 'me', 'absent');
    await until('the rule is in force', async () => b.configuration.current.rules.has('login'));
    await a.configuration.write({ kind: 'rules', id: 'login', value: null }, 'me', 'present');
    await until('the rule is gone', async () => b.configuration.current.rules.size === 0);
    expect(b.configuration.status).toMatchObject({ version: 2, failures: 0, stale: undefined });
    expect(b.witness.versions).toEqual([0, 1, 2]);
  });

  test('has put each of many writes at once in force when it answers it', async () => {
    const { configuration, witness } = await instance({ prefix: `test-${randomUUID()}` });
    const writes = Array.from({ length: 50 }, async (_, i) => {
      // Some come while others look at what was written before.
      for (let turn = 0; turn < i % 7; turn++) await redis.ping();
      await configuration.write(ruleChange(`r${i}`), 'me', 'absent');
      expect(configuration.current.rules.has(`r${i}`)).toBe(true);
    });
    await Promise.all(writes);
    expect(configuration.current.version).toBe(50);
    expect(witness.versions).toEqual([...new Set(witness.versions)].sort((a, b) => a - b));
  });

  test('keeps its rules while Redis is away, says since when, and catches up afterwards', async () => {
    const proxy = await FaultProxy.to(server.port);
    cleanups.push(() => proxy.close());
    const prefix = `test-${randomUUID()}`;
    const a = await instance({ prefix });
    const b = await instance({ prefix, url: proxy.url });
    await a.configuration.write(ruleChange('login'), 'me', 'absent');
    await until('the rule is in force', async () => b.configuration.current.rules.has('login'));
    proxy.hang();
    await until('it is noticed', async () => b.configuration.status.stale?.why === 'unreachable');
    await a.configuration.write(ruleChange('other'), 'me', 'absent');
    expect([...b.configuration.current.rules.keys()]).toEqual(['login']);
    const { failures } = b.configuration.status;
    await until('it looks again', async () => b.configuration.status.failures > failures);
    expect(b.witness.warnings).toHaveLength(1);
    proxy.pass();
    await until('it has caught up', async () => b.configuration.current.rules.has('other'));
    expect(b.configuration.status.stale).toBeUndefined();
    expect(b.witness.notes).toEqual(['The configuration is up to date again, at version 2.']);
  });

  test('never looks twice at once', async () => {
    const proxy = await FaultProxy.to(server.port);
    cleanups.push(() => proxy.close());
    let looks = 0;
    const prefix = `test-${randomUUID()}`;
    const onEval = (script: string) => script === versionScript && looks++;
    const { configuration } = await instance({ prefix, url: proxy.url, onEval });
    await configuration.refresh();
    proxy.hang();
    const before = looks;
    await Promise.all(Array.from({ length: 20 }, () => configuration.refresh()));
    // The first, and the one that all the others share; the clock may have begun one of its own before, and after.
    expect(looks - before).toBeLessThanOrEqual(4);
  });

  test('keeps its rules when Redis comes back empty, says so, and lets nobody write over it', async () => {
    const own = await RedisServer.start();
    cleanups.push(() => own.stop());
    const prefix = `test-${randomUUID()}`;
    const { configuration, witness } = await instance({ prefix, url: own.url });
    await configuration.write(ruleChange('login'), 'me', 'absent');
    await own.restart();
    await until('the loss is noticed', async () => configuration.status.stale?.why === 'lost');
    expect(configuration.current.rules.has('login')).toBe(true);
    expect(configuration.status).toMatchObject({
      version: 1,
      stale: { message: expect.stringContaining('has version 0') },
    });
    expect(witness.warnings.filter((warning) => warning.includes('it has lost writes'))).toHaveLength(1);
    await expect(configuration.write(ruleChange('other'), 'me', 'absent')).rejects.toMatchObject({
      status: 503,
      detail: expect.stringContaining('POST /ratelimit/rules/recover'),
    });
    expect(witness.versions).toEqual([0, 1]);
    expect(await own.cli('DBSIZE')).toBe('0');
  });

  test('goes by the data again when they are restored', async () => {
    const prefix = `test-${randomUUID()}`;
    const { configuration } = await instance({ prefix });
    await configuration.write(ruleChange('login'), 'me', 'absent');
    const names = ['version', 'rules', 'audit'].map((name) => `${prefix}:{config}:${name}`);
    for (const name of names) await redis.rename(name, `${name}:away`);
    await until('the loss is noticed', async () => configuration.status.stale?.why === 'lost');
    for (const name of names) await redis.rename(`${name}:away`, name);
    await until('it is up to date', async () => configuration.status.stale === undefined);
    expect(await configuration.write(ruleChange('other'), 'me', 'absent')).toMatchObject({ entry: { version: 2 } });
  });

  test('tells of rules that the server has evicted, and keeps them', async () => {
    const prefix = `test-${randomUUID()}`;
    const { configuration } = await instance({ prefix });
    await configuration.write(ruleChange('login'), 'me', 'absent');
    await redis.del(`${prefix}:{config}:rules`);
    await until('the loss is noticed', async () => configuration.status.stale?.why === 'unusable');
    expect(configuration.current.rules.has('login')).toBe(true);
    expect(configuration.status.stale!.message).toContain('noeviction');
  });

  test('waits for a Redis that is not there yet', async () => {
    const own = await RedisServer.start();
    cleanups.push(() => own.stop());
    const client = await connected(own.url);
    cleanups.push(() => client.disconnect());
    await own.kill();
    const witness = new Witness();
    const starting = live(new RedisConfigurationStore(client), witness, { patience: 30_000 });
    starting.catch(() => {});
    await own.restart();
    const configuration = await starting;
    expect(configuration.status).toMatchObject({ version: 0, reloads: 1 });
  });

  test('does not start without having loaded once, and says what to do', async () => {
    const own = await RedisServer.start();
    cleanups.push(() => own.stop());
    const client = await connected(own.url);
    cleanups.push(() => client.disconnect());
    await own.kill();
    const witness = new Witness();
    await expect(live(new RedisConfigurationStore(client), witness, { patience: 300 })).rejects.toMatchObject({
      code: 'STORE_UNAVAILABLE',
      message: expect.stringMatching(/within 300 ms.*Start Redis, or correct its address/),
    });
    expect(witness.applied).toEqual([]);
  });
});
