import assert from 'node:assert/strict';
import { type Charge, type Controls, MemoryStore } from '@sluice/core';
import type { Define } from './scene.js';

/** What the names of clients come to that an application's functions return. */
export function namingCases<R>(define: Define<R>): void {
  define('knows whom a key function names by what an operator calls him', async ({ start, header }) => {
    let controls: Controls<R> | undefined;
    const app = await start({
      limiters: [
        {
          limit: 1,
          window: '1h',
          key: (request) => header(request, 'x-name') ?? '127.0.0.1',
          lists: { block: ['user:bob smith', 'api-key:evil'] },
          overrides: { 'user:ann lee': '2/1h', '203.0.113.9': '2/1h' },
        },
      ],
      made: (made) => {
        controls = made;
      },
    });
    for (const name of ['user:bob smith', 'api-key:evil']) {
      assert.equal((await app.get({ 'x-name': name })).status, 403, name);
    }
    for (const name of ['user:ann lee', '203.0.113.9']) {
      assert.deepEqual(await app.statuses(3, { 'x-name': name }), [200, 200, 429], name);
    }
    for (const name of ['127.0.0.1', '::ffff:203.0.113.7', '2001:db8::7', 'user:who', 'api-key:k', 'tenant 7', 'a:b']) {
      assert.deepEqual(await app.statuses(2, { 'x-name': name }), [200, 429], name);
      assert.equal((await controls!.get(name))[0]?.remaining, 0, name);
      await controls!.reset(name);
      assert.deepEqual(await app.statuses(2, { 'x-name': name }), [200, 429], name);
    }
  });

  define('counts the addresses that a key function returns as those of clients', async ({ start, header }) => {
    const app = await start({ limiters: [{ limit: 1, window: '1h', key: (request) => header(request, 'x-name')! }] });
    const ask = async (name: string) => (await app.get({ 'x-name': name })).status;
    assert.deepEqual([await ask('2001:db8:1:1::1'), await ask('ip:2001:db8:1:1::2')], [200, 429]);
    assert.deepEqual([await ask('203.0.113.7'), await ask('::ffff:203.0.113.7')], [200, 429]);
    // The user 42 at an address, or of a tenant, is no other spelling of anything.
    assert.deepEqual([await ask('203.0.113.7:42'), await ask('12::34'), await ask('12::35')], [200, 200, 200]);
  });

  define('shows nobody an API key that a key function or a rule returns', async ({ start, header }) => {
    const keys: string[] = [];
    class WatchedStore extends MemoryStore {
      override consume(charges: readonly Charge[]) {
        keys.push(...charges.map(({ key }) => key));
        return super.consume(charges);
      }
    }
    const name = (request: R) => `api-key:${header(request, 'x-name')}`;
    const secret = 'sk_live_51Habcdef';
    const app = await start({
      limiters: [
        {
          store: new WatchedStore(),
          key: name,
          rules: [
            {
              match: '/*',
              limit: 9,
              window: '1m',
              stack: true,
              by: (request) => ['api-key', header(request, 'x-name')!],
            },
          ],
          onDecision: ({ key }) => void keys.push(key),
        },
      ],
    });
    await app.get({ 'x-name': secret });
    assert.ok(keys.length >= 2);
    assert.equal(new Set(keys).size, 1);
    assert.match(keys[0]!, /^api-key:#[\w-]{22}$/);
    // Whoever has read the digest of another's key, in a log perhaps, is not that other.
    await app.get({ 'x-name': keys[0]!.slice('api-key:'.length) });
    assert.equal(new Set(keys).size, 2);
  });

  define('fails a request whose identity a function would tell only later', async ({ start }) => {
    for (const identity of [{ user: async () => 'u' }, { apiKey: (async () => 'k') as never }]) {
      const app = await start({ limiters: [{ limit: 1, window: '1h', identity }] });
      assert.equal((await app.get()).status, 500);
      assert.equal((app.errors[0] as { code?: unknown }).code, 'INVALID_KEY');
      assert.match((app.errors[0] as Error).message, /promise.+at once.+'key'/);
    }
  });

  define('knows a user by an id that is an object which writes itself, or bytes', async ({ start }) => {
    class ObjectId {
      readonly #text: string;
      constructor(text: string) {
        this.#text = text;
      }
      toString() {
        return this.#text;
      }
    }
    const users = [new ObjectId('65f0'), new ObjectId('65f1'), Buffer.from([0xfe]), Buffer.from([0xff])];
    const app = await start({
      limiters: [{ limit: 1, window: '1h' }],
      authenticate: (headers) => ({ id: users[Number(headers['x-index'])] }),
    });
    for (const index of users.keys()) assert.deepEqual(await app.statuses(2, { 'x-index': `${index}` }), [200, 429]);
  });
}
