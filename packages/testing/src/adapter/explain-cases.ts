import assert from 'node:assert/strict';
import type { IncomingHttpHeaders } from 'node:http';
import type { Controls, ExplainedPolicy, Explanation, RateLimitOptions, Rule } from '@sluice/core';
import type { Test } from 'supertest';
import { ManualClock } from '../manual-clock.js';
import { type Bench, type Define, remaining } from './scene.js';
import type { AppSetup } from './setup.js';

/** What a limiter says it would do with a request, and why. */
export function explainCases<R>(define: Define<R>): void {
  define('explains a request that passes by the limits of the app', async ({ start }) => {
    const clock = new ManualClock();
    const { app, explained } = await explaining<R>(start, { limit: 5, window: '1h', clock });
    const { outcome, identity, entry, rule, tier, passesAt, policies, summary } = await explained(app.get());
    assert.deepEqual(
      { outcome, identity, entry, rule, tier },
      {
        outcome: 'allowed',
        identity: { key: 'ip:127.0.0.1', from: 'ip' },
        entry: undefined,
        rule: undefined,
        tier: undefined,
      },
    );
    assert.equal(passesAt?.getTime(), clock.now() / 1_000);
    assert.deepEqual(policies.map(briefly), ['enforce limit default of ip:127.0.0.1 for 1: passes, 5 left']);
    assert.equal(summary, 'ip:127.0.0.1 (known by its address) passes: no rule applies.');
  });

  define('charges nothing for an explanation, and tells no observer of it', async ({ start }) => {
    let told = 0;
    const { app, explained } = await explaining<R>(start, {
      limit: 2,
      window: '1h',
      penalty: { banAfter: 1 },
      onDecision: () => void told++,
    });
    await explained(app.get());
    assert.equal(told, 1);
    const second = app.get();
    await explained(second);
    assert.equal(remaining(await second), 0);
    for (let i = 0; i < 3; i++) {
      const explanation = await explained(app.get({ 'x-api-key': `k${i}` }));
      assert.equal(explanation.identity?.from, 'api-key');
    }
    assert.equal(told, 5);
  });

  define('explains which rule and tier apply, and what they charge', async ({ start, header }) => {
    const rules: Rule<R>[] = [
      { match: '/search/*', limit: 10, window: '1h' },
      { match: 'GET /search/:what', tiers: { free: '20/1h', pro: '200/1h' }, cost: 7, stack: true },
    ];
    const { app, explained } = await explaining<R>(start, {
      tiers: { free: '5/1h', pro: '50/1h' },
      defaultTier: 'free',
      tier: async (request) => header(request, 'x-tier'),
      rules,
    });
    const pro = await explained(app.get({ 'x-tier': 'pro', 'x-user': 'u' }, '/search/x'));
    assert.deepEqual([pro.outcome, pro.rule, pro.tier], ['allowed', 'GET /search/:what', 'pro']);
    assert.deepEqual(pro.policies.map(briefly), [
      'enforce limit GET-search-what-pro of user:u for 7: passes, 200 left',
      'enforce limit pro of user:u for 1: passes, 50 left',
    ]);
    assert.deepEqual(
      pro.policies.map(({ rule, tier }) => [rule, tier]),
      [
        ['GET /search/:what', 'pro'],
        [undefined, 'pro'],
      ],
    );
    assert.equal(pro.summary, "user:u (known by its user) passes: the rule 'GET /search/:what' applies, tier 'pro'.");
    const other = await explained(app.get({ 'x-tier': 'unknown', 'x-user': 'u' }));
    assert.deepEqual([other.rule, other.tier], [undefined, 'free']);
  });

  define('explains a refusal: by which policies, and when the request would pass', async ({ start }) => {
    const clock = new ManualClock();
    const limits = [
      { name: 'daily', limit: 1, window: '1d', algorithm: 'fixed-window' },
      { name: 'burst', limit: 1, window: '1s', algorithm: 'fixed-window' },
      { name: 'loose', limit: 9, window: '1d', algorithm: 'fixed-window' },
    ] as const;
    const { app, explained } = await explaining<R>(start, { limits, clock });
    await app.get();
    const { outcome, passesAt, policies, summary } = await explained(app.get());
    assert.equal(outcome, 'refused');
    assert.deepEqual(policies.map(briefly), [
      'enforce limit daily of ip:127.0.0.1 for 1: refuses, 0 left',
      'enforce limit burst of ip:127.0.0.1 for 1: refuses, 0 left',
      'enforce limit loose of ip:127.0.0.1 for 1: passes, 8 left',
    ]);
    clock.advance(passesAt!.getTime() - clock.now() / 1_000 - 1);
    assert.equal((await app.get()).status, 429);
    clock.advance(1);
    assert.equal((await app.get()).status, 200);
    const when = passesAt!.toISOString();
    assert.equal(
      summary,
      `ip:127.0.0.1 (known by its address) is refused by 'daily' and 'burst': no rule applies; it would pass at ${when}.`,
    );
  });

  define('explains that a request can never pass', async ({ start }) => {
    const rules: Rule<R>[] = [{ match: 'POST /login', limit: 3, window: '1h', cost: () => 4 }];
    const { app, explained } = await explaining<R>(start, { rules });
    const { outcome, passesAt, summary } = await explained(app.login());
    assert.deepEqual([outcome, passesAt], ['refused', undefined]);
    assert.match(summary, /refused by 'POST-login': the rule 'POST \/login' applies; it can never pass\.$/);
  });

  define('explains what shadows count, which refuse nothing', async ({ start }) => {
    const rules: Rule<R>[] = [{ match: '/', name: 'trial', limit: 0, window: '1h', mode: 'shadow' }];
    const { app, explained } = await explaining<R>(start, { limit: 5, window: '1h', rules });
    const { outcome, rule, policies } = await explained(app.get());
    assert.deepEqual([outcome, rule], ['allowed', undefined]);
    assert.deepEqual(policies.map(briefly), [
      'enforce limit default of ip:127.0.0.1 for 1: passes, 5 left',
      'shadow limit trial of ip:127.0.0.1 for 1: refuses, 0 left',
    ]);
  });

  define('explains why a request is not limited', async ({ start, header }) => {
    const rules: Rule<R>[] = [{ match: 'POST /login', limit: false }];
    const { app, explained } = await explaining<R>(start, {
      rules,
      key: (request) => header(request, 'x-who') || (false as const),
      skip: (request) => header(request, 'x-skip') === 'yes',
      lists: { allow: ['partner', 'api-key:secret'] },
    });
    for (const [ask, outcome, summary] of [
      [app.get({ 'x-skip': 'yes' }), 'skipped', "The request is not limited: 'skip' says so."],
      [app.get(), 'unlimited', 'The request is not limited.'],
      [
        app.login().set('x-who', 'me'),
        'unlimited',
        "me (known by the 'key' option) is not limited: the rule 'POST /login' has no limit.",
      ],
      [
        app.get({ 'x-who': 'partner' }),
        'allow-listed',
        "partner (known by the 'key' option) is not limited: 'partner' is on the allow list.",
      ],
    ] as const) {
      const explanation = await explained(ask);
      assert.deepEqual([explanation.outcome, explanation.summary], [outcome, summary]);
      assert.deepEqual(explanation.policies, []);
      assert.ok(explanation.passesAt instanceof Date);
    }
  });

  define('explains by which entry of a list a client is known, and shows no API key', async ({ start }) => {
    const lists = { block: ['api-key:hidden', '192.0.2.0/24'] };
    const { app, explained } = await explaining<R>(start, { lists }, { proxies: 'one' });
    const byKey = await explained(app.get({ 'x-api-key': 'hidden' }));
    assert.deepEqual([byKey.outcome, byKey.entry, byKey.passesAt], ['blocked', 'api-key:…', undefined]);
    assert.doesNotMatch(JSON.stringify(byKey), /hidden/);
    const byRange = await explained(app.get({ 'x-forwarded-for': '192.0.2.9' }));
    assert.equal(byRange.entry, '192.0.2.0/24');
    assert.match(byRange.summary, /^ip:192\.0\.2\.9 .+ is refused: '192\.0\.2\.0\/24' is on the block list\.$/);
  });

  define('explains by which entry of which rule a client is refused, or not limited', async ({ start }) => {
    const lists = { block: ['user:mallory'], allow: ['user:monitor'] };
    const rules: Rule<R>[] = [{ match: 'POST /login', limit: 5, window: '1h', lists }];
    const { app, explained } = await explaining<R>(start, { rules });
    const blocked = await explained(app.login().set('x-user', 'mallory'));
    assert.deepEqual([blocked.outcome, blocked.entry, blocked.rule], ['blocked', 'user:mallory', 'POST /login']);
    assert.equal(
      blocked.summary,
      "user:mallory (known by its user) is refused: 'user:mallory' is on the block list of the rule 'POST /login'.",
    );
    const free = await explained(app.login().set('x-user', 'monitor'));
    assert.deepEqual([free.outcome, free.entry, free.policies], ['allow-listed', 'user:monitor', []]);
    assert.equal(
      free.summary,
      "user:monitor (known by its user) is not limited: 'user:monitor' is on the allow list of the rule 'POST /login'.",
    );
  });

  define('explains a ban, and the phase before authentication', async ({ start }) => {
    const clock = new ManualClock();
    const penalty = { banAfter: 1, banFor: '2h' } as const;
    const limiter = { limit: 1, window: '1h', beforeAuth: '2/1h', penalty, clock } as const;
    const { app, explained } = await explaining<R>(start, limiter);
    const me = { 'x-user': 'me' };
    // Asked behind authentication, where the phase before it has counted the request already.
    const first = await explained(app.get(me));
    assert.deepEqual(first.policies.filter(({ kind }) => kind === 'limit').map(briefly), [
      'enforce limit before-auth of ip:127.0.0.1 for 1: passes, 1 left',
      'enforce limit default of user:me for 1: passes, 1 left',
    ]);
    assert.equal((await app.get(me)).status, 403);
    const banned = await explained(app.get(me));
    assert.equal(banned.outcome, 'refused');
    assert.equal(banned.passesAt?.getTime(), clock.now() / 1_000 + 7_200_000);
    assert.match(banned.summary, /^user:me .+ is refused by .*'default-ban'/);
  });
}

/** An app that explains each request which it is asked about before it decides on it. */
async function explaining<R>(start: Bench<R>['start'], limiter: RateLimitOptions<R>, setup: Partial<AppSetup<R>> = {}) {
  let controls: Controls<R> | undefined;
  let wanted = false;
  let explanation: Explanation | undefined;
  const skip = async (request: R) => {
    // Of two phases the later one asks too, and knows more.
    if (wanted) {
      wanted = false;
      explanation = await controls!.explain(request);
      wanted = true;
    }
    return (await limiter.skip?.(request)) ?? false;
  };
  const app = await start({
    authenticate: (headers: IncomingHttpHeaders) => headers['x-user'] && { id: headers['x-user'] },
    ...setup,
    limiters: [{ ...limiter, skip }],
    made: (made) => {
      controls = made;
    },
  });
  const explained = async (ask: Test): Promise<Explanation> => {
    wanted = true;
    explanation = undefined;
    await ask;
    wanted = false;
    return explanation!;
  };
  return { app, explained };
}

function briefly({ mode, kind, policy, key, cost, decision }: ExplainedPolicy): string {
  return `${mode} ${kind} ${policy} of ${key} for ${cost}: ${decision.allowed ? 'passes' : 'refuses'}, ${decision.remaining} left`;
}
