import assert from 'node:assert/strict';
import type { RequestEvent, Rule } from '@sluice/core';
import { type Define, fields, policiesOf, remaining } from './scene.js';

/** Rules that are tried out, or switched off: they loosen nothing. */
export function ruleModeCases<R>(define: Define<R>): void {
  for (const mode of ['shadow', 'off'] as const) {
    define(`grants no more by a looser rule whose mode is ${mode}`, async ({ start }) => {
      const rules: Rule<R>[] = [{ match: 'POST /login', limit: 100, window: '1h', mode }];
      const app = await start({ limiters: [{ limit: 1, window: '1h', rules }] });
      assert.deepEqual(fields(await app.login()).slice(0, 2), [1, 0]);
      assert.equal((await app.login()).status, 429);
    });

    define(`leaves a route limited that a rule whose mode is ${mode} would free`, async ({ start }) => {
      const rules: Rule<R>[] = [{ match: 'POST /login', limit: false, mode }];
      const app = await start({ limiters: [{ limit: 1, window: '1h', rules }] });
      assert.deepEqual([(await app.login()).status, (await app.login()).status], [200, 429]);
    });

    define(`applies the rule behind a more specific one whose mode is ${mode}`, async ({ start }) => {
      const rules: Rule<R>[] = [
        { match: '/files/*', limit: 2, window: '1h' },
        { match: '/files/secret', limit: 50, window: '1h', mode },
      ];
      for (const list of [rules, [...rules].reverse()]) {
        const app = await start({ limiters: [{ rules: list, headers: ['legacy', 'draft-11'] }] });
        const first = await app.get({}, '/files/secret');
        assert.deepEqual(policiesOf(first), ['files-all']);
        assert.equal(remaining(first), 1);
        assert.equal((await app.get({}, '/files/other')).status, 404);
        assert.equal((await app.get({}, '/files/secret')).status, 429);
      }
    });
  }

  define('tries a rule out beside the one of the same route that is enforced', async ({ start }) => {
    const told: string[] = [];
    const onDecision = ({ mode, decision }: RequestEvent<R>) => {
      told.push(`${mode} ${decision.policy} ${decision.allowed ? 'passes' : 'refuses'}`);
    };
    const rules: Rule<R>[] = [
      { match: 'POST /login', limit: 2, window: '1h' },
      { match: 'POST /login', name: 'trial', limit: 1, window: '1h', mode: 'shadow' },
    ];
    for (const list of [rules, [...rules].reverse()]) {
      told.length = 0;
      const app = await start({ limiters: [{ rules: list, onDecision }] });
      for (const status of [200, 200, 429]) assert.equal((await app.login()).status, status);
      assert.deepEqual(told, [
        'shadow trial passes',
        'enforce POST-login passes',
        'shadow trial refuses',
        'enforce POST-login passes',
        'enforce POST-login refuses',
      ]);
    }
  });

  define('does not count by a rule in the shadow that a more specific one is before', async ({ start }) => {
    const events: unknown[] = [];
    const rules: Rule<R>[] = [
      { match: '/files/*', limit: 1, window: '1h', mode: 'shadow' },
      { match: '/files/public', limit: 5, window: '1h' },
    ];
    const onDecision = ({ mode, rule }: RequestEvent<R>) => void events.push([mode, rule]);
    const app = await start({ limiters: [{ rules, onDecision }] });
    await app.get({}, '/files/public');
    assert.deepEqual(events, [['enforce', '/files/public']]);
    await app.get({}, '/files/private');
    assert.deepEqual(events.slice(1), [
      ['shadow', '/files/*'],
      ['enforce', undefined],
    ]);
  });

  define('limits part of the clients by a rule, and the others as without it', async ({ start, header }) => {
    const rules: Rule<R>[] = [{ match: 'POST /login', limit: 1, window: '1h', enforcePercent: 50 }];
    const key = (request: R) => header(request, 'x-who')!;
    const app = await start({ limiters: [{ limit: 3, window: '1h', rules, key }] });
    const most: Record<number, number> = { 1: 0, 3: 0 };
    for (let i = 0; i < 40; i++) {
      const login = () => app.login().set('x-who', `client-${i}`);
      const limit = fields(await login())[0]!;
      most[limit]!++;
      for (let more = 1; more < limit; more++) assert.equal((await login()).status, 200);
      assert.equal((await login()).status, 429);
    }
    assert.ok(most[1]! > 5 && most[3]! > 5, JSON.stringify(most));
  });

  define('enforces a rule in earnest while the limits of the app are in the shadow', async ({ start }) => {
    const rules: Rule<R>[] = [{ match: 'POST /login', limit: 1, window: '1h', mode: 'enforce' }];
    const app = await start({ limiters: [{ limit: 1, window: '1h', mode: 'shadow', rules }] });
    assert.deepEqual([(await app.login()).status, (await app.login()).status], [200, 429]);
    assert.deepEqual(await app.statuses(2), [200, 200]);
  });

  define('has rules take over the mode of the limiter', async ({ start }) => {
    const rules: Rule<R>[] = [{ match: 'POST /login', limit: 0, window: '1h' }];
    const enforced = await start({ limiters: [{ limit: 9, rules }] });
    assert.equal((await enforced.login()).status, 429);
    for (const mode of ['shadow', 'off'] as const) {
      const app = await start({ limiters: [{ limit: 0, mode, rules }] });
      const free = await app.login();
      assert.deepEqual([free.status, ...fields(free)], [200, undefined, undefined, undefined]);
    }
  });
}
