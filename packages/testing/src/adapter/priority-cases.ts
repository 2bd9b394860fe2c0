import assert from 'node:assert/strict';
import type { RequestEvent, Rule } from '@sluice/core';
import { ManualClock } from '../manual-clock.js';
import { type Define, fields, policiesOf } from './scene.js';
import type { Route } from './setup.js';

/** Which of several rules applies where they say it themselves. */
export function priorityCases<R>(define: Define<R>): void {
  const expected = [
    ['get', '/files/new', 'everything'],
    ['get', '/files/a', 'everything'],
    ['put', '/files/new', 'writes'],
    ['put', '/files/a', 'writes'],
    ['get', '/other/new', 'GET-other-new'],
    ['get', '/other/a', 'other-id'],
    ['get', '/nowhere', 'last'],
    ['post', '/login', 'last'],
  ] as const;
  const routes: readonly Route[] = [
    { method: 'GET', path: '/files/:name' },
    { method: 'PUT', path: '/files/new' },
    { method: 'GET', path: '/other/:id' },
  ];
  define('applies the rule of the highest priority, and of several the most specific', async ({ start }) => {
    const rules = [
      { match: '/files/new', priority: 5 },
      { match: 'GET /files/:id' },
      { match: '/files/*', name: 'everything', priority: 10 },
      { match: 'PUT /files/*', name: 'writes', priority: 20 },
      { match: '/other/:id' },
      { match: 'GET /other/new' },
      { match: '/*', name: 'last', priority: -1 },
    ].map((rule): Rule<R> => ({ ...rule, limit: 100, window: '1h' }));
    for (const list of [rules, [...rules].reverse()]) {
      for (const known of [[], routes]) {
        const app = await start({ limiters: [{ rules: list, headers: 'draft-11' }], routes: known });
        for (const [verb, path, policy] of expected) {
          assert.deepEqual(policiesOf(await app.ask()[verb](path)), [policy], `${verb} ${path}`);
        }
      }
    }
  });

  define('charges for every reading of a path the rule of the highest priority', async ({ start }) => {
    const rules: Rule<R>[] = [
      { match: '/public/*', limit: false, priority: 10 },
      { match: '/login', name: 'strict', limit: 1, window: '1h', priority: 5 },
      { match: 'POST /login', name: 'loose', limit: 100, window: '1h' },
    ];
    const app = await start({ limiters: [{ rules, clock: new ManualClock() }] });
    assert.deepEqual(fields(await app.login()).slice(0, 2), [1, 0]);
    for (const target of ['/login', '/LOGIN', '/public/../login', '/public/%2e%2e/login', '/%6cogin', '/login;x']) {
      const answer = await app.raw(
        `POST ${target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`,
      );
      assert.equal(Number(answer.split(' ', 2)[1]), 429, target);
    }
    assert.deepEqual(fields(await app.get({}, '/public/login')), [undefined, undefined, undefined]);
  });

  define('tries a rule of a high priority out without hiding those below', async ({ start }) => {
    const events: string[] = [];
    const onDecision = ({ mode, decision }: RequestEvent<R>) => void events.push(`${mode} ${decision.policy}`);
    const rules: Rule<R>[] = [
      { match: '/*', name: 'tried', limit: 0, window: '1h', mode: 'shadow', priority: 9 },
      { match: 'POST /login', name: 'second', limit: 0, window: '1h', enforcePercent: 0.5, priority: 8 },
      { match: '/login', name: 'real', limit: 1, window: '1h' },
      { match: 'POST /login', name: 'hidden', limit: 0, window: '1h', mode: 'shadow', priority: -1 },
    ];
    const app = await start({ limiters: [{ rules, onDecision }] });
    assert.deepEqual([(await app.login()).status, (await app.login()).status], [200, 429]);
    assert.deepEqual(events, ['shadow tried', 'shadow second', 'enforce real', 'enforce real']);
  });
}
