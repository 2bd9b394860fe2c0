import { ManualClock } from '@sluice/testing';
import { describe, expect, test } from 'vitest';
import { Pipeline, SluiceError } from '../../src/index.ts';
import { FailingStore, FakeResponse, failures, reader, type SeenOptions, send, unhandledDuring } from './mounted.ts';

const ip = '192.0.2.1';
const modes = ['throw', 'allow', 'deny', 'fallback'] as const;

/** A pipeline over a store that can fail, and what its operator is warned of. */
function scene(options: SeenOptions) {
  const clock = new ManualClock();
  const store = new FailingStore({ clock });
  const warnings: string[] = [];
  const logger = { warn: (message: string) => void warnings.push(message) };
  const pipeline = new Pipeline(reader, { store, clock, logger, ...options });
  return { clock, store, warnings, pipeline };
}

describe.each(failures)('a store that %s', (_, fail) => {
  describe.each(modes)('with onStoreError %s', (onStoreError) => {
    test('a refusal whose breach cannot be recorded stays what it is, and the failure is reported', async () => {
      const penalty = { banAfter: 2 };
      const { store, warnings, pipeline } = scene({ limit: 1, window: '1h', penalty, onStoreError });
      store.fail = fail;
      store.fails = (call, charges) => call === 'consume' && charges.every(({ policy }) => policy.penalty);
      const unhandled = await unhandledDuring(async () => {
        expect(await send([pipeline], { ip })).toMatchObject({ action: 'pass' });
        expect(warnings).toEqual([]);
        expect(await send([pipeline], { ip })).toMatchObject({ action: 'refuse', status: 429 });
      });
      expect(unhandled).toEqual([]);
      expect(warnings).toEqual([expect.stringContaining('down')]);
    });

    test('a place at work that it fails to take back is asked back after 100 ms, 1 s, and then every 10 s until its timeout', async () => {
      const concurrency = { limit: 1, timeout: '2m' } as const;
      const { clock, store, warnings, pipeline } = scene({ limit: false, concurrency, onStoreError });
      store.fail = fail;
      store.fails = (call) => call === 'release';
      const response = new FakeResponse();
      expect(await send([pipeline], { ip }, response)).toMatchObject({ action: 'pass' });
      response.finish();
      await clock.pass(0);
      expect(store.asked.release).toBe(1);
      expect(warnings).toEqual([expect.stringContaining('down')]);
      // The last of these is 111.1 s after the first, and the next one would be 121.1 s after it.
      for (const [n, pause] of [100, 1_000, ...Array(11).fill(10_000)].entries()) {
        await clock.pass(pause - 0.001);
        expect(store.asked.release).toBe(1 + n);
        await clock.pass(0.001);
        expect(store.asked.release).toBe(2 + n);
      }
      await clock.pass(60_000);
      expect(store.asked.release).toBe(14);
      expect(warnings).toHaveLength(1);
    });

    test('a place at work that it can take back only minutes later is free then', async () => {
      const { clock, store, pipeline } = scene({ limit: false, concurrency: 1, onStoreError });
      store.fail = fail;
      store.fails = (call) => call === 'release';
      const response = new FakeResponse();
      await send([pipeline], { ip }, response);
      response.finish();
      await clock.pass(300_000);
      store.fails = () => false;
      expect(await send([pipeline], { ip })).toMatchObject({ action: 'refuse' });
      await clock.pass(10_000);
      expect(await send([pipeline], { ip })).toMatchObject({ action: 'pass' });
      const asked = store.asked.release;
      await clock.pass(600_000);
      expect(store.asked.release).toBe(asked);
    });

    test('a place at work is free as soon as the store has taken it back', async () => {
      const { clock, store, pipeline } = scene({ limit: false, concurrency: 1, onStoreError });
      store.fail = fail;
      store.fails = (call) => call === 'release';
      const response = new FakeResponse();
      await send([pipeline], { ip }, response);
      response.finish();
      await clock.pass(100);
      store.fails = () => false;
      expect(await send([pipeline], { ip })).toMatchObject({ action: 'refuse' });
      await clock.pass(1_000);
      expect(await send([pipeline], { ip })).toMatchObject({ action: 'pass' });
      expect(store.asked.release).toBe(3);
    });
  });

  test('a block that it fails to count against the ban still is a 429, and the failure is reported', async () => {
    const penalty = { blockFor: '10m', banAfter: 2 } as const;
    const { store, warnings, pipeline } = scene({ limit: 0, penalty });
    store.fail = fail;
    store.fails = (call, [charge]) => call === 'consume' && charge!.policy.name === 'default-ban';
    expect(await send([pipeline], { ip })).toMatchObject({ action: 'refuse', status: 429 });
    expect(warnings).toEqual([expect.stringContaining('down')]);
  });

  test('nothing is given back that was never taken', async () => {
    for (const judge of [{ skipFailed: true }, { skipFailed: async () => true }, { skipSuccessful: () => true }]) {
      const algorithm = 'fixed-window';
      const { store, pipeline } = scene({ limit: 3, window: '1h', algorithm, onStoreError: 'allow', ...judge });
      for (let i = 0; i < 3; i++) expect(await send([pipeline], { ip })).toMatchObject({ action: 'pass' });
      store.fail = fail;
      store.fails = (call) => call === 'consume';
      const before = store.asked.release;
      for (let i = 0; i < 3; i++) {
        const response = new FakeResponse();
        expect(await send([pipeline], { ip }, response)).toMatchObject({ decision: { source: 'open' } });
        await unhandledDuring(() => response.finish(500));
      }
      expect(store.asked.release).toBe(before);
      store.fails = () => false;
      expect(await send([pipeline], { ip })).toMatchObject({ action: 'refuse' });
    }
  });

  test('a place at work is not asked back any more once the store is closed', async () => {
    const { clock, store, warnings, pipeline } = scene({ limit: false, concurrency: 1 });
    store.fail = () => {
      throw new SluiceError('CLOSED', 'This store has been closed.');
    };
    store.fails = (call) => call === 'release';
    const response = new FakeResponse();
    await send([pipeline], { ip }, response);
    response.finish();
    await clock.pass(600_000);
    expect(store.asked.release).toBe(1);
    expect(warnings).toEqual([expect.stringContaining('closed')]);
  });

  test('no place at work is freed that was never taken', async () => {
    const { store, pipeline } = scene({ limit: false, concurrency: 1, onStoreError: 'allow' });
    store.fail = fail;
    store.fails = (call) => call === 'consume';
    const response = new FakeResponse();
    expect(await send([pipeline], { ip }, response)).toMatchObject({ action: 'pass' });
    response.finish();
    expect(store.asked.release).toBe(0);
  });
});
