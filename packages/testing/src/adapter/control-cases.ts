import assert from 'node:assert/strict';
import type { IncomingHttpHeaders } from 'node:http';
import { type Controls, MemoryStore, type RateLimitOptions } from '@sluice/core';
import { ManualClock } from '../manual-clock.js';
import type { Bench, Define } from './scene.js';
import type { AppSetup } from './setup.js';

/** What an operator can do with a limiter while it runs. */
export function controlCases<R>(define: Define<R>): void {
  define('shows what a key has taken from each policy, and nothing of a fresh one', async ({ start }) => {
    const clock = new ManualClock();
    const rules = [{ match: 'POST /login', limit: 5, window: '1m', algorithm: 'fixed-window' }] as const;
    const { app, controls } = await controlled<R>(start, {
      limit: 9,
      window: '1h',
      algorithm: 'fixed-window',
      rules,
      clock,
    });
    const shown = async (key: string) =>
      (await controls.get(key)).map(({ policy, limit, remaining }) => [policy, limit, remaining]);
    assert.deepEqual(await shown('user:a'), []);
    await app.get({ 'x-user': 'a' });
    assert.deepEqual(await shown('user:a'), [['default', 9, 8]]);
    await app.login().set('x-user', 'a');
    await app.login().set('x-user', 'a');
    assert.deepEqual(await shown('user:a'), [
      ['default', 9, 8],
      ['POST-login', 5, 3],
    ]);
    assert.deepEqual(await shown('user:b'), []);
    clock.advance(60_000);
    assert.deepEqual(await shown('user:a'), [['default', 9, 8]]);
  });

  define('knows keys as an operator writes them', async ({ start }) => {
    const { app, controls } = await controlled<R>(start, { limit: 9, window: '1h' }, { proxies: 'one' });
    const clients: readonly [string, Record<string, string>, number][] = [
      ['user:a', { 'x-user': 'a' }, 8],
      ['user:who has spaces', { 'x-user': 'who has spaces' }, 8],
      ['api-key:secret', { 'x-api-key': 'secret', 'x-forwarded-for': '192.0.2.1' }, 8],
      ['203.0.113.7', { 'x-forwarded-for': '203.0.113.7' }, 8],
      ['ip:203.0.113.7', { 'x-forwarded-for': '::ffff:203.0.113.7' }, 7],
      ['2001:db8:1:1::1', { 'x-forwarded-for': '2001:db8:1:1::2' }, 8],
    ];
    for (const [key, headers, left] of clients) {
      await app.get(headers);
      const own = (await controls.get(key)).find(({ policy }) => policy === 'default');
      assert.equal(own?.remaining, left, key);
    }
    for (const [key] of clients) {
      await controls.reset(key);
      assert.deepEqual(await controls.get(key), [], key);
    }
  });

  define('forgets one key, and leaves the others as they are', async ({ start }) => {
    const { app, controls } = await controlled<R>(start, { limit: 1, window: '1h', overrides: { 'user:vip': '2/1h' } });
    for (const user of ['a', 'b']) assert.deepEqual(await app.statuses(2, { 'x-user': user }), [200, 429]);
    assert.deepEqual(await app.statuses(3, { 'x-user': 'vip' }), [200, 200, 429]);
    assert.equal((await controls.get('user:vip'))[0]?.policy, 'override');
    await controls.reset('user:a');
    await controls.reset('user:vip');
    assert.deepEqual(await app.statuses(2, { 'x-user': 'a' }), [200, 429]);
    assert.deepEqual(await app.statuses(3, { 'x-user': 'vip' }), [200, 200, 429]);
    assert.deepEqual(await app.statuses(1, { 'x-user': 'b' }), [429]);
  });

  define('forgets that a key is blocked or banned', async ({ start }) => {
    const penalty = { blockFor: '1h', banAfter: 2 } as const;
    const clock = new ManualClock();
    const limiter = { limit: 1, window: '1s', algorithm: 'fixed-window', penalty, clock } as const;
    const { app, controls } = await controlled<R>(start, limiter);
    const me = { 'x-user': 'a' };
    assert.deepEqual(await app.statuses(2, me), [200, 429]);
    clock.advance(1_000);
    assert.deepEqual(await app.statuses(1, me), [429]);
    assert.equal((await controls.get('user:a')).find(({ policy }) => policy === 'default-block')?.allowed, false);
    clock.advance(3_600_000);
    assert.deepEqual(await app.statuses(3, me), [200, 403, 403]);
    await controls.reset('user:a');
    assert.deepEqual(await controls.get('user:a'), []);
    assert.equal((await app.get(me)).status, 200);
  });

  define('is of no more use once it is closed, and can be closed twice', async ({ start }) => {
    const { controls } = await controlled<R>(start, { limit: 9, beforeAuth: '9/1h' });
    await controls.close();
    await controls.close();
    for (const use of [() => controls.get('user:a'), () => controls.reset('user:a')]) {
      await assert.rejects(use, { code: 'CLOSED' });
    }
  });

  define('leaves a store that it was given open, and free for the next limiter', async ({ start }) => {
    let closed = 0;
    class WatchedStore extends MemoryStore {
      override close() {
        closed++;
        return super.close();
      }
    }
    const store = new WatchedStore();
    const { app, controls } = await controlled<R>(start, { limit: 5, window: '1h', store });
    await app.get({ 'x-user': 'a' });
    await controls.close();
    assert.equal(closed, 0);
    // The policy of the same name may now be another.
    const next = await controlled<R>(start, { limit: 7, window: '1h', store });
    assert.equal((await next.controls.get('user:a'))[0]?.remaining, 6);
  });

  for (const bad of ['', undefined, 7, {}]) {
    define(`has no state of a key that is ${JSON.stringify(bad) ?? 'undefined'}`, async ({ start }) => {
      const { controls } = await controlled<R>(start, { limit: 5 });
      await assert.rejects(controls.get(bad as string), { code: 'INVALID_KEY' });
      await assert.rejects(controls.reset(bad as string), { code: 'INVALID_KEY' });
    });
  }
}

/** An app with one limiter, and its controls. */
async function controlled<R>(start: Bench<R>['start'], limiter: RateLimitOptions<R>, setup: Partial<AppSetup<R>> = {}) {
  let controls: Controls<R> | undefined;
  const app = await start({
    authenticate: (headers: IncomingHttpHeaders) => headers['x-user'] && { id: headers['x-user'] },
    ...setup,
    limiters: [limiter],
    made: (made) => {
      controls = made;
    },
  });
  return { app, controls: controls! };
}
