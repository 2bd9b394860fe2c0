import assert from 'node:assert/strict';
import { type Charge, type Decision, type MaybePromise, MemoryStore, type StoreErrorMode } from '@sluice/core';
import { ManualClock } from '../manual-clock.js';
import { type Define, fields } from './scene.js';

const broken = new Error('the store is down');

/** A BreakableStore fails while it is down: at once, or by a promise. */
class BreakableStore extends MemoryStore {
  down = true;
  readonly #fail: () => never | Promise<never>;

  constructor(clock: ManualClock, fail: () => never | Promise<never>) {
    super({ clock });
    this.#fail = fail;
  }

  override consume(charges: readonly Charge[]): readonly Decision[] {
    return this.down ? (this.#fail() as never) : super.consume(charges);
  }
}

const failures = [
  [
    'throws',
    () => {
      throw broken;
    },
  ],
  ['rejects', () => Promise.reject(broken)],
] as const;

/** What becomes of requests while the store fails. */
export function storeErrorCases<R>(define: Define<R>): void {
  for (const [how, fail] of failures) {
    /** One request per minute, in a store that is down. */
    function one(onStoreError: StoreErrorMode | undefined) {
      const clock = new ManualClock();
      const warnings: string[] = [];
      const store = new BreakableStore(clock, fail);
      const logger = { warn: (message: string) => void warnings.push(message) };
      const limiter = { limit: 1, window: '1m', algorithm: 'fixed-window', store, clock, logger } as const;
      return { clock, store, warnings, limiter: onStoreError === undefined ? limiter : { ...limiter, onStoreError } };
    }

    for (const mode of ['throw', undefined] as const) {
      const unless = mode === undefined ? 'unless told otherwise' : "by 'throw'";
      define(`fails as a store that ${how} does, ${unless}`, async ({ start }) => {
        const { store, limiter } = one(mode);
        const app = await start({ limiters: [limiter] });
        assert.deepEqual(await app.statuses(2), [500, 500]);
        assert.deepEqual(app.errors, [broken, broken]);
        store.down = false;
        assert.deepEqual(await app.statuses(2), [200, 429]);
      });
    }

    define(`passes everybody by 'allow' while the store ${how}, and says so`, async ({ start }) => {
      const { store, limiter, warnings, clock } = one('allow');
      const { sources, handle } = listener();
      const app = await start({ limiters: [limiter], handle });
      const passed = await app.get();
      assert.deepEqual(fields(passed).slice(0, 2), [1, 0]);
      assert.deepEqual(await app.statuses(2), [200, 200]);
      assert.deepEqual(sources, ['open', 'open', 'open']);
      assert.equal(warnings.length, 1);
      assert.match(warnings[0]!, /store.*the store is down/);
      clock.advance(10_000);
      await app.get();
      assert.equal(warnings.length, 2);
      assert.match(warnings[1]!, /3 times/);
      store.down = false;
      assert.deepEqual(await app.statuses(2), [200, 429]);
      assert.equal(sources.at(-1), 'store');
      assert.deepEqual(app.errors, []);
    });

    define(`refuses everybody by 'deny' while the store ${how}, for want of capacity`, async ({ start }) => {
      const { store, limiter } = one('deny');
      const response = { statusCode: 420, message: 'Used up.' };
      const app = await start({ limiters: [{ ...limiter, response, headers: ['legacy', 'draft-11'] }] });
      for (let i = 0; i < 2; i++) {
        const refused = await app.get();
        assert.equal(refused.status, 503);
        assert.equal(refused.headers['retry-after'], '1');
        assert.equal(refused.headers['cache-control'], 'no-store');
        assert.equal(refused.headers['content-type'], 'application/problem+json');
        assert.equal(refused.body.type, 'https://iana.org/assignments/http-problem-types#temporary-reduced-capacity');
        assert.equal(refused.body.status, 503);
        assert.deepEqual(refused.body['violated-policies'], ['default']);
        assert.equal(refused.headers.ratelimit, '"default";r=0;t=1');
      }
      store.down = false;
      assert.deepEqual(await app.statuses(2), [200, 420]);
      assert.deepEqual(app.errors, []);
    });

    define(`limits by the memory of the process by 'fallback' while the store ${how}`, async ({ start }) => {
      const { store, limiter, clock } = one('fallback');
      const { sources, handle } = listener();
      const app = await start({ limiters: [limiter], handle });
      assert.deepEqual(await app.statuses(3), [200, 429, 429]);
      assert.deepEqual(sources, ['fallback']);
      clock.advance(60_000);
      assert.deepEqual(await app.statuses(2), [200, 429]);
      store.down = false;
      // What was granted without the store counts there, too.
      assert.deepEqual(await app.statuses(2), [429, 429]);
      clock.advance(60_000);
      assert.deepEqual(await app.statuses(2), [200, 429]);
      assert.deepEqual(sources, ['fallback', 'fallback', 'store']);
      store.down = true;
      assert.deepEqual(await app.statuses(1), [429]);
    });

    define(`punishes nobody for what is refused while the store ${how}`, async ({ start }) => {
      const { store, limiter } = one('deny');
      const app = await start({ limiters: [{ ...limiter, penalty: { blockFor: '1h', banAfter: 1 } }] });
      assert.deepEqual(await app.statuses(3), [503, 503, 503]);
      store.down = false;
      assert.deepEqual(await app.statuses(3), [200, 403, 403]);
      store.down = true;
      assert.deepEqual(await app.statuses(1), [503]);
    });

    define(`tells onLimited that nothing was counted, where the store ${how}`, async ({ start }) => {
      const { limiter } = one('deny');
      const app = await start({
        limiters: [{ ...limiter, onLimited: (_, { source }) => ({ status: 502, body: source }) }],
      });
      const refused = await app.get();
      assert.deepEqual([refused.status, refused.text], [502, 'closed']);
    });

    define(`keeps both phases going by 'allow' while the store ${how}`, async ({ start }) => {
      const { store, limiter } = one('allow');
      const app = await start({ limiters: [{ ...limiter, beforeAuth: '2/1m', concurrency: 1 }] });
      assert.deepEqual(await app.statuses(4), [200, 200, 200, 200]);
      store.down = false;
      assert.deepEqual(await app.statuses(2), [200, 429]);
    });

    for (const mode of ['allow', 'deny', 'fallback'] as const) {
      define(`takes a bad cost for an error by '${mode}' too, where the store ${how}`, async ({ start }) => {
        const { limiter } = one(mode);
        const app = await start({ limiters: [{ ...limiter, cost: () => Number.NaN }] });
        assert.deepEqual(await app.statuses(2), [500, 500]);
        assert.deepEqual(
          app.errors.map((error) => (error as { code?: unknown }).code),
          ['INVALID_COST', 'INVALID_COST'],
        );
      });
    }
  }

  define('takes a store that answers nothing for one that fails', async ({ start }) => {
    const nothing = (): MaybePromise<readonly Decision[]> => [];
    const store = { consume: nothing, peek: nothing, release: () => {}, reset: () => {} };
    const logger = { warn: () => {} };
    const app = await start({ limiters: [{ limit: 1, store, onStoreError: 'deny', logger }] });
    assert.deepEqual(await app.statuses(2), [503, 503]);
  });
}

/** A handler that notes how each decision was made. */
function listener() {
  const sources: unknown[] = [];
  const handle = async (decision: { source: string } | null | undefined) => {
    sources.push(decision?.source);
    return { status: 200, body: '' };
  };
  return { sources, handle };
}
