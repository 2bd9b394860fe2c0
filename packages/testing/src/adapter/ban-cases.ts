import assert from 'node:assert/strict';
import { type Charge, MemoryStore, type Store } from '@sluice/core';
import { ManualClock } from '../manual-clock.js';
import type { Define } from './scene.js';

/** What penalties say of themselves, and whom they reach. */
export function banCases<R>(define: Define<R>): void {
  define('tells who is blocked of his own limit, and not of the number of breaches', async ({ start }) => {
    const clock = new ManualClock();
    const limits = { limit: 2, window: '1s', algorithm: 'fixed-window', penalty: '15m', clock } as const;
    const app = await start({ limiters: [{ ...limits, headers: ['legacy', 'draft-11'] }] });
    assert.deepEqual(await app.statuses(3), [200, 200, 429]);
    clock.advance(2_000);
    const { headers, body } = await app.get();
    assert.equal(headers['x-ratelimit-limit'], '2');
    assert.equal(headers['x-ratelimit-remaining'], '0');
    assert.equal(headers['ratelimit-policy'], '"default";q=2;w=1');
    assert.equal(headers.ratelimit, '"default-block";r=0;t=898');
    assert.equal(body.detail, "Policy 'default-block' blocks who has been refused. Try again in 898 seconds.");
  });

  define('refuses who is banned what has no limit too', async ({ start }) => {
    const app = await start({
      limiters: [
        {
          limit: 1,
          window: '1m',
          penalty: { banAfter: 1 },
          rules: [{ match: 'GET /free', limit: false }],
        },
      ],
      routes: [{ method: 'GET', path: '/free' }],
    });
    const free = () => app.get({}, '/free');
    const before = await free();
    assert.equal(before.status, 200);
    assert.equal(before.headers['x-ratelimit-limit'], undefined);
    assert.deepEqual(await app.statuses(2), [200, 403]);
    assert.equal((await free()).status, 403);
  });

  define('takes refusals of one moment for one breach, also where the store is far away', async ({ start }) => {
    const limits = { limit: 1, window: '1h', algorithm: 'fixed-window' } as const;
    const app = await start({
      limiters: [{ ...limits, penalty: { blockFor: '30m', banAfter: 3 }, store: distant(new MemoryStore()) }],
    });
    const statuses = await Promise.all(Array.from({ length: 12 }, async () => (await app.get()).status));
    assert.deepEqual(statuses.sort(), [200, ...Array<number>(11).fill(429)]);
  });
}

/** A store whose answers take a turn of the event loop. */
function distant(store: MemoryStore): Store {
  const later = async <T>(run: () => T): Promise<T> => {
    await new Promise<void>((resolve) => setImmediate(resolve));
    return run();
  };
  return {
    consume: (charges: readonly Charge[]) => later(() => store.consume(charges)),
    peek: (charges) => later(() => store.peek(charges)),
    release: (refunds) => later(() => store.release(refunds)),
    reset: (key, policies) => later(() => store.reset(key, policies)),
  };
}
