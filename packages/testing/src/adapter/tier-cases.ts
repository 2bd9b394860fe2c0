import assert from 'node:assert/strict';
import type { IncomingHttpHeaders } from 'node:http';
import type { Rule } from '@sluice/core';
import { ManualClock } from '../manual-clock.js';
import { type Define, fields, policiesOf, remaining } from './scene.js';

const tiers = { free: '1/1h', pro: '3/1h', partner: false } as const;

/** Limits that depend on the tier of a client. */
export function tierCases<R>(define: Define<R>): void {
  const authenticate = (headers: IncomingHttpHeaders) => headers['x-user'] && { id: headers['x-user'] };

  for (const [when, wrap] of [
    ['at once', <T>(value: T) => value],
    ['later', async <T>(value: T) => value],
  ] as const) {
    define(`grants each tier its own limits, where the tier is named ${when}`, async ({ start, header }) => {
      const tier = (request: R) => wrap(header(request, 'x-tier'));
      const app = await start({ limiters: [{ tiers, tier, defaultTier: 'free' }], authenticate });
      const ask = (tier: string) => app.statuses(4, { 'x-user': `of-${tier}`, 'x-tier': tier });
      assert.deepEqual(await ask('free'), [200, 429, 429, 429]);
      assert.deepEqual(await ask('pro'), [200, 200, 200, 429]);
      assert.deepEqual(await ask('partner'), [200, 200, 200, 200]);
    });

    define(
      `takes whoever is of no tier, or an unknown one that is named ${when}, for the default`,
      async ({ start }) => {
        const named = [
          undefined,
          null,
          '',
          'gold',
          'FREE',
          ' pro',
          'constructor',
          '__proto__',
          'toString',
          7,
          {},
          true,
        ];
        for (const one of named) {
          const app = await start({ limiters: [{ tiers, tier: () => wrap(one as string), defaultTier: 'free' }] });
          assert.deepEqual(await app.statuses(2), [200, 429], String(one));
        }
      },
    );

    define(`takes the error of a tier function that fails ${when} to the error handling`, async ({ start }) => {
      const broken = new Error('broken');
      const tier = () => {
        const failed = wrap(broken);
        if (failed instanceof Error) throw failed;
        return Promise.reject(broken);
      };
      const app = await start({ limiters: [{ tiers, tier, defaultTier: 'free' }] });
      assert.equal((await app.get()).status, 500);
      assert.deepEqual(app.errors, [broken]);
    });
  }

  define('neither limits nor tells anything of a tier that is not limited', async ({ start, header }) => {
    const tier = (request: R) => header(request, 'x-tier');
    const app = await start({ limiters: [{ tiers, tier, defaultTier: 'free' }] });
    const free = await app.get({ 'x-tier': 'partner' });
    assert.deepEqual([free.status, ...fields(free)], [200, undefined, undefined, undefined]);
    assert.deepEqual(fields(await app.get({ 'x-tier': 'free' })).slice(0, 2), [1, 0]);
  });

  define('calls the policies of a tier by its name, and tells the decision of it', async ({ start, header }) => {
    const seen: unknown[] = [];
    const tier = (request: R) => header(request, 'x-tier');
    const several = { free: '5/1h', pro: ['5/1m', { name: 'daily', limit: 50, window: '1d' }] } as const;
    const app = await start({
      limiters: [{ name: 'api', tiers: several, tier, defaultTier: 'free', headers: 'draft-11' }],
      async handle(decision) {
        seen.push(decision?.tier);
        return { status: 200, body: '' };
      },
    });
    assert.deepEqual(policiesOf(await app.get()), ['api-free']);
    assert.deepEqual(policiesOf(await app.get({ 'x-tier': 'pro' })), ['api-pro-1m', 'api-pro-daily']);
    assert.deepEqual(seen, ['free', 'pro']);
  });

  define('counts a client who changes tiers in each by itself', async ({ start, header }) => {
    const tier = (request: R) => header(request, 'x-tier');
    const app = await start({ limiters: [{ tiers, tier, defaultTier: 'free' }], authenticate });
    const ask = (tier: string) => app.get({ 'x-user': 'u', 'x-tier': tier });
    assert.equal((await ask('free')).status, 200);
    assert.equal((await ask('free')).status, 429);
    assert.equal(remaining(await ask('pro')), 2);
    assert.equal((await ask('free')).status, 429);
  });

  define('falls back, in a rule with limits for some tiers, to the limit beside them', async ({ start, header }) => {
    const rules: Rule<R>[] = [{ match: '/search', limit: 2, window: '1h', tiers: { pro: '4/1h', partner: false } }];
    const tier = (request: R) => header(request, 'x-tier');
    const app = await start({ limiters: [{ tiers, tier, defaultTier: 'free', rules }] });
    const limit = async (tier: string) => fields(await app.get({ 'x-tier': tier }, '/search'))[0];
    assert.deepEqual([await limit('free'), await limit('pro'), await limit('partner')], [2, 4, undefined]);
    assert.equal(fields(await app.get({ 'x-tier': 'free' }))[0], 1);
  });

  define(
    'falls back, in a rule of tiers alone, to that of the default tier for unknown ones',
    async ({ start, header }) => {
      const rules: Rule<R>[] = [{ match: '/search', tiers: { free: '2/1h', pro: '4/1h', partner: '6/1h' } }];
      const tier = (request: R) => header(request, 'x-tier');
      const app = await start({ limiters: [{ tiers, tier, defaultTier: 'free', rules }] });
      const limit = async (tier: string) => fields(await app.get({ 'x-tier': tier }, '/search'))[0];
      assert.deepEqual(
        [await limit('free'), await limit('pro'), await limit('partner'), await limit('x')],
        [2, 4, 6, 2],
      );
    },
  );

  define('has rules with tiers under an app that has none', async ({ start, header }) => {
    const rules: Rule<R>[] = [{ match: '/search', tiers: { guest: '1/1h', member: '2/1h' } }];
    const tier = (request: R) => header(request, 'x-tier');
    const app = await start({ limiters: [{ limit: 9, window: '1h', tier, defaultTier: 'guest', rules }] });
    const limit = async (path: string, tier: string) => fields(await app.get({ 'x-tier': tier }, path))[0];
    assert.deepEqual(
      [await limit('/search', 'member'), await limit('/search', 'x'), await limit('/', 'member')],
      [2, 1, 9],
    );
  });

  define('limits a tier by several policies, all or none', async ({ start }) => {
    const clock = new ManualClock();
    const several = { free: ['1/1s', '2/1m'] } as const;
    const app = await start({ limiters: [{ tiers: several, tier: () => 'free', defaultTier: 'free', clock }] });
    assert.deepEqual(await app.statuses(3), [200, 429, 429]);
    clock.advance(2_000);
    assert.deepEqual(await app.statuses(1), [200]);
    clock.advance(2_000);
    assert.deepEqual((await app.get()).body['violated-policies'], ['free-1m']);
  });

  define('charges the cost of a rule to the tier that it grants', async ({ start, header }) => {
    const rules: Rule<R>[] = [{ match: '/export', tiers: { free: '10/1h', pro: '100/1h', partner: false }, cost: 10 }];
    const tier = (request: R) => header(request, 'x-tier');
    const app = await start({ limiters: [{ tiers, tier, defaultTier: 'free', rules }] });
    assert.equal(remaining(await app.get({ 'x-tier': 'pro' }, '/export')), 90);
    assert.equal(remaining(await app.get({ 'x-tier': 'free' }, '/export')), 0);
    assert.equal((await app.get({ 'x-tier': 'free' }, '/export')).status, 429);
  });
}
