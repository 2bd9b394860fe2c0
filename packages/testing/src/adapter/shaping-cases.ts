import assert from 'node:assert/strict';
import { MemoryStore, type RateLimitOptions } from '@sluice/core';
import { ManualClock } from '../manual-clock.js';
import { type Define, until } from './scene.js';

/** Requests that a leaky bucket holds until its drain reaches them. */
export function shapingCases<R>(define: Define<R>): void {
  /** One request per second, five in the queue; the clock's only timers are those of requests that are held. */
  function queue(options: RateLimitOptions<R> = {}) {
    const clock = new ManualClock();
    const store = new MemoryStore({ clock: { now: () => clock.now(), after: () => () => {} } });
    return {
      clock,
      limiter: { algorithm: 'leaky-bucket', limit: 1, window: '1s', burst: 5, clock, store, ...options } as const,
    };
  }

  define('holds the requests of a leaky bucket, and lets them go evenly and in order', async ({ start }) => {
    const { clock, limiter } = queue();
    const app = await start({ limiters: [limiter] });
    const done: number[] = [];
    const open = (n: number) => app.open().status.then((status) => void (status === 200 && done.push(n)));
    const all = [open(0)];
    await until(() => done.length === 1);
    for (let n = 1; n < 4; n++) {
      all.push(open(n));
      await until(() => clock.pending === n);
    }
    assert.deepEqual(done, [0]);
    for (let n = 1; n < 4; n++) {
      await clock.pass(999.999);
      assert.equal(done.length, n);
      await clock.pass(0.001);
      await until(() => done.length === n + 1);
    }
    await Promise.all(all);
    assert.deepEqual(done, [0, 1, 2, 3]);
    assert.equal(clock.pending, 0);
  });

  define('refuses what the queue has no room for', async ({ start }) => {
    const { clock, limiter } = queue();
    const app = await start({ limiters: [limiter] });
    assert.equal(await app.open().status, 200);
    const held = Array.from({ length: 4 }, () => app.open().status);
    await until(() => clock.pending === 4);
    assert.equal((await app.get()).status, 429);
    await clock.pass(4_000);
    assert.deepEqual(await Promise.all(held), [200, 200, 200, 200]);
  });

  define('gives the units of a client that leaves while it is held back', async ({ start }) => {
    const { clock, limiter } = queue();
    let handled = 0;
    const handle = async () => {
      handled++;
      return { status: 200, body: '' };
    };
    let behind = 0;
    const before = { name: 'before', limit: 10, clock, store: limiter.store };
    const after = { ...before, name: 'after', key: () => 'all', onDecision: () => void behind++ };
    const app = await start({ limiters: [before, limiter, after], handle });
    assert.equal((await app.get()).headers['x-ratelimit-remaining'], '4');
    const leaver = app.open();
    await until(() => clock.pending === 1);
    leaver.call.destroy();
    assert.equal(await leaver.status, undefined);
    await until(() => clock.pending === 0);
    assert.equal(handled, 1);
    // The whole queue but for the first request is free again, and so is the budget of the limiter before it.
    const held = Array.from({ length: 4 }, () => app.get());
    const responses = Promise.all(held.map(async (response) => (await response).status));
    await until(() => clock.pending === 4);
    await clock.pass(4_000);
    assert.deepEqual(await responses, [200, 200, 200, 200]);
    assert.equal(handled, 5);
    assert.equal(behind, 5);
    assert.deepEqual(app.errors, []);
  });

  define('refuses a request that it would hold for longer than maxDelay', async ({ start }) => {
    const { clock, limiter } = queue({ maxDelay: '2s' });
    const app = await start({ limiters: [limiter] });
    assert.equal(await app.open().status, 200);
    const held = [app.open().status, app.open().status];
    await until(() => clock.pending === 2);
    const refused = await app.get();
    assert.equal(refused.status, 429);
    assert.equal(refused.headers['retry-after'], '1');
    assert.equal(refused.headers['x-ratelimit-remaining'], '0');
    assert.equal(refused.headers['x-ratelimit-reset'], String(clock.now() / 1_000_000 + 3));
    assert.deepEqual(refused.body['violated-policies'], ['default']);
    // The refused one took no place: a second later there is room for just one more.
    await clock.pass(1_000);
    held.push(app.open().status);
    await until(() => clock.pending === 2);
    assert.equal((await app.get()).status, 429);
    await clock.pass(2_000);
    assert.deepEqual(await Promise.all(held), [200, 200, 200]);
  });

  define('names the queue that is too long, of several policies', async ({ start }) => {
    const { clock, limiter } = queue();
    const { limit, window, burst, ...rest } = limiter;
    const limits = [
      { name: 'queue', limit: 1, window: '1s', burst: 5 },
      { name: 'log', algorithm: 'sliding-window-log', limit: 9, window: '1s' },
    ] as const;
    const app = await start({ limiters: [{ ...rest, limits, maxDelay: 1 }] });
    assert.equal((await app.get()).status, 200);
    const refused = await app.get();
    assert.deepEqual(refused.body['violated-policies'], ['queue']);
    assert.match(refused.body.detail, /'queue'/);
    assert.equal(clock.pending, 0);
  });

  define('holds nobody where shaping is switched off', async ({ start }) => {
    const { clock, limiter } = queue({ shape: false });
    const app = await start({ limiters: [limiter] });
    assert.deepEqual(await app.statuses(6), [200, 200, 200, 200, 200, 429]);
    assert.equal(clock.pending, 0);
  });
}
