import assert from 'node:assert/strict';
import type { IncomingHttpHeaders } from 'node:http';
import { AccessList, type RequestEvent, type Rule } from '@sluice/core';
import { ManualClock } from '../manual-clock.js';
import { type Define, fields } from './scene.js';

/** Who is always refused by a rule, and who is never limited by it. */
export function ruleListCases<R>(define: Define<R>): void {
  const authenticate = (headers: IncomingHttpHeaders) => headers['x-user'] && { id: headers['x-user'] };

  define('refuses who is on the block list of a rule with 403, on its routes only', async ({ start }) => {
    const events: unknown[] = [];
    const rules: Rule<R>[] = [{ match: 'POST /login', limit: 9, window: '1h', lists: { block: ['user:mallory'] } }];
    const onDecision = ({ key, rule, decision }: RequestEvent<R>) => void events.push([key, rule, decision.policy]);
    const app = await start({ limiters: [{ rules, onDecision }], authenticate });
    const refused = await app.login().set('x-user', 'mallory');
    assert.deepEqual([refused.status, ...fields(refused)], [403, undefined, undefined, undefined]);
    assert.equal(refused.body.title, 'Forbidden');
    assert.deepEqual(events, [['user:mallory', 'POST /login', 'block-list']]);
    assert.equal((await app.get({ 'x-user': 'mallory' })).status, 200);
    assert.deepEqual(fields(await app.login().set('x-user', 'alice')).slice(0, 2), [9, 8]);
  });

  define('does not limit who is on the allow list of a rule, on its routes only', async ({ start }) => {
    const lists = { allow: ['user:monitor', '192.0.2.0/24'] };
    const rules: Rule<R>[] = [{ match: 'POST /login', limit: 0, window: '1h', lists }];
    const limiter = { limit: 1, window: '1h', rules } as const;
    const app = await start({ limiters: [limiter], authenticate, proxies: 'one' });
    const exempt: readonly Record<string, string>[] = [{ 'x-user': 'monitor' }, { 'x-forwarded-for': '192.0.2.77' }];
    for (const headers of exempt) {
      for (let i = 0; i < 2; i++) {
        const free = await app.login().set(headers);
        assert.deepEqual([free.status, ...fields(free)], [200, undefined, undefined, undefined]);
      }
      assert.deepEqual(await app.statuses(2, headers), [200, 429]);
    }
    assert.equal((await app.login().set('x-forwarded-for', '192.0.3.1')).status, 429);
  });

  define('limits who is on the allow list of a rule that stacks by the limits of the app', async ({ start }) => {
    const rules: Rule<R>[] = [
      { match: 'POST /login', limit: 0, window: '1h', stack: true, lists: { allow: ['user:monitor'] } },
    ];
    const app = await start({ limiters: [{ limit: 1, window: '1h', rules }], authenticate });
    const login = async () => (await app.login().set('x-user', 'monitor')).status;
    assert.deepEqual([await login(), await login()], [200, 429]);
  });

  define('knows the clients of the lists of a rule by whom the rule counts', async ({ start, header }) => {
    const by = async (request: R) => header(request, 'x-tenant') || (false as const);
    const lists = { block: ['tenant-7'], allow: ['tenant-8'] };
    const app = await start({ limiters: [{ rules: [{ match: '/', limit: 0, window: '1h', by, lists }] }] });
    for (const [tenant, status] of [
      ['tenant-7', 403],
      ['tenant-8', 200],
      ['tenant-9', 429],
      ['', 200],
    ] as const) {
      assert.equal((await app.get({ 'x-tenant': tenant })).status, status, tenant);
    }
  });

  define('follows the list of a rule that changes while it runs', async ({ start }) => {
    const clock = new ManualClock();
    const block = new AccessList([], { clock });
    const rules: Rule<R>[] = [{ match: 'POST /login', limit: 9, window: '1h', lists: { block } }];
    const app = await start({ limiters: [{ rules, clock }] });
    assert.equal((await app.login()).status, 200);
    block.add('127.0.0.1', { expiresIn: '90s' });
    const refused = await app.login();
    assert.deepEqual([refused.status, refused.headers['retry-after']], [403, '90']);
    clock.advance(90_000);
    assert.equal((await app.login()).status, 200);
  });
}
