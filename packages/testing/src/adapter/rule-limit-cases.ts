import assert from 'node:assert/strict';
import type { IncomingHttpHeaders } from 'node:http';
import type { RateLimitOptions, RequestEvent, Rule } from '@sluice/core';
import { type Define, fields, policiesOf, remaining } from './scene.js';

/** What a rule counts: whom, how much, and together with what. */
export function ruleLimitCases<R>(define: Define<R>): void {
  const authenticate = (headers: IncomingHttpHeaders) => headers['x-user'] && { id: headers['x-user'] };

  for (const [where, limits] of [
    ['first', [{ limit: 2, window: '1h' }, {}, {}]],
    ['last', [{}, {}, { limit: 2, window: '1h' }]],
  ] as const) {
    define(`counts the rules of a group together, by the limits given in the ${where} of them`, async ({ start }) => {
      const [a, b, c] = limits;
      const rules: Rule<R>[] = [
        { match: '/upload', group: 'files', ...a },
        { match: '/download/:id', group: 'files', ...b },
        { match: 'POST /login', group: 'files', cost: 2, ...c },
      ];
      const app = await start({ limiters: [{ rules }] });
      assert.deepEqual(fields(await app.get({}, '/upload')).slice(0, 2), [2, 1]);
      assert.equal((await app.login()).status, 429);
      assert.deepEqual(fields(await app.get({}, '/download/7')).slice(0, 2), [2, 0]);
      const refused = await app.get({}, '/upload');
      assert.equal(refused.status, 429);
      assert.deepEqual(refused.body['violated-policies'], ['files']);
      assert.equal((await app.get()).status, 200);
    });
  }

  define('stacks a rule on the limits of the app: both count, and both are told', async ({ start }) => {
    const rules = [{ match: 'POST /login', limit: 2, window: '1m', stack: true }] as const;
    const app = await start({ limiters: [{ limit: 5, window: '1h', rules, headers: ['legacy', 'draft-11'] }] });
    const first = await app.login();
    assert.deepEqual(fields(first).slice(0, 2), [2, 1]);
    assert.deepEqual(policiesOf(first).sort(), ['POST-login', 'default']);
    assert.equal(remaining(await app.get()), 3);
  });

  define('charges neither of two stacked when one of them refuses', async ({ start }) => {
    const rules = [{ match: 'POST /login', limit: 2, window: '1m', stack: true }] as const;
    const byRule = await start({ limiters: [{ limit: 5, window: '1h', rules }] });
    for (const status of [200, 200, 429, 429, 429]) assert.equal((await byRule.login()).status, status);
    assert.deepEqual((await byRule.login()).body['violated-policies'], ['POST-login']);
    assert.equal(remaining(await byRule.get()), 2);

    const told: string[] = [];
    const onDecision = ({ decision }: RequestEvent<R>) => {
      for (const { policy, remaining } of decision.policies ?? []) told.push(`${policy} ${remaining}`);
    };
    const byApp = await start({ limiters: [{ limit: 1, window: '1h', rules, onDecision }] });
    assert.equal((await byApp.login()).status, 200);
    const refused = await byApp.login();
    assert.equal(refused.status, 429);
    assert.deepEqual(refused.body['violated-policies'], ['default']);
    assert.equal((await byApp.login()).status, 429);
    const ofRule = told.filter((line) => line.startsWith('POST-login'));
    assert.deepEqual(ofRule, ['POST-login 1', 'POST-login 1', 'POST-login 1']);
  });

  define('limits a route by address, user or API key, as its rule says', async ({ start }) => {
    const rules = (['ip', 'user', 'api-key'] as const).map(
      (by): Rule<R> => ({ match: `/by-${by}`, limit: 1, window: '1h', by }),
    );
    const app = await start({ limiters: [{ rules, identity: { ceiling: false } }], authenticate });
    const ask = async (path: string, user: string, apiKey: string) =>
      (await app.get({ 'x-user': user, 'x-api-key': apiKey }, path)).status;
    const tries = async (path: string) => [
      await ask(path, 'u', 'k'),
      await ask(path, 'u', 'l'),
      await ask(path, 'v', 'k'),
      await ask(path, 'v', 'l'),
    ];
    assert.deepEqual(await tries('/by-ip'), [404, 429, 429, 429]);
    assert.deepEqual(await tries('/by-user'), [404, 429, 404, 429]);
    assert.deepEqual(await tries('/by-api-key'), [404, 404, 429, 429]);
  });

  define('counts by address where a rule by user or API key meets a request without', async ({ start }) => {
    const keys: (string | undefined)[] = [];
    const rules = (['user', 'api-key'] as const).map(
      (by): Rule<R> => ({ match: `/by-${by}`, limit: 1, window: '1h', by }),
    );
    const onDecision = ({ key }: RequestEvent<R>) => void keys.push(key);
    const limiters: RateLimitOptions<R>[] = [{}, { key: 'ip' }, { key: async () => 'all' }];
    for (const limiter of limiters) {
      const app = await start({ limiters: [{ ...limiter, rules, onDecision }], authenticate });
      for (const path of ['/by-user', '/by-api-key']) {
        // The other kind of identity is no way to a second budget.
        const other = path === '/by-user' ? 'x-unknown' : 'x-user';
        assert.equal((await app.get({ [other]: 'a' }, path)).status, 404);
        assert.equal((await app.get({ [other]: 'b' }, path)).status, 429);
      }
    }
    assert.deepEqual(new Set(keys), new Set(['ip:127.0.0.1']));
  });

  for (const [when, wrap] of [
    ['at once', <T>(value: T) => value],
    ['later', async <T>(value: T) => value],
  ] as const) {
    define(`limits a route by what its rule's own function names ${when}, or not at all`, async ({ start, header }) => {
      const by = (request: R) => wrap(header(request, 'x-tenant') || (false as const));
      const rules = [{ match: 'POST /login', limit: 1, window: '1h', by }] as const;
      const app = await start({ limiters: [{ limit: 1, window: '1h', rules }] });
      for (const [tenant, status] of [
        ['a', 200],
        ['a', 429],
        ['b', 200],
        ['b', 429],
        ['', 200],
        ['', 200],
      ] as const) {
        assert.equal((await app.login().set('x-tenant', tenant)).status, status, tenant);
      }
      assert.deepEqual(await app.statuses(2), [200, 429]);
    });

    define(`charges the cost of a rule that is named ${when}`, async ({ start, header }) => {
      const rules: Rule<R>[] = [
        { match: 'POST /login', limit: 10, window: '1h', cost: (request) => wrap(Number(header(request, 'x-cost'))) },
      ];
      const app = await start({ limiters: [{ limit: 10, window: '1h', cost: 2, rules }] });
      assert.equal(remaining(await app.login().set('x-cost', '7')), 3);
      assert.equal((await app.login().set('x-cost', '4')).status, 429);
      assert.equal(remaining(await app.login().set('x-cost', '3')), 0);
      assert.equal(remaining(await app.get()), 8);
      assert.equal((await app.login().set('x-cost', '-1')).status, 500);
    });
  }

  define('charges the cost of the app where a rule names none, and the own cost where it does', async ({ start }) => {
    const rules: Rule<R>[] = [
      { match: '/as-the-app', limit: 10, window: '1h' },
      { match: '/its-own', limit: 10, window: '1h', cost: 5 },
      { match: '/looks', limit: 10, window: '1h', cost: 0 },
    ];
    const app = await start({ limiters: [{ limit: 10, window: '1h', cost: 2, rules }] });
    for (const [path, left] of [
      ['/as-the-app', 8],
      ['/its-own', 5],
      ['/looks', 10],
    ] as const) {
      assert.equal(remaining(await app.get({}, path)), left, path);
    }
  });

  define('calls the policies of a rule by its name, behind that of the limiter', async ({ start }) => {
    const rules: Rule<R>[] = [
      { match: 'POST /login', name: 'guess', limits: ['1/1m', '5/1d'] },
      { match: '/search/:what', limit: 1, window: '1m' },
    ];
    const app = await start({ limiters: [{ name: 'api', rules, headers: 'draft-11' }] });
    assert.deepEqual(policiesOf(await app.login()), ['api-guess-1m', 'api-guess-1d']);
    assert.deepEqual((await app.login()).body['violated-policies'], ['api-guess-1m']);
    assert.deepEqual(policiesOf(await app.get({}, '/search/x')), ['api-search-what']);
    assert.deepEqual(policiesOf(await app.get()), ['api']);
  });

  define('tells the decision which rule applied', async ({ start }) => {
    const seen: unknown[] = [];
    const rules = [{ match: 'POST /login', limit: 5, window: '1h' }] as const;
    const app = await start({
      limiters: [{ rules }],
      async handle(decision) {
        seen.push(decision?.rule);
        return { status: 200, body: '' };
      },
    });
    await app.login();
    await app.get();
    assert.deepEqual(seen, ['POST /login', undefined]);
  });
}
