import { readFileSync } from 'node:fs';
import { type CompiledPolicy, compilePenalty, compilePolicies, type Store } from '@sluice/core';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RedisServer } from '../../../test/support/redis/server.ts';
import { until } from '../../../test/support/redis/until.ts';
import { names } from '../../core/test/algorithms/arbitraries.ts';
import { RedisStore } from '../src/index.ts';
import { conforms, patient } from './support/conforms.ts';
import { withServer } from './support/server.ts';

/** What a user of the store must be allowed, on the keys of its prefix: what the documents say. */
const page = readFileSync(new URL('../../../docs/redis.md', import.meta.url), 'utf8');
const commands = /ACL SETUSER sluice on >secret ~ratelimit:\* (.*)`/.exec(page)![1]!.split(' ');

let server: RedisServer;
let admin: Redis;
withServer((client, its) => {
  admin = client;
  server = its;
});

/** A client of a user who may do that and nothing else. INFO, which its user may not ask for, would delay its start. */
async function clientOf(user: string, rules: readonly string[]): Promise<Redis> {
  await admin.call('ACL', 'SETUSER', user, 'reset', 'on', '>secret', '~ratelimit:*', ...rules);
  return new Redis(server.port, { username: user, password: 'secret', enableReadyCheck: false });
}

/** Does with a store what makes it call every command that it knows. */
async function exercise(store: Store): Promise<void> {
  const limited = names.map((algorithm) => compilePolicies([{ algorithm, limit: 100, window: '1d' }], 'test')[0]!);
  const { block } = compilePenalty({ blockFor: '1h' }, 'test', 'test');
  for (const policy of [...limited, block!] as readonly CompiledPolicy[]) {
    const charge = { policy, key: 'alice', cost: 1 };
    // A log is asked for its length once it is too long to be read at once.
    for (let i = 0; i < 40; i++) await store.consume([charge]);
    await store.peek([charge]);
    await store.release([charge]);
    await store.release([{ ...charge, cost: 2 }]);
    await store.consume([charge]);
    await store.reset('alice', [policy]);
  }
}

describe('a user who may only run scripts, and in these what they call', () => {
  let redis: Redis;
  beforeAll(async () => {
    redis = await clientOf('minimal', commands);
  });
  afterAll(() => redis.disconnect());
  conforms(
    () => redis,
    () => admin.flushall(),
  );

  it('gets no warnings of the server, and everything else', async () => {
    const warnings: string[] = [];
    const warn = (message: string) => void warnings.push(message);
    await admin.config('SET', 'maxmemory', '1gb', 'maxmemory-policy', 'allkeys-lru');
    const store = new RedisStore(redis, { ...patient, logger: { warn } });
    await exercise(store);
    expect(warnings.filter((warning) => warning.includes('maxmemory'))).toEqual([]);
    await admin.call('ACL', 'SETUSER', 'minimal', '+info');
    const told = new RedisStore(redis, { ...patient, logger: { warn } });
    await exercise(told);
    await until('the store warns of the server', async () => warnings.some((warning) => warning.includes('maxmemory')));
    await admin.config('SET', 'maxmemory', '0', 'maxmemory-policy', 'noeviction');
  });

  it('may touch no key of another prefix', async () => {
    const store = new RedisStore(redis, { ...patient, prefix: 'other' });
    const [policy] = compilePolicies(['5/1m'], 'test');
    await expect(store.consume([{ policy: policy!, key: 'alice', cost: 1 }])).rejects.toThrow(/NOPERM|permission/i);
  });
});

describe('a user who lacks one of these commands', () => {
  it.each(commands)('fails without %s, and does not decide otherwise', async (command) => {
    const redis = await clientOf(
      'lacking',
      commands.filter((other) => other !== command),
    );
    await admin.flushall();
    await admin.script('FLUSH');
    await expect(exercise(new RedisStore(redis, patient))).rejects.toThrow(/NOPERM|permission|can't run/i);
    redis.disconnect();
  });
});
