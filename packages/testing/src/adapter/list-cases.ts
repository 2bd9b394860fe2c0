import assert from 'node:assert/strict';
import type { IncomingHttpHeaders } from 'node:http';
import { AccessList, type Charge, MemoryStore, type RequestEvent, type Rule } from '@sluice/core';
import { ManualClock } from '../manual-clock.js';
import { type Define, fields } from './scene.js';

/** Who is always refused, and who is never limited. */
export function listCases<R>(define: Define<R>): void {
  const authenticate = (headers: IncomingHttpHeaders) => headers['x-user'] && { id: headers['x-user'] };

  define('refuses who is blocked with 403, before anything is counted', async ({ start }) => {
    const { store, charges } = watchedStore();
    let handled = 0;
    const app = await start({
      limiters: [{ limit: 1, window: '1h', store, lists: { block: ['127.0.0.1'] }, headers: ['legacy', 'draft-11'] }],
      async handle() {
        handled++;
        return { status: 200, body: '' };
      },
    });
    for (let i = 0; i < 3; i++) {
      const refused = await app.get();
      assert.equal(refused.status, 403);
      assert.equal(refused.headers['content-type'], 'application/problem+json');
      assert.deepEqual(refused.body, {
        type: 'about:blank',
        title: 'Forbidden',
        status: 403,
        detail: 'Requests of this client are not accepted.',
      });
      assert.equal(refused.headers['cache-control'], 'no-store');
      const told = Object.keys(refused.headers).filter((name) => /ratelimit|retry/.test(name));
      assert.deepEqual(told, []);
    }
    assert.deepEqual([handled, charges.length], [0, 0]);
  });

  define('neither counts who is on the allow list nor tells him anything', async ({ start }) => {
    const { store, charges } = watchedStore();
    const decisions: unknown[] = [];
    const app = await start({
      limiters: [{ limit: 1, window: '1h', store, lists: { allow: ['127.0.0.1'] }, headers: ['legacy', 'draft-11'] }],
      async handle(decision) {
        decisions.push(decision ?? undefined);
        return { status: 200, body: '' };
      },
    });
    for (let i = 0; i < 3; i++) {
      const free = await app.get();
      assert.deepEqual([free.status, ...fields(free)], [200, undefined, undefined, undefined]);
      assert.equal(free.headers['ratelimit-policy'], undefined);
    }
    assert.deepEqual(decisions, [undefined, undefined, undefined]);
    assert.equal(charges.length, 0);
  });

  define('knows the clients of a list by address, range, user, API key or what key names', async ({ start }) => {
    const listed = ['192.0.2.7', '198.51.100.0/24', '2001:db8:7::/48', '2001:db8:8:1::1', 'user:42', 'api-key:secret'];
    const clients: readonly [Record<string, string>, boolean][] = [
      [{ 'x-forwarded-for': '192.0.2.7' }, true],
      [{ 'x-forwarded-for': '::ffff:192.0.2.7' }, true],
      [{ 'x-forwarded-for': '192.0.2.8' }, false],
      [{ 'x-forwarded-for': '198.51.100.255' }, true],
      [{ 'x-forwarded-for': '198.51.101.0' }, false],
      [{ 'x-forwarded-for': '2001:db8:7:ffff::1' }, true],
      [{ 'x-forwarded-for': '2001:DB8:8::1' }, false],
      [{ 'x-forwarded-for': '2001:db8:8:1::1' }, true],
      // An entry is one address, though clients are counted by the network.
      [{ 'x-forwarded-for': '2001:db8:8:1::2' }, false],
      [{ 'x-user': '42' }, true],
      [{ 'x-user': '421' }, false],
      [{ 'x-user': '192.0.2.7' }, false],
      [{ 'x-api-key': 'secret' }, true],
      [{ 'x-api-key': 'Secret' }, false],
      [{ 'x-api-key': 'user:42' }, false],
    ];
    for (const [name, status] of [
      ['block', 403],
      ['allow', 200],
    ] as const) {
      const limiter = { limit: 0, window: '1h', lists: { [name]: listed } } as const;
      const app = await start({ limiters: [limiter], authenticate, proxies: 'one' });
      for (const [headers, isListed] of clients) {
        const answer = await app.get({ 'x-forwarded-for': '203.0.113.1', ...headers });
        assert.equal(answer.status, isListed ? status : 429, `${name} ${JSON.stringify(headers)}`);
      }
    }
  });

  define('knows the clients of a list by what the key option names', async ({ start, header }) => {
    const key = (request: R) => header(request, 'x-tenant')!;
    const lists = { block: ['tenant-7', 'tenant with a space'], allow: ['tenant-8'] };
    const app = await start({ limiters: [{ limit: 0, key, lists }] });
    for (const [tenant, status] of [
      ['tenant-7', 403],
      ['tenant with a space', 403],
      ['tenant-8', 200],
      ['tenant-9', 429],
    ] as const) {
      assert.equal((await app.get({ 'x-tenant': tenant })).status, status, tenant);
    }
  });

  define('refuses who is blocked by one name, whatever else he sends', async ({ start }) => {
    const lists = { block: ['203.0.113.66', 'user:mallory'], allow: ['api-key:partner', '192.0.2.0/24', 'user:alice'] };
    const identity = { verifyApiKey: (apiKey: string) => apiKey === 'partner' };
    const app = await start({ limiters: [{ lists, identity }], authenticate, proxies: 'one' });
    const ask = async (headers: Record<string, string>) => (await app.get(headers)).status;
    assert.equal(await ask({ 'x-forwarded-for': '203.0.113.66' }), 403);
    assert.equal(await ask({ 'x-forwarded-for': '203.0.113.66', 'x-api-key': 'partner' }), 403);
    assert.equal(await ask({ 'x-forwarded-for': '203.0.113.66', 'x-user': 'alice' }), 403);
    assert.equal(await ask({ 'x-forwarded-for': '192.0.2.1', 'x-user': 'mallory', 'x-api-key': 'partner' }), 403);
    assert.equal(await ask({ 'x-forwarded-for': '203.0.113.67', 'x-api-key': 'partner' }), 200);
  });

  define('does not take an API key that fails verification for one on the allow list', async ({ start }) => {
    const lists = { allow: ['api-key:revoked'] };
    const app = await start({ limiters: [{ limit: 0, lists, identity: { verifyApiKey: () => false } }] });
    assert.equal((await app.get({ 'x-api-key': 'revoked' })).status, 429);
  });

  define('goes by the lists on every route, and after skip', async ({ start, header }) => {
    const rules: Rule<R>[] = [{ match: 'POST /login', limit: false }];
    const skip = (request: R) => header(request, 'x-skip') === 'yes';
    const app = await start({ limiters: [{ rules, skip, lists: { block: ['127.0.0.1'] } }] });
    assert.equal((await app.login()).status, 403);
    assert.equal((await app.get({}, '/nowhere')).status, 403);
    assert.equal((await app.get({ 'x-skip': 'yes' })).status, 200);
  });

  define('follows a list that changes while it runs, and tells when an entry expires', async ({ start }) => {
    const clock = new ManualClock();
    const block = new AccessList([], { clock });
    const allow = new AccessList([], { clock });
    const app = await start({ limiters: [{ limit: 0, clock, lists: { block, allow } }] });
    assert.equal((await app.get()).status, 429);
    allow.add('127.0.0.0/8', { expiresIn: '2m' });
    assert.equal((await app.get()).status, 200);
    block.add('127.0.0.1', { expiresIn: '90s' });
    clock.advance(500);
    const refused = await app.get();
    assert.deepEqual([refused.status, refused.headers['retry-after']], [403, '90']);
    clock.advance(89_499);
    const last = await app.get();
    assert.deepEqual([last.status, last.headers['retry-after']], [403, '1']);
    clock.advance(1);
    assert.equal((await app.get()).status, 200);
    clock.advance(30_000);
    assert.equal((await app.get()).status, 429);
    block.add('127.0.0.1');
    assert.equal((await app.get()).headers['retry-after'], undefined);
    block.delete('127.0.0.1');
    assert.equal((await app.get()).status, 429);
  });

  define('tells observers of who is blocked, by no policy of the limiter', async ({ start }) => {
    const events: unknown[] = [];
    const onDecision = ({ key, decision: { policy, allowed } }: RequestEvent<R>) => {
      events.push([key, policy, allowed]);
    };
    const app = await start({ limiters: [{ onDecision, lists: { block: ['127.0.0.1'] } }] });
    await app.get();
    assert.deepEqual(events, [['ip:127.0.0.1', 'block-list', false]]);
  });

  define('shares one list among limiters', async ({ start }) => {
    const block = new AccessList();
    const app = await start({
      limiters: [{ lists: { allow: ['127.0.0.1'] } }, { limit: 9, lists: { block } }],
      authenticate,
    });
    const other = await start({ limiters: [{ lists: { block } }], authenticate });
    const ask = async () => [
      (await app.get({ 'x-api-key': 'k' })).status,
      (await other.get({ 'x-api-key': 'k' })).status,
    ];
    assert.deepEqual(await ask(), [200, 200]);
    block.add('api-key:k');
    assert.deepEqual(await ask(), [403, 403]);
    block.clear();
    assert.deepEqual(await ask(), [200, 200]);
  });
}

/** A store that remembers what it was asked to charge. */
function watchedStore() {
  const charges: Charge[] = [];
  class WatchedStore extends MemoryStore {
    override consume(asked: readonly Charge[]) {
      charges.push(...asked);
      return super.consume(asked);
    }
  }
  return { store: new WatchedStore(), charges };
}
