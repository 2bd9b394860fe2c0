import { ManualClock } from '@sluice/testing';
import { describe, expect, it } from 'vitest';
import { MemoryStore, Outage, Pipeline, type Store, type StoreErrorMode } from '../../src/index.ts';
import { FlakyStore } from '../resilience/flaky-store.ts';
import { FakeResponse, reader, type SeenOptions, send } from './mounted.ts';

const ip = '192.0.2.1';

function pipelineOf(options: SeenOptions): Pipeline<Parameters<typeof reader.earlier>[0]> {
  return new Pipeline(reader, { limit: 1, algorithm: 'fixed-window', logger: { warn() {} }, ...options });
}

/** A store that answers for itself where it fails, by refusing, and that is down. */
class SelfReliantStore extends MemoryStore {
  readonly asked: StoreErrorMode[] = [];
  readonly #outage: Outage;

  constructor(clock: ManualClock) {
    super({ clock });
    const shared = new FlakyStore(clock);
    shared.down = true;
    this.#outage = new Outage(shared, { clock, report: () => {} });
    const closed = this.#outage.answering('deny') as MemoryStore;
    this.consume = (charges) => closed.consume(charges);
  }

  answering(mode: StoreErrorMode): Store {
    this.asked.push(mode);
    return this.#outage.answering(mode);
  }
}

describe('a store that answers for itself', () => {
  it('does so where nothing is said of its failures', async () => {
    const clock = new ManualClock();
    const store = new SelfReliantStore(clock);
    expect(await send([pipelineOf({ store, clock })], { ip })).toMatchObject({ action: 'refuse', status: 503 });
    expect(store.asked).toEqual([]);
  });

  it.each([
    ['allow', { decision: { source: 'open' } }],
    ['deny', { action: 'refuse', status: 503 }],
    ['fallback', { decision: { source: 'fallback', remaining: 0 } }],
  ] as const)('is told by onStoreError: %s', async (onStoreError, verdict) => {
    const clock = new ManualClock();
    const store = new SelfReliantStore(clock);
    expect(await send([pipelineOf({ store, clock, onStoreError })], { ip })).toMatchObject(verdict);
    expect(store.asked).toEqual([onStoreError]);
  });

  it('fails as its server does where that is what is wanted', async () => {
    const clock = new ManualClock();
    const store = new SelfReliantStore(clock);
    await expect(send([pipelineOf({ store, clock, onStoreError: 'throw' })], { ip })).rejects.toThrow(
      'connection lost',
    );
  });

  it('is not asked for a way that does not exist', () => {
    const clock = new ManualClock();
    const store = new SelfReliantStore(clock);
    expect(() => pipelineOf({ store, clock, onStoreError: 'open' as 'allow' })).toThrow(/'onStoreError' is one of/);
    expect(store.asked).toEqual([]);
  });
});

describe('places among the requests at work', () => {
  it('that others have taken in the store are not taken in an outage', async () => {
    const clock = new ManualClock();
    const store = new FlakyStore(clock);
    const options = { limit: false, concurrency: 1, store, clock, onStoreError: 'fallback' } as const;
    const [here, elsewhere] = [pipelineOf(options), pipelineOf(options)];
    const response = new FakeResponse();
    await send([elsewhere], { ip }, response);
    expect(await send([here], { ip })).toMatchObject({ action: 'refuse' });
    store.down = true;
    expect(await send([here], { ip })).toMatchObject({ action: 'pass' });
    expect(await send([here], { ip })).toMatchObject({ action: 'refuse' });
  });
});
