import assert from 'node:assert/strict';
import type { IncomingHttpHeaders } from 'node:http';
import { MemoryStore, Overrides, type Rule } from '@sluice/core';
import { ManualClock } from '../manual-clock.js';
import { type Define, fields, policiesOf, remaining } from './scene.js';

/** Limits of single keys. */
export function overrideCases<R>(define: Define<R>): void {
  const authenticate = (headers: IncomingHttpHeaders) => headers['x-user'] && { id: headers['x-user'] };

  define('limits single users, API keys and addresses by limits of their own', async ({ start }) => {
    const overrides = {
      'user:vip': '3/1h',
      'user:who has spaces': '4/1h',
      'api-key:secret': '5/1h',
      '192.0.2.7': '6/1h',
      'ip:192.0.2.8': '7/1h',
      '2001:db8:1:1::9': '8/1h',
    } as const;
    const app = await start({ limiters: [{ limit: 1, window: '1h', overrides }], authenticate, proxies: 'one' });
    const limit = async (headers: Record<string, string>) => fields(await app.get(headers))[0];
    assert.equal(await limit({ 'x-user': 'vip' }), 3);
    assert.equal(await limit({ 'x-user': 'who has spaces' }), 4);
    assert.equal(await limit({ 'x-user': 'VIP' }), 1);
    assert.equal(await limit({ 'x-api-key': 'secret' }), 5);
    assert.equal(await limit({ 'x-forwarded-for': '192.0.2.7' }), 6);
    assert.equal(await limit({ 'x-forwarded-for': '::ffff:192.0.2.8' }), 7);
    assert.equal(await limit({ 'x-forwarded-for': '192.0.2.9' }), 1);
    // Counted with its network.
    assert.equal(await limit({ 'x-forwarded-for': '2001:db8:1:1::1' }), 8);
    assert.equal(await limit({ 'x-forwarded-for': '2001:db8:1:2::1' }), 1);
  });

  define('counts the policies of an override as any other', async ({ start }) => {
    const overrides = { 'user:vip': ['2/1m', '9/1h'] } as const;
    const clock = new ManualClock();
    const limiter = { limit: 1, window: '1h', overrides, clock, headers: 'draft-11' } as const;
    const app = await start({ limiters: [limiter], authenticate });
    const vip = { 'x-user': 'vip' };
    assert.deepEqual(policiesOf(await app.get(vip)), ['override-1m', 'override-1h']);
    assert.deepEqual(await app.statuses(2, vip), [200, 429]);
    assert.deepEqual((await app.get(vip)).body['violated-policies'], ['override-1m']);
    clock.advance(120_000);
    assert.deepEqual(await app.statuses(3, vip), [200, 200, 429]);
  });

  define('leaves rules their limits, whoever asks', async ({ start }) => {
    const rules: Rule<R>[] = [
      { match: 'POST /login', limit: 1, window: '1h' },
      { match: '/both', limit: 9, window: '1h', stack: true },
    ];
    const overrides = { 'user:vip': '5/1h' } as const;
    const app = await start({ limiters: [{ limit: 1, window: '1h', overrides, rules }], authenticate });
    const vip = { 'x-user': 'vip' };
    assert.deepEqual([(await app.login().set(vip)).status, (await app.login().set(vip)).status], [200, 429]);
    assert.equal(remaining(await app.get(vip)), 4);
    // What a stacked rule counts beside itself are the limits of the app, and so those of the override.
    assert.equal(remaining(await app.get(vip, '/both')), 3);
  });

  define('puts an override before the limits of a tier', async ({ start }) => {
    const tiers = { free: '1/1h', partner: false } as const;
    const overrides = { 'user:vip': '5/1h', 'user:abuser': '0/1h' } as const;
    const limiter = { tiers, defaultTier: 'free', overrides, key: 'user' } as const;
    const app = await start({ limiters: [{ ...limiter, tier: () => 'free' }], authenticate });
    assert.equal(remaining(await app.get({ 'x-user': 'vip' })), 4);
    assert.equal((await app.get({ 'x-user': 'abuser' })).status, 429);
    assert.equal(remaining(await app.get({ 'x-user': 'other' })), 0);
  });

  define('changes limits while it runs, and forgets those that expire', async ({ start }) => {
    const clock = new ManualClock();
    const overrides = new Overrides({ 'user:a': '5/1h' }, { clock });
    const app = await start({
      limiters: [{ limit: 2, window: '1h', algorithm: 'fixed-window', overrides, clock }],
      authenticate,
    });
    const limit = async (user: string) => fields(await app.get({ 'x-user': user }))[0];
    assert.deepEqual([await limit('a'), await limit('b')], [5, 2]);
    overrides.set('user:b', '7/1h', { expiresIn: '10m' }).set('api-key:k', '8/1h');
    assert.deepEqual([await limit('a'), await limit('b')], [5, 7]);
    assert.equal(fields(await app.get({ 'x-api-key': 'k' }))[0], 8);
    overrides.delete('user:a');
    assert.equal(await limit('a'), 2);
    clock.advance(600_000 - 1);
    assert.equal(await limit('b'), 7);
    clock.advance(1);
    const after = await app.get({ 'x-user': 'b' });
    // What was taken under the override is not carried over, what was taken before it is.
    assert.deepEqual(fields(after).slice(0, 2), [2, 0]);
    assert.equal((await app.get({ 'x-user': 'b' })).status, 429);
  });

  define('gives the keys of several limiters the limits of one list, each counted by itself', async ({ start }) => {
    const overrides = new Overrides({ 'user:vip': '2/1h' });
    const limiter = { limit: 9, window: '1h', overrides, store: new MemoryStore() } as const;
    const app = await start({
      limiters: [
        { ...limiter, name: 'one' },
        { ...limiter, name: 'two' },
      ],
      authenticate,
    });
    assert.deepEqual(await app.statuses(3, { 'x-user': 'vip' }), [200, 200, 429]);
    assert.equal(remaining(await app.get({ 'x-user': 'other' })), 8);
  });
}
