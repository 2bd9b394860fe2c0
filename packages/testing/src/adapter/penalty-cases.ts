import assert from 'node:assert/strict';
import type { Controls, RateLimitOptions } from '@sluice/core';
import { ManualClock } from '../manual-clock.js';
import { gate } from './gate.js';
import { type Define, type Scene, until } from './scene.js';

const routes = [
  { method: 'GET', path: '/reports' },
  { method: 'GET', path: '/files/:id' },
] as const;

/** What becomes of a client that goes on asking after it was refused. */
export function penaltyCases<R>(define: Define<R>): void {
  /** One request per second, and what the penalty says. */
  function strict(penalty: NonNullable<RateLimitOptions<R>['penalty']>) {
    const clock = new ManualClock();
    return {
      clock,
      limiter: { limit: 1, window: '1s', algorithm: 'fixed-window', penalty, clock } as const,
    };
  }

  define('blocks a client for a while after a refusal, and says for how long', async ({ start }) => {
    const { clock, limiter } = strict('1m');
    const app = await start({ limiters: [{ name: 'api', ...limiter }] });
    assert.equal((await app.get()).status, 200);
    const refused = await app.get();
    assert.equal(refused.status, 429);
    assert.equal(refused.headers['retry-after'], '60');
    assert.deepEqual(refused.body['violated-policies'], ['api', 'api-block']);
    clock.advance(10_000);
    const blocked = await app.get();
    assert.deepEqual([blocked.status, blocked.headers['retry-after']], [429, '50']);
    assert.deepEqual(blocked.body['violated-policies'], ['api-block']);
    clock.advance(49_999.999);
    assert.equal((await app.get()).headers['retry-after'], '1');
    clock.advance(0.001);
    assert.deepEqual(await app.statuses(2), [200, 429]);
  });

  define('blocks one client and no other', async ({ start, header }) => {
    const { clock, limiter } = strict('1m');
    const app = await start({ limiters: [{ ...limiter, key: (request) => header(request, 'x-who')! }] });
    assert.deepEqual(await app.statuses(2, { 'x-who': 'a' }), [200, 429]);
    clock.advance(1_000);
    assert.deepEqual(await app.statuses(1, { 'x-who': 'a' }), [429]);
    assert.deepEqual(await app.statuses(1, { 'x-who': 'b' }), [200]);
  });

  define('blocks by the penalty of a rule on the routes of that rule alone', async ({ start }) => {
    const clock = new ManualClock();
    const rule = { match: 'POST /login', limit: 1, window: '1s', algorithm: 'fixed-window', penalty: '5m' } as const;
    const app = await start({ limiters: [{ limit: 100, rules: [rule], clock }] });
    assert.equal((await app.login()).status, 200);
    assert.equal((await app.login()).headers['retry-after'], '300');
    clock.advance(10_000);
    assert.equal((await app.login()).headers['retry-after'], '290');
    assert.equal((await app.get()).status, 200);
  });

  define(
    'blocks for twice as long with each further breach, up to the longest, until they are forgotten',
    async ({ start }) => {
      const { clock, limiter } = strict({ blockFor: '1m', escalate: true, longest: '5m', forgetAfter: '1h' });
      const app = await start({ limiters: [limiter] });
      const waits: unknown[] = [];
      const breach = async () => {
        assert.equal((await app.get()).status, 200);
        const refused = await app.get();
        waits.push(refused.headers['retry-after']);
        // What is refused while the client is blocked is no further breach.
        assert.deepEqual(await app.statuses(3), [429, 429, 429]);
        return Number(refused.headers['retry-after']) * 1_000;
      };
      for (let i = 0; i < 5; i++) clock.advance(await breach());
      clock.advance(3_600_000);
      await breach();
      assert.deepEqual(waits, ['60', '120', '240', '300', '300', '60']);
    },
  );

  for (const restart of [true, false]) {
    define(`${restart ? 'starts' : 'does not start'} a block anew with restart: ${restart}`, async ({ start }) => {
      const { clock, limiter } = strict({ blockFor: '1m', restart });
      const app = await start({ limiters: [limiter] });
      assert.deepEqual(await app.statuses(2), [200, 429]);
      clock.advance(30_000);
      const again = await app.get();
      assert.equal(again.headers['retry-after'], restart ? '60' : '30');
      assert.deepEqual(again.body['violated-policies'], ['default-block']);
      clock.advance(45_000);
      assert.equal((await app.get()).status, restart ? 429 : 200);
    });
  }

  define('bans a client from every route after so many breaches', async ({ start }) => {
    const clock = new ManualClock();
    const rules = [
      { match: 'POST /login', limit: 1, window: '1h' },
      { match: '/files/:id', limit: 9, window: '1h', by: 'ip' },
    ] as const;
    const penalty = { banAfter: 2, banFor: '2h' } as const;
    const app = await start({ limiters: [{ limit: 100, rules, penalty, clock }], routes });
    assert.deepEqual([(await app.login()).status, (await app.login()).status], [200, 429]);
    assert.equal((await app.get()).status, 200);
    const banned = await app.login();
    assert.equal(banned.status, 403);
    assert.equal(banned.headers['retry-after'], '7200');
    assert.equal(banned.headers['cache-control'], 'no-store');
    assert.equal(banned.headers['content-type'], 'application/problem+json');
    assert.equal(banned.body.type, 'https://iana.org/assignments/http-problem-types#abnormal-usage-detected');
    assert.equal(banned.body.status, 403);
    const everywhere = ['/', '/reports', '/files/7', '/nothing/here'];
    for (const path of everywhere) assert.equal((await app.get({}, path)).status, 403, path);
    clock.advance(7_199_999.999);
    assert.equal((await app.get()).status, 403);
    clock.advance(0.001);
    for (const path of everywhere) assert.notEqual((await app.get({}, path)).status, 403, path);
  });

  define('counts blocks towards a ban where a refusal blocks', async ({ start }) => {
    const { clock, limiter } = strict({ blockFor: '1m', banAfter: 2 });
    const app = await start({ limiters: [limiter] });
    assert.deepEqual(await app.statuses(6), [200, 429, 429, 429, 429, 429]);
    clock.advance(60_000);
    assert.deepEqual(await app.statuses(3), [200, 403, 403]);
  });

  define('takes nothing that who is banned asks for as a breach', async ({ start }) => {
    const clock = new ManualClock();
    let controls: Controls<R> | undefined;
    const made = (of: Controls<R>) => {
      controls = of;
    };
    const penalty = { blockFor: '1s', banAfter: 2, banFor: '1m' } as const;
    const app = await start({ limiters: [{ limit: 1, window: '1h', penalty, clock }], made });
    assert.deepEqual(await app.statuses(2), [200, 429]);
    clock.advance(1_000);
    assert.deepEqual(await app.statuses(1), [403]);
    clock.advance(10_000);
    assert.deepEqual(await app.statuses(2), [403, 403]);
    const blocked = (await controls!.get('127.0.0.1')).filter(({ allowed }) => !allowed);
    assert.deepEqual(
      blocked.map(({ policy }) => policy),
      ['default-ban'],
    );
  });

  define('takes no refusal for want of a place at work for a breach', async ({ start }) => {
    const { answer, handle, begun } = gate();
    const penalty = { blockFor: '1h', banAfter: 1 } as const;
    const app = await start({ limiters: [{ limit: 9, concurrency: 1, penalty }], handle });
    const first = app.open();
    await until(() => begun() === 1);
    assert.deepEqual(await app.statuses(3), [429, 429, 429]);
    answer({ status: 200, body: '' });
    assert.equal(await first.status, 200);
    await passes(app);
  });

  define('blocks the address behind which API keys are invented', async ({ start }) => {
    const { clock, limiter } = strict({ blockFor: '1h', banAfter: 2 });
    const app = await start({ limiters: [{ ...limiter, identity: { ceiling: 1 } }] });
    const answers = async (...keys: string[]) => {
      const statuses: number[] = [];
      for (const key of keys) statuses.push((await app.get({ 'x-api-key': key })).status);
      return statuses;
    };
    assert.deepEqual(await answers('a', 'b', 'c'), [200, 429, 429]);
    clock.advance(2_000);
    assert.deepEqual(await answers('d'), [429]);
    assert.deepEqual(await app.statuses(1), [429]);
    clock.advance(3_600_000);
    assert.deepEqual(await answers('e', 'f', 'g'), [200, 403, 403]);
  });

  define('blocks no network for what its members ask for together', async ({ start }) => {
    const { clock, limiter } = strict({ blockFor: '1h', banAfter: 1 });
    const app = await start({ limiters: [{ ...limiter, identity: { ceiling: 1 } }], proxies: 'one' });
    const from = async (address: string) => (await app.get({ 'x-forwarded-for': address })).status;
    assert.equal(await from('2001:db8:1:1::1'), 200);
    assert.equal(await from('2001:db8:1:2::1'), 429);
    clock.advance(1_000);
    assert.equal(await from('2001:db8:1:2::1'), 200);
  });

  for (const [where, early, late] of [
    ['before authentication keeps a client out behind it', '1/1h', '100/1h'],
    ['behind authentication keeps a client out before it', '100/1h', '1/1h'],
  ] as const) {
    define(`bans for both phases: a breach ${where}`, async ({ start }) => {
      let authenticated = 0;
      const authenticate = () => void authenticated++;
      const penalty = { banAfter: 1 };
      const app = await start({ limiters: [{ limits: [late], beforeAuth: early, penalty }], authenticate });
      assert.deepEqual(await app.statuses(2), [200, 403]);
      const asked = authenticated;
      const banned = await app.get();
      assert.equal(banned.status, 403);
      assert.match(banned.body.type, /#abnormal-usage-detected$/);
      assert.equal(authenticated, asked);
    });
  }

  define('answers who is banned by onBanned, and who is refused by onLimited', async ({ start }) => {
    const asked: string[] = [];
    const app = await start({
      limiters: [
        {
          limit: 1,
          penalty: { banAfter: 2 },
          onLimited: () => void asked.push('limited'),
          onBanned: async (_, decision) => {
            asked.push('banned');
            return { status: 410, body: { allowed: decision.allowed, policy: decision.policy } };
          },
        },
      ],
    });
    assert.deepEqual(await app.statuses(2), [200, 429]);
    const banned = await app.get();
    assert.equal(banned.status, 410);
    assert.deepEqual(banned.body, { allowed: false, policy: 'default-ban' });
    assert.equal(banned.headers['retry-after'], '86400');
    assert.deepEqual(asked, ['limited', 'banned']);
  });

  define('pardons a client whose key is reset', async ({ start }) => {
    let controls: Controls<R> | undefined;
    const made = (of: Controls<R>) => {
      controls = of;
    };
    const penalty = { blockFor: '1h', banAfter: 2 } as const;
    const app = await start({ limiters: [{ limit: 1, penalty }], made });
    assert.deepEqual(await app.statuses(2), [200, 429]);
    await controls!.reset('127.0.0.1');
    assert.deepEqual(await app.statuses(2), [200, 429]);
    const states = await controls!.get('127.0.0.1');
    assert.deepEqual(states.map(({ policy, allowed }) => [policy, allowed]).sort(), [
      ['default', true],
      ['default-ban', true],
      ['default-block', false],
    ]);
  });
}

/** Waits until the server has noticed that a response has ended. */
async function passes(app: Scene): Promise<void> {
  while ((await app.get()).status !== 200) assert.notEqual((await app.get()).status, 403);
}
