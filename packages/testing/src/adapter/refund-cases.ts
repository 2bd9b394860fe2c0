import assert from 'node:assert/strict';
import { MemoryStore, type Refund } from '@sluice/core';
import { type Define, remaining, until } from './scene.js';
import type { Answer } from './setup.js';

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
}

/** A handler that answers nobody until it is told what. */
function gate() {
  let begun = 0;
  let ended = 0;
  let answer: (answer: Answer) => void = () => {};
  const answered = new Promise<Answer>((resolve) => {
    answer = resolve;
  });
  const handle = async () => {
    begun++;
    const given = await answered;
    ended++;
    return given;
  };
  return { answer, handle, begun: () => begun, ended: () => ended };
}

/** A store that remembers what was given back. */
function watchedStore() {
  const refunds: Refund[] = [];
  class WatchedStore extends MemoryStore {
    override release(given: readonly Refund[]) {
      refunds.push(...given);
      super.release(given);
    }
  }
  return { store: new WatchedStore(), refunds };
}
