import assert from 'node:assert/strict';
import type { RateLimitOptions } from '@sluice/core';
import { type Define, remaining } from './scene.js';

const callbacks = ['skip', 'key', 'cost', 'tier', 'onLimited', 'onDecision'] as const;
const tiers = { tiers: { free: '0/1h' }, defaultTier: 'free', tier: () => 'free' } as const;

/** What the user's own functions may do, and what happens when they fail. */
export function callbackCases<R>(define: Define<R>): void {
  const broken = new Error('broken callback');

  for (const name of callbacks) {
    for (const [how, callback] of [
      ['throws', () => fail(broken)],
      ['rejects', () => Promise.reject(broken)],
      ['rejects late', () => new Promise((_, reject) => setImmediate(reject, broken))],
    ] as const) {
      define(`takes the error of a ${name} that ${how} to the error handling, once`, async ({ start }) => {
        // A limit of 0 so that onLimited is called.
        const limits = name === 'tier' ? tiers : { limit: 0 };
        const options = { ...limits, [name]: callback } as RateLimitOptions<R>;
        const app = await start({ limiters: [options] });
        assert.equal((await app.get()).status, 500);
        assert.deepEqual(app.errors, [broken]);
      });
    }

    for (const thrown of [undefined, 'route', null, 0]) {
      define(`takes a ${name} that throws ${JSON.stringify(thrown) ?? 'undefined'} for an error`, async ({ start }) => {
        for (const callback of [() => fail(thrown), () => Promise.reject(thrown)]) {
          const limits = name === 'tier' ? tiers : { limit: 0 };
          const app = await start({ limiters: [{ ...limits, [name]: callback } as RateLimitOptions<R>] });
          assert.equal((await app.get()).status, 500);
          assert.equal(app.errors.length, 1);
          assert.equal((app.errors[0] as Error).cause, thrown);
        }
      });
    }
  }

  define('takes an error that a route of its own limits meets to the error handling, once', async ({ start }) => {
    const app = await start({ login: { limit: 1, key: () => fail(broken) } });
    assert.equal((await app.login()).status, 500);
    assert.deepEqual(app.errors, [broken]);
  });

  define('takes a body of onLimited that has no JSON text to the error handling, once', async ({ start }) => {
    const answer = { body: () => 'a function' };
    for (const onLimited of [() => answer, async () => answer]) {
      const app = await start({ limiters: [{ limit: 0, onLimited }] });
      assert.equal((await app.get()).status, 500);
      assert.deepEqual(codes(app.errors), ['INVALID_OPTION']);
    }
  });

  define('takes the error of a store to the error handling, once', async ({ start }) => {
    const no = () => Promise.reject(broken);
    const app = await start({ limiters: [{ store: { consume: no, peek: no, release: no, reset: no } }] });
    assert.equal((await app.get()).status, 500);
    assert.deepEqual(app.errors, [broken]);
  });

  for (const key of [undefined, null, '', 7, {}, [], ['a', ''], ['a', undefined]]) {
    define(`gives nobody a budget by the key ${JSON.stringify(key) ?? 'undefined'}`, async ({ start }) => {
      for (const answer of [() => key, async () => key]) {
        const app = await start({ limiters: [{ limit: 1, key: answer as () => string }] });
        assert.deepEqual(await app.statuses(2), [500, 500]);
        assert.deepEqual(codes(app.errors), ['INVALID_KEY', 'INVALID_KEY']);
      }
    });
  }

  for (const [when, wrap] of [
    ['at once', (value: unknown) => value],
    ['later', async (value: unknown) => value],
  ] as const) {
    define(`limits by a key that is named ${when}`, async ({ start, header }) => {
      const key = (request: R) => wrap(header(request, 'x-who')) as string;
      const app = await start({ limiters: [{ limit: 1, window: '1h', key }] });
      assert.deepEqual(await app.statuses(2, { 'x-who': 'a' }), [200, 429]);
      assert.deepEqual(await app.statuses(2, { 'x-who': 'b' }), [200, 429]);
    });

    define(`takes the cost that is named ${when}`, async ({ start, header }) => {
      const cost = (request: R) => wrap(Number(header(request, 'x-cost'))) as number;
      const app = await start({ limiters: [{ limit: 10, window: '1h', cost }] });
      const left: number[] = [];
      for (const price of ['7', '0', '3']) left.push(remaining(await app.get({ 'x-cost': price })));
      assert.deepEqual(left, [3, 3, 0]);
      assert.equal((await app.get({ 'x-cost': '0' })).status, 200);
      assert.equal((await app.get({ 'x-cost': '1' })).status, 429);
    });

    define(`does not limit what is skipped ${when}`, async ({ start, header }) => {
      const skip = (request: R) => wrap(header(request, 'x-skip') === 'yes') as boolean;
      const app = await start({ limiters: [{ limit: 1, window: '1h', skip }] });
      const skipped = await app.get({ 'x-skip': 'yes' });
      assert.equal(skipped.headers['x-ratelimit-limit'], undefined);
      assert.deepEqual(await app.statuses(2), [200, 429]);
      assert.deepEqual(await app.statuses(2, { 'x-skip': 'yes' }), [200, 200]);
    });
  }

  define('charges a fixed cost', async ({ start }) => {
    const app = await start({ limiters: [{ limit: 10, window: '1h', cost: 4 }] });
    assert.deepEqual(await app.statuses(3), [200, 200, 429]);
  });

  define('keeps the parts of a key apart', async ({ start, header }) => {
    const key = (request: R) => JSON.parse(header(request, 'x-parts')!) as string[];
    const app = await start({ limiters: [{ limit: 1, window: '1h', key }] });
    const lists = [['a:b', 'c'], ['a', 'b:c'], ['a', 'b', 'c'], ['a:b:c'], ['a', 'b,c'], ['a","b', 'c']];
    for (const parts of lists) {
      assert.deepEqual(await app.statuses(2, { 'x-parts': JSON.stringify(parts) }), [200, 429]);
    }
  });

  define('takes the error of onBanned, and of a rule, to the error handling, once', async ({ start }) => {
    const onBanned = () => fail(broken);
    const banning = await start({ limiters: [{ limit: 0, penalty: { banAfter: 1 }, onBanned }] });
    assert.equal((await banning.get()).status, 500);
    assert.deepEqual(banning.errors, [broken]);
    for (const by of [() => fail(broken), () => Promise.reject(broken)]) {
      const app = await start({ limiters: [{ rules: [{ match: '/', limit: 1, window: '1h', by }] }] });
      assert.equal((await app.get()).status, 500);
      assert.deepEqual(app.errors, [broken]);
    }
  });

  for (const cost of [Number.NaN, -1, 1.5, Number.POSITIVE_INFINITY, '1', undefined]) {
    define(`takes nothing for the cost ${typeof cost === 'string' ? `'${cost}'` : cost}`, async ({ start, header }) => {
      const price = (request: R) => (header(request, 'x-bad') === 'yes' ? (cost as number) : 1);
      const app = await start({ limiters: [{ limit: 5, window: '1h', cost: price }] });
      assert.equal((await app.get({ 'x-bad': 'yes' })).status, 500);
      assert.deepEqual(codes(app.errors), ['INVALID_COST']);
      assert.equal(remaining(await app.get()), 4);
    });
  }
}

function fail(error: unknown): never {
  throw error;
}

function codes(errors: readonly unknown[]): unknown[] {
  return errors.map((error) => (error as { code?: unknown }).code);
}
