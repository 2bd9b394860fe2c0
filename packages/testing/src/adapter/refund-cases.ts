import assert from 'node:assert/strict';
import type { MaybePromise } from '@sluice/core';
import { gate, watchedStore } from './gate.js';
import { type Define, remaining, until } from './scene.js';

/** Units that are given back when the response is finished. */
export function refundCases<R>(define: Define<R>): void {
  for (const [option, refunded] of [
    ['skipSuccessful', [200, 302]],
    ['skipFailed', [404, 401, 500]],
  ] as const) {
    define(`gives units back by ${option} once the response was completed`, async ({ start }) => {
      const { store, refunds } = watchedStore();
      let status = 0;
      const handle = async () => ({ status, body: '' });
      const app = await start({ limiters: [{ limit: 9, window: '1h', store, [option]: true }], handle });
      const left: number[] = [];
      let expected = 0;
      const sequence = [200, 404, 302, 401, 500] as const;
      for (status of sequence) {
        left.push(remaining(await app.get()));
        if ((refunded as readonly number[]).includes(status)) expected++;
        await until(() => refunds.length >= expected);
      }
      assert.equal(refunds.length, refunded.length);
      assert.deepEqual(left, option === 'skipSuccessful' ? [8, 8, 7, 7, 6] : [8, 7, 7, 6, 6]);
    });
  }

  define('gives nothing back while the response has not been completed', async ({ start }) => {
    const { store, refunds } = watchedStore();
    const { answer, handle, begun } = gate();
    const app = await start({ limiters: [{ limit: 2, window: '1h', store, skipSuccessful: true }], handle });
    const first = app.open();
    const second = app.open();
    await until(() => begun() === 2);
    assert.equal((await app.get()).status, 429);
    assert.equal(refunds.length, 0);
    answer({ status: 200, body: '' });
    assert.deepEqual(await Promise.all([first.status, second.status]), [200, 200]);
    await until(() => refunds.length === 2);
    assert.equal(remaining(await app.get()), 1);
  });

  for (const option of ['skipSuccessful', 'skipFailed'] as const) {
    define(`keeps the units of a client that leaves after the handler began, for all ${option}`, async ({ start }) => {
      const { store, refunds } = watchedStore();
      const { answer, handle, begun, ended } = gate();
      const app = await start({ limiters: [{ limit: 2, window: '1h', store, [option]: true }], handle });
      const leaver = app.open();
      await until(() => begun() === 1);
      leaver.call.destroy();
      await until(() => app.connections === 0);
      answer({ status: option === 'skipFailed' ? 500 : 200, body: 'too late' });
      await until(() => ended() === 1);
      // These two are refunded in turn; what the leaver took is missing from both.
      assert.equal(remaining(await app.get()), 0);
      await until(() => refunds.length === 1);
      assert.equal(remaining(await app.get()), 0);
      await until(() => refunds.length === 2);
    });
  }

  define('gives nothing back for its own refusals', async ({ start }) => {
    const { store, refunds } = watchedStore();
    const app = await start({ limiters: [{ limit: 1, window: '1h', store, skipFailed: true }] });
    assert.deepEqual(await app.statuses(4), [200, 429, 429, 429]);
    assert.equal(refunds.length, 0);
  });

  for (const [when, wrap] of [
    ['at once', <T>(value: T): MaybePromise<T> => value],
    ['later', async <T>(value: T): Promise<T> => value],
    ['much later', <T>(value: T) => new Promise<T>((resolve) => setImmediate(resolve, value))],
  ] as const) {
    for (const option of ['skipSuccessful', 'skipFailed'] as const) {
      define(`gives back what the function ${option} says ${when}, whatever the status`, async ({ start, header }) => {
        const { store, refunds } = watchedStore();
        const judged: unknown[] = [];
        const judge = (request: R) => {
          judged.push(header(request, 'x-who'));
          return wrap(header(request, 'x-free') === 'yes');
        };
        let status = 0;
        const handle = async () => ({ status, body: '' });
        const app = await start({ limiters: [{ limit: 9, window: '1h', store, [option]: judge }], handle });
        const left: number[] = [];
        let expected = 0;
        for (status of [200, 404]) {
          for (const free of ['yes', 'no']) {
            left.push(remaining(await app.get({ 'x-free': free, 'x-who': `${status} ${free}` })));
            if (free === 'yes') expected++;
            await until(() => refunds.length >= expected && judged.length === left.length);
          }
        }
        assert.deepEqual(left, [8, 8, 7, 7]);
        assert.deepEqual(judged, ['200 yes', '200 no', '404 yes', '404 no']);
        assert.equal(refunds.length, 2);
      });
    }
  }

  for (const [how, judge] of [
    [
      'throws',
      () => {
        throw new Error('no idea');
      },
    ],
    ['rejects', () => Promise.reject(new Error('no idea'))],
  ] as const) {
    define(
      `keeps the units, and warns, where the judge of responses ${how}: nothing is given back`,
      async ({ start }) => {
        const { store, refunds } = watchedStore();
        const warnings: string[] = [];
        const logger = { warn: (message: string) => void warnings.push(message) };
        const app = await start({ limiters: [{ limit: 5, window: '1h', store, skipFailed: judge, logger }] });
        const left: number[] = [];
        for (let n = 1; n < 3; n++) {
          left.push(remaining(await app.get()));
          await until(() => warnings.length === n);
        }
        assert.deepEqual(left, [4, 3]);
        assert.equal(refunds.length, 0);
        assert.match(warnings[0]!, /skipFailed.*no idea/);
        assert.deepEqual(app.errors, []);
      },
    );
  }

  define('gives units back that any of two judges gives back, once: no unit twice', async ({ start }) => {
    const { store, refunds } = watchedStore();
    const yes = () => true;
    const limiter = { limit: 5, window: '1h', store, skipFailed: yes, skipSuccessful: yes } as const;
    const app = await start({ limiters: [limiter] });
    for (let n = 1; n < 4; n++) {
      assert.equal(remaining(await app.get()), 4);
      await until(() => refunds.length >= n);
    }
    assert.equal(refunds.length, 3);
  });
}
