import assert from 'node:assert/strict';
import type { RequestEvent } from '@sluice/core';
import { ManualClock } from '../manual-clock.js';
import { type Define, fields, remaining } from './scene.js';

/** Limits that are tried out: they count, and tell what they would have refused. */
export function shadowCases<R>(define: Define<R>): void {
  define('refuses nothing in the shadow, and tells what it would have refused', async ({ start }) => {
    const { told, onDecision } = listener<R>();
    const decisions: unknown[] = [];
    const app = await start({
      limiters: [{ limit: 1, window: '1h', mode: 'shadow', onDecision }],
      async handle(decision) {
        decisions.push(decision ?? undefined);
        return { status: 200, body: '' };
      },
    });
    for (let i = 0; i < 3; i++) {
      const response = await app.get();
      assert.equal(response.status, 200);
      assert.deepEqual(fields(response), [undefined, undefined, undefined]);
      assert.equal(response.headers['retry-after'], undefined);
    }
    assert.deepEqual(decisions, [undefined, undefined, undefined]);
    assert.deepEqual(told, ['shadow default passes', 'shadow default refuses', 'shadow default refuses']);
  });

  define('enforces one policy beside the shadow of another, and shows what is enforced', async ({ start }) => {
    const { told, onDecision } = listener<R>();
    const clock = new ManualClock();
    const limits = [
      { name: 'loose', algorithm: 'fixed-window', limit: 3, window: '1h' },
      { name: 'tight', algorithm: 'fixed-window', limit: 1, window: '1m', mode: 'shadow' },
    ] as const;
    const app = await start({ limiters: [{ limits, clock, onDecision, headers: ['legacy', 'draft-11'] }] });
    const reset = clock.now() / 1_000_000 + 3_600;
    for (const left of [2, 1, 0]) {
      const response = await app.get();
      assert.deepEqual([response.status, ...fields(response)], [200, 3, left, reset]);
      assert.equal(response.headers['ratelimit-policy'], '"loose";q=3;w=3600');
    }
    const refused = await app.get();
    assert.equal(refused.status, 429);
    assert.deepEqual(refused.body['violated-policies'], ['loose']);
    // What is refused anyway, a shadow does not count.
    assert.deepEqual(told, [
      'shadow tight passes',
      'enforce loose passes',
      'shadow tight refuses',
      'enforce loose passes',
      'shadow tight refuses',
      'enforce loose passes',
      'enforce loose refuses',
    ]);
  });

  define('leaves a route to the limits that its rule in the shadow would replace', async ({ start }) => {
    const events: RequestEvent<R>[] = [];
    const rule = { match: 'POST /login', limit: 1, window: '1h', mode: 'shadow' } as const;
    const onDecision = (event: RequestEvent<R>) => void events.push(event);
    const app = await start({ limiters: [{ limit: 3, window: '1h', rules: [rule], onDecision }] });
    assert.equal(remaining(await app.login()), 2);
    assert.equal(remaining(await app.login()), 1);
    assert.deepEqual(
      events.map(({ mode, rule, decision }) => [mode, rule, decision.allowed]),
      [
        ['shadow', 'POST /login', true],
        ['enforce', undefined, true],
        ['shadow', 'POST /login', false],
        ['enforce', undefined, true],
      ],
    );
    assert.equal(remaining(await app.get()), 0);
    assert.equal(events.length, 5);
  });

  define('counts in the shadow as it would in earnest: units come back by the clock', async ({ start }) => {
    const { told, onDecision } = listener<R>();
    const clock = new ManualClock();
    const limiter = { limit: 1, window: '1m', algorithm: 'fixed-window', mode: 'shadow', clock, onDecision } as const;
    const app = await start({ limiters: [limiter] });
    await app.statuses(2);
    clock.advance(60_000);
    await app.statuses(1);
    assert.deepEqual(told, ['shadow default passes', 'shadow default refuses', 'shadow default passes']);
  });

  define('does as if what is switched off were not written', async ({ start }) => {
    const { told, onDecision } = listener<R>();
    const limits = [
      { name: 'on', limit: 2, window: '1h' },
      { name: 'off', limit: 0, window: '1h', mode: 'off' },
    ] as const;
    const rules = [{ match: 'POST /login', limit: 0, window: '1h', mode: 'off' }] as const;
    const app = await start({ limiters: [{ limits, rules, onDecision }] });
    assert.equal(remaining(await app.login()), 1);
    assert.deepEqual(await app.statuses(2), [200, 429]);
    assert.deepEqual(told, ['enforce on passes', 'enforce on passes', 'enforce on refuses']);
    const off = await start({ limiters: [{ limit: 0, mode: 'off', onDecision }, '5/1h'] });
    assert.equal(remaining(await off.get()), 4);
    assert.equal(told.length, 3);
  });

  for (const [percent, least, most] of [
    [0, 0, 0],
    [50, 20, 80],
    [100, 100, 100],
  ] as const) {
    define(`enforces for ${percent} percent of the keys, always the same ones`, async ({ start, header }) => {
      const { told, onDecision } = listener<R>();
      const key = (request: R) => header(request, 'x-who')!;
      const limiter = { limit: 0, enforcePercent: percent, key, onDecision } as const;
      const apps = [await start({ limiters: [limiter] }), await start({ limiters: [{ ...limiter, name: 'other' }] })];
      let refused = 0;
      for (let i = 0; i < 100; i++) {
        const statuses: number[] = [];
        for (const app of apps) statuses.push(...(await app.statuses(2, { 'x-who': `user-${i}` })));
        assert.equal(new Set(statuses).size, 1);
        if (statuses[0] === 429) refused++;
      }
      assert.ok(refused >= least && refused <= most, `${refused} of 100 keys are refused`);
      const mode = (name: string) => told.filter((line) => line.startsWith(name)).length;
      assert.deepEqual([mode('enforce'), mode('shadow')], [4 * refused, 4 * (100 - refused)]);
    });
  }

  define('tries a limit of requests at work out in the shadow', async ({ start }) => {
    const { told, onDecision } = listener<R>();
    let inside = 0;
    const app = await start({
      limiters: [{ limit: false, concurrency: 1, mode: 'shadow', onDecision }],
      async handle() {
        // One request asks while another is at work.
        if (inside++ === 0) assert.equal((await app.get()).status, 200);
        return { status: 200, body: '' };
      },
    });
    assert.equal((await app.get()).status, 200);
    assert.deepEqual(told, ['shadow default-concurrency passes', 'shadow default-concurrency refuses']);
  });
}

/** Notes each decision as `mode policy passes|refuses`. */
function listener<R>() {
  const told: string[] = [];
  const onDecision = ({ mode, decision: { policy, allowed } }: RequestEvent<R>) => {
    told.push(`${mode} ${policy} ${allowed ? 'passes' : 'refuses'}`);
  };
  return { told, onDecision };
}
