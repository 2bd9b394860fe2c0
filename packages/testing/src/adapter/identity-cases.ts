import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { type IncomingHttpHeaders, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Charge, MemoryStore, type RateLimitOptions } from '@sluice/core';
import type { Define } from './scene.js';

/** Who a request comes from. */
export function identityCases<R>(define: Define<R>): void {
  const authenticate = (headers: IncomingHttpHeaders) => headers['x-user'] && { id: headers['x-user'] };

  define('tells clients apart by API key, else by user, else by address', async ({ start }) => {
    const { store, keys } = watchedStore();
    const app = await start({ limiters: [{ limit: 1, window: '1h', store }], authenticate });
    assert.deepEqual(await app.statuses(2, { 'x-api-key': 'k', 'x-user': 'u' }), [200, 429]);
    assert.deepEqual(await app.statuses(2, { 'x-user': 'u' }), [200, 429]);
    assert.deepEqual(await app.statuses(2, { 'x-user': 'v' }), [200, 429]);
    assert.deepEqual(await app.statuses(2), [200, 429]);
    const kinds = [...keys('default')].map((key) => key.replace(/#.*/, '#'));
    assert.deepEqual(kinds, ['api-key:#', 'user:u', 'user:v', 'ip:127.0.0.1']);
  });

  define('knows a user by id or sub, and by nothing else', async ({ start }) => {
    const { store, keys } = watchedStore();
    const users = [{ id: 'a', sub: 'b' }, { sub: 'c' }, { id: 7 }, { id: '' }, { id: {} }, { name: 'n' }, 'text', null];
    const app = await start({ limiters: [{ store }], authenticate: (headers) => users[Number(headers['x-index'])] });
    for (const index of users.keys()) await app.get({ 'x-index': String(index) });
    assert.deepEqual([...keys('default')], ['user:a', 'user:c', 'user:7', 'ip:127.0.0.1']);
  });

  define('takes an API key that was sent twice for none', async ({ start }) => {
    const { store, keys } = watchedStore();
    const app = await start({ limiters: [{ store }] });
    await app.open({ 'x-api-key': ['one', 'two'] }).status;
    await app.open({ 'x-api-key': '' }).status;
    assert.deepEqual([...keys('default')], ['ip:127.0.0.1']);
  });

  define('looks for API keys in the header that it is told, or in none', async ({ start }) => {
    const identities: NonNullable<RateLimitOptions<R>['identity']>[] = [{ apiKey: 'X-Token' }, { apiKey: false }];
    for (const [i, identity] of identities.entries()) {
      const { store, keys } = watchedStore();
      const app = await start({ limiters: [{ store, identity }] });
      await app.get({ 'x-token': 'secret' });
      await app.get({ 'x-api-key': 'secret' });
      assert.equal(keys('default').size, i === 0 ? 2 : 1);
      assert.equal(keys('default').has('ip:127.0.0.1'), true);
    }
  });

  define('never lets a store see an API key', async ({ start }) => {
    const { store, keys } = watchedStore();
    const app = await start({ limiters: [{ store }] });
    const secrets = ['sk_live_51Habcdef', 'plain', 'x'.repeat(500)];
    for (const secret of secrets) await app.get({ 'x-api-key': secret });
    const seen = [...keys()];
    for (const secret of secrets) assert.ok(!seen.some((key) => key.includes(secret)));
    assert.equal(keys('default').size, secrets.length);
    for (const key of keys('default')) assert.match(key, /^api-key:#[\w-]{22}$/);
  });

  define('shows a store only digests of identifiers that are long or could break a key', async ({ start }) => {
    const { store, keys } = watchedStore();
    const ids = ['{a}', 'a\nb', 'a b', 'č', '#abc', 'x'.repeat(65), 'a:b{', '../a'];
    const app = await start({
      limiters: [{ store }],
      authenticate: (headers) => ({ id: ids[Number(headers['x-index'])] }),
    });
    for (const index of ids.keys()) await app.get({ 'x-index': String(index) });
    assert.equal(keys().size, ids.length);
    for (const key of keys()) assert.match(key, /^user:#[\w-]{22}$/);
  });

  for (const [when, wrap] of [
    ['at once', <T>(value: T) => value],
    ['later', async <T>(value: T) => value],
  ] as const) {
    define(`takes an API key that is verified ${when} for itself, and any other for none`, async ({ start }) => {
      const { store, keys } = watchedStore();
      const verifyApiKey = (apiKey: string) => wrap(apiKey.startsWith('good'));
      const limiter = { limit: 2, window: '1h', store, identity: { verifyApiKey } } as const;
      const app = await start({ limiters: [limiter], authenticate });
      // Of keys that are known to be ours, there is no ceiling.
      for (let i = 0; i < 25; i++) assert.equal((await app.get({ 'x-api-key': `good-${i}` })).status, 200);
      assert.deepEqual(await app.statuses(2, { 'x-api-key': 'good-0' }), [200, 429]);
      assert.ok(![...keys()].some((key) => key.startsWith('ip:')));
      assert.equal((await app.get({ 'x-api-key': 'bad', 'x-user': 'u' })).status, 200);
      assert.ok(keys('default').has('user:u'));
      assert.equal((await app.get({ 'x-api-key': 'bad-1' })).status, 200);
      assert.equal((await app.get({ 'x-api-key': 'bad-2' })).status, 200);
      assert.equal((await app.get({ 'x-api-key': 'bad-3' })).status, 429);
      assert.equal((await app.get()).status, 429);
    });
  }

  define('takes the error of verifyApiKey to the error handling, and believes no key meanwhile', async ({ start }) => {
    const broken = new Error('broken');
    const verifiers = [
      () => {
        throw broken;
      },
      () => Promise.reject(broken),
    ];
    for (const verifyApiKey of verifiers) {
      const app = await start({ limiters: [{ limit: 1, window: '1h', identity: { verifyApiKey } }] });
      assert.equal((await app.get({ 'x-api-key': 'k' })).status, 500);
      assert.deepEqual(app.errors, [broken]);
      assert.deepEqual(await app.statuses(2), [200, 429]);
    }
  });

  define('asks the functions of identity for API key and user, with the request', async ({ start, header }) => {
    const { store, keys } = watchedStore();
    const bearer = (request: R) => /^Bearer (.+)$/.exec(header(request, 'authorization') ?? '')?.[1];
    const user = (request: R) => {
      const name = header(request, 'x-name');
      return name === 'nobody' ? undefined : name?.startsWith('sub-') ? { sub: name } : name;
    };
    const app = await start({ limiters: [{ store, identity: { apiKey: bearer, user } }], authenticate });
    await app.get({ authorization: 'Bearer token', 'x-api-key': 'ignored', 'x-name': 'a' });
    await app.get({ authorization: 'Basic token', 'x-name': 'a', 'x-user': 'ignored' });
    await app.get({ 'x-name': 'sub-b' });
    await app.get({ 'x-name': 'nobody' });
    const kinds = [...keys('default')].map((key) => key.replace(/#.*/, '#'));
    assert.deepEqual(kinds, ['api-key:#', 'user:a', 'user:sub-b', 'ip:127.0.0.1']);
  });

  define('does not let a client escape by a new API key for each request', async ({ start }) => {
    const app = await start({ limiters: [{ limit: 2, window: '1h' }] });
    const statuses: number[] = [];
    for (let i = 0; i < 25; i++) statuses.push((await app.get({ 'x-api-key': `random-${i}` })).status);
    assert.deepEqual(statuses, [...Array(20).fill(200), ...Array(5).fill(429)]);
  });

  define('counts the addresses of an IPv6 /64 as one client, and its /48 up to a ceiling', async ({ start }) => {
    const app = await start({ limiters: [{ limit: 2, window: '1h' }], proxies: 'one' });
    const ask = async (address: string) => (await app.get({ 'x-forwarded-for': address })).status;
    assert.equal(await ask('2001:db8:1:1::1'), 200);
    assert.equal(await ask('2001:db8:1:1:ffff::2'), 200);
    assert.equal(await ask('2001:DB8:1:1:0:0:0:3'), 429);
    const granted: number[] = [];
    for (let i = 2; i < 30; i++) granted.push(await ask(`2001:db8:1:${i.toString(16)}::1`));
    // Two of the twenty were granted above.
    assert.equal(granted.filter((status) => status === 200).length, 18);
    assert.equal(await ask('2001:db8:2:1::1'), 200);
  });

  define('counts an IPv4 address as itself, however it is written', async ({ start }) => {
    const { store, keys } = watchedStore();
    const app = await start({ limiters: [{ store }], proxies: 'one' });
    for (const address of ['192.0.2.1', '::ffff:192.0.2.1', '::ffff:c000:201', '::FFFF:192.0.2.2']) {
      await app.get({ 'x-forwarded-for': address });
    }
    assert.deepEqual([...keys()], ['ip:192.0.2.1', 'ip:192.0.2.2']);
  });

  define('ignores X-Forwarded-For where no proxy is trusted', async ({ start }) => {
    const app = await start({ limiters: ['1/1h'] });
    assert.equal((await app.get({ 'x-forwarded-for': '192.0.2.1' })).status, 200);
    assert.equal((await app.get({ 'x-forwarded-for': '192.0.2.2' })).status, 429);
  });

  define('believes the hop of one trusted proxy, and nothing before it', async ({ start }) => {
    const app = await start({ limiters: ['1/1h'], proxies: 'one' });
    assert.equal((await app.get({ 'x-forwarded-for': '198.51.100.1, 192.0.2.1' })).status, 200);
    assert.equal((await app.get({ 'x-forwarded-for': '198.51.100.2, 192.0.2.1' })).status, 429);
    assert.equal((await app.get({ 'x-forwarded-for': '198.51.100.1, 192.0.2.2' })).status, 200);
  });

  define('lets nobody name its own address where every proxy is trusted, and warns once', async ({ start }) => {
    const warnings: string[] = [];
    const listen = (warning: Error & { code?: string }) => {
      if (warning.code === 'SLUICE_WARNING') warnings.push(warning.message);
    };
    process.on('warning', listen);
    try {
      const app = await start({ limiters: ['2/1h'], proxies: 'all' });
      const statuses: number[] = [];
      for (let i = 0; i < 4; i++) {
        statuses.push((await app.get({ 'x-forwarded-for': `198.51.100.${i}, 192.0.2.1` })).status);
      }
      assert.deepEqual(statuses, [200, 200, 429, 429]);
      assert.equal((await app.get()).status, 200);
      assert.equal(warnings.length, 1);
      assert.match(warnings[0]!, /X-Forwarded-For.+instead/);
    } finally {
      process.removeListener('warning', listen);
    }
  });

  define('fails a request without an address, instead of sharing one budget among all of them', async ({ start }) => {
    const folder = await mkdtemp(join(tmpdir(), 'sluice-'));
    try {
      // A connection over a Unix socket has no address.
      const socketPath = join(folder, 'app.sock');
      const app = await start({ limiters: [{ limit: 5, window: '1h' }], authenticate, socketPath });
      const ask = (headers: Record<string, string> = {}) =>
        new Promise<number | undefined>((resolve, reject) => {
          const call = request({ socketPath, headers }, (response) => resolve(response.resume().statusCode));
          call.once('error', reject).end();
        });
      assert.equal(await ask(), 500);
      assert.equal(app.errors.length, 1);
      assert.equal((app.errors[0] as { code?: unknown }).code, 'NO_IDENTITY');
      assert.match((app.errors[0] as Error).message, /proxy.+'key' option/);
      assert.equal(await ask({ 'x-user': 'u' }), 200);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
}

/** A store that remembers the keys it was asked for, those of one policy or all. */
function watchedStore() {
  const charges: Charge[] = [];
  class WatchedStore extends MemoryStore {
    override consume(asked: readonly Charge[]) {
      charges.push(...asked);
      return super.consume(asked);
    }
  }
  const keys = (policy?: string) =>
    new Set(charges.filter((charge) => policy === undefined || charge.policy.name === policy).map(({ key }) => key));
  return { store: new WatchedStore(), keys };
}
