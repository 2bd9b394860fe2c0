import assert from 'node:assert/strict';
import { type Attempt, limit } from './attack.ts';

const login = (penalty: object | string) => ({
  rules: [{ match: 'POST /login', limit, window: '1m', algorithm: 'fixed-window', penalty }] as never,
});
const minute = 60_000;

export const penalties: readonly Attempt[] = [
  {
    title: 'the next window, while it is blocked for longer',
    limits: login('15m'),
    async run(target) {
      await target.exhaust();
      for (let i = 0; i < 14; i++) {
        await target.clock.pass(minute);
        assert.equal(await target.send(), 429);
      }
    },
  },
  {
    title: 'another spelling, while it is blocked',
    limits: login('15m'),
    async run(target) {
      await target.exhaust();
      await target.clock.pass(minute);
      for (const path of ['/LOGIN', '/login/', '//login', '/%6cogin', '/x/../login', '/login;x']) {
        assert.notEqual(await target.send({ path }), 200);
      }
    },
  },
  {
    title: 'another header, while it is blocked',
    limits: login('15m'),
    async run(target) {
      await target.exhaust();
      await target.clock.pass(minute);
      await target.repeat(4, (i) => ({
        headers: [`X-Forwarded-For: 198.51.100.${i}`, 'X-API-Key: a', 'X-API-Key: b'],
      }));
    },
  },
  {
    title: 'the end of the first block, while it is blocked for twice as long by then',
    most: 2 * limit,
    limits: login({ blockFor: '15m', escalate: true }),
    async run(target) {
      await target.exhaust();
      await target.clock.pass(15 * minute);
      await target.exhaust();
      await target.clock.pass(15 * minute);
      assert.equal(await target.send(), 429);
      await target.clock.pass(14 * minute);
      assert.equal(await target.send(), 429);
    },
  },
  {
    title: 'knocking while it is blocked, where that starts the block anew',
    limits: login({ blockFor: '2m', restart: true }),
    async run(target) {
      await target.exhaust();
      for (let i = 0; i < 10; i++) {
        await target.clock.pass(minute);
        assert.equal(await target.send(), 429);
      }
    },
  },
  {
    title: 'another route, while it is banned from everything',
    route: 'GET /search',
    most: 0,
    limits: { penalty: { banAfter: 1, banFor: '1h' } },
    async run(target) {
      assert.deepEqual(await target.repeat(limit + 1), [200, 200, 403]);
      const others = ['/search', '/users/1', '/nowhere', '/SEARCH/', '/search?x'];
      for (const path of others) assert.equal(await target.send({ method: 'GET', path }), 403, path);
    },
  },
  {
    title: 'the next window, while it is banned',
    limits: { penalty: { banAfter: 1, banFor: '2h' } },
    async run(target) {
      assert.deepEqual(await target.repeat(limit + 1), [200, 200, 403]);
      await target.clock.pass(61 * minute);
      assert.equal(await target.send(), 403);
    },
  },
  {
    title: 'an API key of its own making, while its address is blocked',
    limits: login('15m'),
    async run(target) {
      await target.exhaust();
      await target.repeat(4, (i) => ({ headers: [`X-API-Key: ${i}`] }));
      await target.clock.pass(minute);
      await target.repeat(4, (i) => ({ headers: [`X-API-Key: ${i + 4}`] }));
    },
  },
  {
    title: 'an API key of its own making, while its address is banned',
    limits: { penalty: { banAfter: 1, banFor: '2h' } },
    async run(target) {
      assert.deepEqual(await target.repeat(limit + 1), [200, 200, 403]);
      for (let i = 0; i < 4; i++) {
        const headers = [`X-API-Key: ${i}`];
        assert.equal(await target.send({ headers }), 403);
        assert.equal(await target.send({ headers, method: 'GET', path: '/search' }), 403);
      }
    },
  },
  {
    title: 'an API key of its own making, on a route that counts all together, while its address is banned',
    route: 'GET /search',
    most: 0,
    limits: {
      penalty: { banAfter: 1, banFor: '2h' },
      rules: [
        { match: 'POST /login', limit, window: '1h', algorithm: 'fixed-window' },
        { match: 'GET /search', limit: 100, window: '1h', by: () => 'everybody' },
      ],
    },
    async run(target) {
      await target.repeat(limit + 1);
      assert.equal(await target.send({ method: 'GET', path: '/search', headers: ['X-API-Key: 1'] }), 403);
    },
  },
  {
    title: 'an API key of its own making, while its user is banned',
    limits: { penalty: { banAfter: 1, banFor: '2h' } },
    async run(target) {
      assert.deepEqual(await target.repeat(limit + 1, { headers: ['X-User: ann'] }), [200, 200, 403]);
      assert.equal(await target.send({ headers: ['X-User: ann', 'X-API-Key: 1'] }), 403);
    },
  },
  {
    title: 'headers of its own making, while its address is banned',
    limits: { penalty: { banAfter: 1, banFor: '2h' } },
    async run(target) {
      assert.deepEqual(await target.repeat(limit + 1), [200, 200, 403]);
      await target.repeat(4, (i) => ({ headers: [`X-Forwarded-For: 198.51.100.${i}`, `X-Real-IP: 198.51.100.${i}`] }));
    },
  },
];
