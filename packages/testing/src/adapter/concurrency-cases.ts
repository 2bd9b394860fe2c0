import assert from 'node:assert/strict';
import type { RateLimitOptions } from '@sluice/core';
import { ManualClock } from '../manual-clock.js';
import { gate, watchedStore } from './gate.js';
import { type Define, fields, remaining, until } from './scene.js';

const done = { status: 200, body: '' };

/** How many requests of one client may be at work at a time. */
export function concurrencyCases<R>(define: Define<R>): void {
  /** Two requests at work at a time, and a store that tells when a place is free again. */
  function pair(options: RateLimitOptions<R> = {}) {
    const clock = new ManualClock();
    const { store, refunds } = watchedStore({ clock });
    return { clock, refunds, limiter: { limit: 9, window: '1h', concurrency: 2, clock, store, ...options } as const };
  }

  define('refuses a request more than may be at work', async ({ start, header }) => {
    const { limiter, refunds } = pair({ key: (request) => header(request, 'x-who') || 'me' });
    const { answer, handle, begun } = gate();
    const app = await start({ limiters: [limiter], handle });
    const first = [app.open(), app.open()];
    await until(() => begun() === 2);
    const refused = await app.get();
    assert.equal(refused.status, 429);
    assert.equal(refused.headers['retry-after'], '1');
    assert.deepEqual(refused.body['violated-policies'], ['default-concurrency']);
    assert.match(refused.body.detail, /at most 2 requests at a time/);
    const other = app.open({ 'x-who': 'other' });
    await until(() => begun() === 3);
    answer(done);
    assert.deepEqual(await Promise.all([...first, other].map(({ status }) => status)), [200, 200, 200]);
    await until(() => refunds.length === 3);
    // The refused one has taken nothing of the quota.
    assert.equal(remaining(await app.get()), 6);
  });

  define('frees the place of a request at work whose handler fails', async ({ start }) => {
    const { limiter, refunds } = pair({ concurrency: 1 });
    const app = await start({ limiters: [limiter], handle: () => Promise.reject(new Error('broken')) });
    for (let n = 1; n < 4; n++) {
      assert.equal((await app.get()).status, 500);
      await until(() => refunds.length === n);
    }
  });

  define('frees the place at work of a client that leaves, and keeps its units', async ({ start }) => {
    const { limiter, refunds } = pair({ concurrency: 1 });
    const { answer, handle, begun } = gate();
    const app = await start({ limiters: [limiter], handle });
    const leaver = app.open();
    await until(() => begun() === 1);
    assert.equal((await app.get()).status, 429);
    leaver.call.destroy();
    await until(() => refunds.length === 1);
    answer(done);
    const next = await app.get();
    assert.equal(next.status, 200);
    assert.equal(remaining(next), 7);
  });

  define('frees the place at work of a request that nothing ends, after its timeout', async ({ start }) => {
    const { limiter, clock } = pair({ concurrency: { limit: 1, timeout: '1m' } });
    const { answer, handle, begun } = gate();
    const app = await start({ limiters: [limiter], handle });
    const first = app.open();
    await until(() => begun() === 1);
    clock.advance(59_999.999);
    const refused = await app.get();
    assert.deepEqual([refused.status, refused.headers['retry-after']], [429, '1']);
    clock.advance(0.001);
    const second = app.open();
    await until(() => begun() === 2);
    assert.equal((await app.get()).status, 429);
    answer(done);
    assert.deepEqual([await first.status, await second.status], [200, 200]);
  });

  define('limits the requests at work of one rule alone', async ({ start }) => {
    const rule = { match: 'POST /login', limit: 9, window: '1h', concurrency: 1 } as const;
    const { limiter } = pair({ concurrency: 3, rules: [rule] });
    const { answer, handle, begun } = gate();
    const app = await start({ limiters: [limiter], handle });
    const first = app.login().then(({ status }) => status);
    await until(() => begun() === 1);
    const refused = await app.login();
    assert.equal(refused.status, 429);
    assert.deepEqual(refused.body['violated-policies'], ['POST-login-concurrency']);
    const others = [app.open(), app.open()];
    await until(() => begun() === 3);
    // The one behind the rule counts among those of the whole app.
    assert.deepEqual((await app.get()).body['violated-policies'], ['default-concurrency']);
    answer(done);
    assert.deepEqual([await first, await others[0]!.status, await others[1]!.status], [200, 200, 200]);
  });

  define('limits the requests at work where nothing else is limited', async ({ start }) => {
    const { limit, window, ...limiter } = pair().limiter;
    const { answer, handle, begun } = gate();
    const app = await start({ limiters: [{ ...limiter, limit: false, concurrency: 1 }], handle });
    const first = app.get().then(fields);
    await until(() => begun() === 1);
    assert.equal((await app.get()).status, 429);
    answer(done);
    // It is told nothing of a quota, since there is none.
    assert.deepEqual(await first, [undefined, undefined, undefined]);
  });

  define('takes no place at work for a request that a limit refuses', async ({ start }) => {
    const { limiter, refunds } = pair({ limit: 1, concurrency: 1 });
    const { answer, handle, begun } = gate();
    const app = await start({ limiters: [limiter], login: undefined, handle });
    const first = app.open();
    await until(() => begun() === 1);
    const refused = await app.get();
    assert.deepEqual(refused.body['violated-policies'], ['default', 'default-concurrency']);
    answer(done);
    assert.equal(await first.status, 200);
    await until(() => refunds.length === 1);
    for (let i = 0; i < 3; i++) assert.deepEqual((await app.get()).body['violated-policies'], ['default']);
    assert.equal(refunds.length, 1);
  });

  define('does not show places at work in the legacy fields, unless there is none', async ({ start }) => {
    const { limiter } = pair({ concurrency: 1 });
    const { answer, handle, begun } = gate();
    const app = await start({ limiters: [limiter], handle });
    const first = app.get().then(fields);
    await until(() => begun() === 1);
    assert.deepEqual(fields(await app.get()).slice(0, 2), [1, 0]);
    answer(done);
    assert.deepEqual((await first).slice(0, 2), [9, 8]);
  });

  define('shows places at work in the fields of draft-11', async ({ start }) => {
    const { limiter } = pair({ headers: 'draft-11', algorithm: 'fixed-window', concurrency: 3 });
    const { answer, handle, begun } = gate();
    const app = await start({ limiters: [limiter], handle });
    const passed = Array.from({ length: 3 }, async () => (await app.get()).headers);
    await until(() => begun() === 3);
    const refused = (await app.get()).headers;
    answer(done);
    const policies = '"default";q=9;w=3600, "default-concurrency";q=3;qu="concurrent-requests"';
    const all = await Promise.all(passed);
    for (const headers of [...all, refused]) assert.equal(headers['ratelimit-policy'], policies);
    assert.deepEqual(
      all.map((headers) => headers.ratelimit).sort(),
      [6, 7, 8].map((left) => `"default";r=${left};t=3600, "default-concurrency";r=${left - 6}`),
    );
    assert.equal(refused.ratelimit, '"default-concurrency";r=0');
  });

  define('gives the place at work back that a later limiter refuses', async ({ start }) => {
    const { limiter, refunds } = pair({ name: 'before', concurrency: 1 });
    const app = await start({ limiters: [limiter, { limit: 0 }] });
    for (let n = 1; n < 4; n++) {
      assert.deepEqual((await app.get()).body['violated-policies'], ['default']);
      await until(() => refunds.filter(({ policy }) => policy.name === 'before-concurrency').length === n);
    }
  });
}
