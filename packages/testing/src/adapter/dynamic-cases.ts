import assert from 'node:assert/strict';
import type { MaybePromise } from '@sluice/core';
import { ManualClock } from '../manual-clock.js';
import { type Define, fields } from './scene.js';

/** Limits that depend on the request. */
export function dynamicCases<R>(define: Define<R>): void {
  for (const [when, wrap] of [
    ['at once', <T>(value: T): MaybePromise<T> => value],
    ['later', async <T>(value: T): Promise<T> => value],
  ] as const) {
    define(`limits by a number that is named ${when}, and counts on when it changes`, async ({ start, header }) => {
      const clock = new ManualClock();
      const limit = (request: R) => wrap(Number(header(request, 'x-limit')));
      const app = await start({ limiters: [{ limit, window: '1h', algorithm: 'fixed-window', clock }] });
      assert.deepEqual(await app.statuses(3, { 'x-limit': '2' }), [200, 200, 429]);
      assert.deepEqual(await app.statuses(3, { 'x-limit': '4' }), [200, 200, 429]);
      const lowered = await app.get({ 'x-limit': '1' });
      assert.deepEqual([lowered.status, ...fields(lowered).slice(0, 2)], [429, 1, 0]);
      assert.deepEqual(fields(await app.get({ 'x-limit': '9' })).slice(0, 2), [9, 4]);
      clock.advance(3_600_000);
      assert.deepEqual(await app.statuses(2, { 'x-limit': '1' }), [200, 429]);
    });

    define(`limits by a window that is named ${when}`, async ({ start, header }) => {
      const clock = new ManualClock();
      const now = clock.now() / 1_000_000;
      const app = await start({
        limiters: [
          {
            limit: 1,
            window: (request) => wrap(header(request, 'x-window') as '1m'),
            key: (request) => header(request, 'x-window')!,
            algorithm: 'fixed-window',
            clock,
          },
        ],
      });
      assert.deepEqual(fields(await app.get({ 'x-window': '1m' })), [1, 0, now + 60]);
      assert.deepEqual(fields(await app.get({ 'x-window': '1h' })), [1, 0, now + 3_600]);
      clock.advance(60_000);
      assert.equal((await app.get({ 'x-window': '1m' })).status, 200);
      assert.equal((await app.get({ 'x-window': '1h' })).status, 429);
    });

    define(`limits a route by a number that is named ${when}`, async ({ start, header }) => {
      const limit = (request: R) => wrap(Number(header(request, 'x-limit') || 1));
      const rules = [{ match: 'POST /login', limit, window: '1h' }] as const;
      const app = await start({ limiters: [{ limit: 100, rules, headers: 'draft-11' }] });
      const passed = await app.login().set('x-limit', '2');
      assert.equal(passed.headers['ratelimit-policy'], '"POST-login";q=2;w=3600');
      assert.deepEqual([(await app.login().set('x-limit', '2')).status, (await app.login()).status], [200, 429]);
      assert.equal((await app.get()).headers['ratelimit-policy'], '"default";q=100;w=3600');
    });

    define(`does not limit whom key names false ${when}`, async ({ start, header }) => {
      const key = (request: R) => wrap(header(request, 'x-who') || (false as const));
      const app = await start({ limiters: [{ limit: 1, window: '1h', key }] });
      for (let i = 0; i < 3; i++) {
        const free = await app.get();
        assert.equal(free.status, 200);
        assert.deepEqual(fields(free), [undefined, undefined, undefined]);
      }
      assert.deepEqual(await app.statuses(2, { 'x-who': 'me' }), [200, 429]);
      assert.equal((await app.get()).status, 200);
    });

    for (const bad of [Number.NaN, -1, 1.5, Number.POSITIVE_INFINITY, '10', true, false, null, undefined, 2e9]) {
      define(`passes nobody by the limit ${show(bad)} that is named ${when}`, async ({ start }) => {
        let handled = 0;
        const handle = async () => {
          handled++;
          return { status: 200, body: '' };
        };
        const limit = () => wrap(bad as number);
        const app = await start({ limiters: [{ limit, window: '1h' }], handle });
        assert.deepEqual(await app.statuses(2), [500, 500]);
        assert.deepEqual(codes(app.errors), ['INVALID_POLICY', 'INVALID_POLICY']);
        assert.equal(handled, 0);
      });
    }

    for (const bad of [Number.NaN, 0, -1, 0.5, 'soon', '', '1y', null, undefined, 4e10]) {
      define(`passes nobody by the window ${show(bad)} that is named ${when}`, async ({ start }) => {
        const window = () => wrap(bad as number);
        const app = await start({ limiters: [{ limit: 1, window }] });
        assert.deepEqual(await app.statuses(2), [500, 500]);
        for (const code of codes(app.errors)) assert.match(String(code), /^INVALID_(POLICY|WINDOW)$/);
        assert.equal(app.errors.length, 2);
      });
    }
  }

  for (const name of ['limit', 'window'] as const) {
    define(`takes the error of a ${name} to the error handling, once`, async ({ start }) => {
      const broken = new Error('broken');
      const callbacks = [
        () => {
          throw broken;
        },
        () => Promise.reject(broken),
        () => new Promise<never>((_, reject) => setImmediate(reject, broken)),
      ];
      for (const callback of callbacks) {
        const app = await start({ limiters: [{ limit: 1, window: '1h', [name]: callback }] });
        assert.equal((await app.get()).status, 500);
        assert.deepEqual(app.errors, [broken]);
      }
    });
  }
}

function show(value: unknown): string {
  return typeof value === 'string' ? `'${value}'` : String(value);
}

function codes(errors: readonly unknown[]): unknown[] {
  return errors.map((error) => (error as { code?: unknown }).code);
}
