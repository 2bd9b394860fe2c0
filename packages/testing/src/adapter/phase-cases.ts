import assert from 'node:assert/strict';
import type { IncomingHttpHeaders } from 'node:http';
import type { Controls, RequestEvent, Rule } from '@sluice/core';
import { ManualClock } from '../manual-clock.js';
import { type Define, fields, policiesOf } from './scene.js';

/** A limit by address before authentication, and one by identity behind it. */
export function phaseCases<R>(define: Define<R>): void {
  const watched = () => {
    const asked: unknown[] = [];
    const authenticate = (headers: IncomingHttpHeaders) => {
      asked.push(headers['x-user']);
      return headers['x-user'] && { id: headers['x-user'] };
    };
    return { asked, authenticate };
  };

  define('refuses by address before authentication has run', async ({ start }) => {
    const { asked, authenticate } = watched();
    const app = await start({ limiters: [{ limit: 100, window: '1h', beforeAuth: '3/1m' }], authenticate });
    for (const [user, status] of [
      ['a', 200],
      ['b', 200],
      ['c', 200],
      ['d', 429],
      ['e', 429],
    ] as const) {
      const response = await app.get({ 'x-user': user });
      assert.equal(response.status, status);
      if (status === 429) assert.deepEqual(response.body['violated-policies'], ['before-auth']);
    }
    assert.deepEqual(asked, ['a', 'b', 'c']);
  });

  define('limits by identity once authentication has run', async ({ start }) => {
    const { asked, authenticate } = watched();
    const app = await start({ limiters: [{ limit: 1, window: '1h', beforeAuth: '100/1m' }], authenticate });
    assert.deepEqual(await app.statuses(2, { 'x-user': 'a' }), [200, 429]);
    assert.deepEqual(await app.statuses(2, { 'x-user': 'b' }), [200, 429]);
    const refused = await app.get({ 'x-user': 'a' });
    assert.deepEqual(refused.body['violated-policies'], ['default']);
    assert.equal(asked.length, 5);
  });

  define('counts each phase once, and tells of both', async ({ start }) => {
    const { authenticate } = watched();
    const keys: unknown[] = [];
    const onDecision = ({ key, decision }: RequestEvent<R>) => {
      keys.push(`${key} ${decision.policy} ${decision.remaining}`);
    };
    const app = await start({
      limiters: [{ limit: 9, window: '1h', beforeAuth: '5/1m', headers: ['legacy', 'draft-11'], onDecision }],
      authenticate,
    });
    const first = await app.get({ 'x-user': 'a' });
    assert.deepEqual(policiesOf(first), ['before-auth', 'default']);
    assert.deepEqual(fields(first).slice(0, 2), [5, 4]);
    const second = await app.get({ 'x-user': 'b' });
    assert.match(String(second.headers.ratelimit), /^"before-auth";r=3;t=\d+, "default";r=8;t=\d+$/);
    assert.deepEqual(keys, [
      'ip:127.0.0.1 before-auth 4',
      'user:a default 8',
      'ip:127.0.0.1 before-auth 3',
      'user:b default 8',
    ]);
  });

  define('gives back what the first phase took when the second refuses', async ({ start }) => {
    const { authenticate } = watched();
    const clock = new ManualClock();
    const left: number[] = [];
    const onDecision = ({ decision }: RequestEvent<R>) => {
      if (decision.policy === 'before-auth') left.push(decision.remaining);
    };
    const limiter = { limit: 1, window: '1h', beforeAuth: '5/1h', onDecision, clock } as const;
    const app = await start({ limiters: [limiter], authenticate });
    assert.deepEqual(await app.statuses(4, { 'x-user': 'a' }), [200, 429, 429, 429]);
    assert.deepEqual(left, [4, 3, 3, 3]);
  });

  define('counts the first phase as part of the second where it stands nowhere by itself', async ({ start }) => {
    const app = await start({ login: { limit: 9, window: '1h', beforeAuth: '2/1h' } });
    for (const left of [1, 0]) assert.deepEqual(fields(await app.login()).slice(0, 2), [2, left]);
    const refused = await app.login();
    assert.equal(refused.status, 429);
    assert.match(refused.body['violated-policies'][0], /before-auth$/);
    assert.equal(refused.body['violated-policies'].length, 1);
  });

  define('takes several policies by address before authentication', async ({ start }) => {
    const { asked, authenticate } = watched();
    const clock = new ManualClock();
    const beforeAuth = [
      { limit: 2, window: '1s', algorithm: 'fixed-window' },
      { name: 'daily', limit: 3, window: '1d', algorithm: 'fixed-window' },
    ] as const;
    const app = await start({ limiters: [{ name: 'api', beforeAuth, clock }], authenticate });
    assert.deepEqual(await app.statuses(3, { 'x-user': 'a' }), [200, 200, 429]);
    clock.advance(1_000);
    assert.deepEqual(await app.statuses(1, { 'x-user': 'a' }), [200]);
    const refused = await app.get({ 'x-user': 'b' });
    assert.deepEqual(refused.body['violated-policies'], ['api-before-auth-daily']);
    assert.equal(asked.length, 3);
  });

  define('counts the first phase by address, whoever the request claims to come from', async ({ start }) => {
    const { authenticate } = watched();
    const limiter = { limit: 100, window: '1h', beforeAuth: '2/1h' } as const;
    const app = await start({ limiters: [limiter], authenticate, proxies: 'one' });
    const ask = async (address: string, headers = {}) =>
      (await app.get({ 'x-forwarded-for': address, ...headers })).status;
    assert.equal(await ask('192.0.2.1', { 'x-api-key': 'k' }), 200);
    assert.equal(await ask('192.0.2.1', { 'x-api-key': 'l', 'x-user': 'u' }), 200);
    assert.equal(await ask('192.0.2.1', { 'x-api-key': 'm', 'x-user': 'v' }), 429);
    assert.equal(await ask('192.0.2.2', { 'x-api-key': 'k' }), 200);
  });

  define('keeps the headers of the first phase where the second leaves a request alone', async ({ start }) => {
    const rules: Rule<R>[] = [{ match: 'POST /login', limit: false }];
    const app = await start({ limiters: [{ beforeAuth: '2/1h', rules }] });
    assert.deepEqual(fields(await app.login()).slice(0, 2), [2, 1]);
    assert.equal((await app.login()).status, 200);
    assert.equal((await app.login()).status, 429);
  });

  define('runs a first phase in the shadow once per request, and refuses by neither', async ({ start }) => {
    const told: string[] = [];
    const onDecision = ({ mode, decision }: RequestEvent<R>) => void told.push(`${mode} ${decision.policy}`);
    const app = await start({ limiters: [{ limit: 0, beforeAuth: '0/1h', mode: 'shadow', onDecision }] });
    assert.deepEqual(await app.statuses(2), [200, 200]);
    const once = ['shadow before-auth', 'shadow default'];
    assert.deepEqual(told, [...once, ...once]);
  });

  define('asks skip once for each phase', async ({ start }) => {
    let asked = 0;
    const app = await start({ limiters: [{ limit: 0, beforeAuth: '0/1h', skip: () => ++asked > 0 }] });
    assert.deepEqual(await app.statuses(2), [200, 200]);
    assert.equal(asked, 4);
  });

  define('goes by the lists before authentication', async ({ start }) => {
    const { asked, authenticate } = watched();
    const lists = { block: ['192.0.2.66', 'user:mallory'], allow: ['192.0.2.1'] };
    const limiter = { limit: 100, window: '1h', beforeAuth: '1/1h', lists } as const;
    const app = await start({ limiters: [limiter], authenticate, proxies: 'one' });
    assert.equal((await app.get({ 'x-forwarded-for': '192.0.2.66' })).status, 403);
    assert.deepEqual(asked, []);
    assert.equal((await app.get({ 'x-forwarded-for': '192.0.2.9', 'x-user': 'mallory' })).status, 403);
    assert.equal(asked.length, 1);
    assert.deepEqual(await app.statuses(3, { 'x-forwarded-for': '192.0.2.1' }), [200, 200, 200]);
  });

  define('verifies no API key of a request that the first phase refuses', async ({ start }) => {
    const verified: string[] = [];
    const identity = { verifyApiKey: (apiKey: string) => verified.push(apiKey) > 0 };
    const app = await start({ limiters: [{ limit: 9, window: '1h', beforeAuth: '1/1h', identity }] });
    assert.deepEqual(await app.statuses(3, { 'x-api-key': 'k' }), [200, 429, 429]);
    assert.deepEqual(verified, ['k']);
  });

  define('shows and forgets what either phase has counted', async ({ start }) => {
    const { authenticate } = watched();
    let controls: Controls<R> | undefined;
    const app = await start({
      limiters: [{ limit: 1, window: '1h', beforeAuth: '2/1h', penalty: { banAfter: 9 } }],
      authenticate,
      made: (made) => {
        controls = made;
      },
    });
    const shown = async (key: string) =>
      (await controls!.get(key)).map(({ policy, remaining }) => `${policy} ${remaining}`);
    assert.deepEqual(await app.statuses(2, { 'x-user': 'a' }), [200, 429]);
    assert.deepEqual(await shown('127.0.0.1'), ['before-auth 1']);
    assert.deepEqual(await shown('user:a'), ['default 0', 'default-ban 8']);
    await controls!.reset('user:a');
    assert.deepEqual(await shown('user:a'), []);
    assert.equal((await app.get({ 'x-user': 'a' })).status, 200);
    assert.equal((await app.get({ 'x-user': 'b' })).status, 429);
    await controls!.reset('127.0.0.1');
    assert.deepEqual(await shown('127.0.0.1'), []);
    assert.equal((await app.get({ 'x-user': 'b' })).status, 200);
  });
}
