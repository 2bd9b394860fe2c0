import { ManualClock } from '@sluice/testing';
import { describe, expect, it } from 'vitest';
import {
  type Charge,
  compilePenalty,
  compilePolicies,
  Outage,
  type OutageOptions,
  type SyncStore,
} from '../../src/index.ts';
import { FlakyStore } from './flaky-store.ts';

const [log, window, leaky, tiny, nothing] = compilePolicies(
  [
    { name: 'log', algorithm: 'sliding-window-log', limit: 12, window: '1m' },
    { name: 'window', algorithm: 'fixed-window', limit: 12, window: '1m' },
    { name: 'leaky', algorithm: 'leaky-bucket', limit: 12, window: '1m' },
    { name: 'tiny', algorithm: 'fixed-window', limit: 2, window: '1m' },
    { name: 'nothing', limit: 0, window: '1m' },
  ],
  'policies',
) as [Charge['policy'], Charge['policy'], Charge['policy'], Charge['policy'], Charge['policy']];

function alice(policy: Charge['policy'], cost = 1): Charge {
  return { policy, key: 'alice', cost };
}

function setUp(options: Partial<OutageOptions> = {}) {
  const clock = new ManualClock();
  const shared = new FlakyStore(clock);
  const reports: unknown[] = [];
  const outage = new Outage(shared, { clock, report: (error) => reports.push(error), ...options });
  return { clock, shared, outage, reports, store: outage.answering('fallback') as SyncStore };
}

describe('the share of a process', () => {
  it.each([log, window])('is its part of what was left when the store was last heard of: $name', (policy) => {
    const { shared, store } = setUp({ instances: 4 });
    store.consume([alice(policy, 3)]);
    shared.down = true;
    expect(store.peek([alice(policy)])).toMatchObject([{ allowed: true, limit: 12, remaining: 2, source: 'fallback' }]);
    expect(store.consume([alice(policy)])).toMatchObject([{ allowed: true, remaining: 1 }]);
    expect(store.consume([alice(policy)])).toMatchObject([{ allowed: true, remaining: 0 }]);
    expect(store.consume([alice(policy)])).toMatchObject([{ allowed: false, remaining: 0, retryAfter: 60_000 }]);
  });

  it('goes on from what others have taken, as far as the store has told', () => {
    const { shared, store } = setUp({ instances: 2 });
    shared.consume([alice(window, 8)]);
    store.peek([alice(window)]);
    shared.consume([alice(window, 2)]);
    shared.down = true;
    expect(store.consume([alice(window, 2)])).toMatchObject([{ allowed: true, remaining: 0 }]);
    expect(store.consume([alice(window)])).toMatchObject([{ allowed: false }]);
  });

  it('is of the whole limit for a key that nothing is known of, and again in the next window', () => {
    const { shared, store, clock } = setUp({ instances: 4 });
    shared.down = true;
    expect(store.consume([alice(window, 3)])).toMatchObject([{ allowed: true, remaining: 0 }]);
    clock.advance(60_000);
    expect(store.consume([alice(window, 3)])).toMatchObject([{ allowed: true, remaining: 0 }]);
  });

  it('of a leaky bucket drains at its part of the rate', () => {
    const { shared, store } = setUp({ instances: 3 });
    shared.down = true;
    const delays = [1, 2, 3, 4].map(() => store.consume([alice(leaky)])[0]!.delay);
    expect(delays).toEqual([0, 15_000, 30_000, 45_000]);
    expect(store.consume([alice(leaky)])).toMatchObject([{ allowed: false, retryAfter: 15_000 }]);
  });

  it('is taken of every policy or of none', () => {
    const { shared, store } = setUp({ instances: 4 });
    shared.down = true;
    store.consume([alice(window, 3)]);
    expect(store.consume([alice(log), alice(window)])).toMatchObject([{ allowed: true }, { allowed: false }]);
    expect(store.peek([alice(log, 0)])).toMatchObject([{ remaining: 3 }]);
  });

  it('of a limit of 0 is nothing, and a cost above the capacity never passes', () => {
    const { shared, store } = setUp({ instances: 4, indivisible: 'allow' });
    shared.down = true;
    const never = { allowed: false, retryAfter: Number.POSITIVE_INFINITY, source: 'fallback' };
    expect(store.consume([alice(nothing)])).toMatchObject([never]);
    expect(store.consume([alice(window, 13)])).toMatchObject([never]);
  });
});

describe('a cost that is more than the share of the whole capacity', () => {
  it('is refused, and costs nothing elsewhere', () => {
    const { shared, store } = setUp({ instances: 4 });
    shared.down = true;
    expect(store.consume([alice(window), alice(tiny)])).toMatchObject([
      { allowed: true, source: 'fallback' },
      { allowed: false, retryAfter: 1_000, source: 'closed' },
    ]);
    expect(store.peek([alice(window, 0)])).toMatchObject([{ remaining: 3 }]);
  });

  it("passes by 'allow', and counts where it can", () => {
    const { shared, store } = setUp({ instances: 4, indivisible: 'allow' });
    shared.down = true;
    expect(store.consume([alice(window), alice(tiny)])).toMatchObject([
      { allowed: true, remaining: 2, source: 'fallback' },
      { allowed: true, remaining: 0, source: 'open' },
    ]);
    expect(store.consume([alice(tiny)])).toMatchObject([{ allowed: true, source: 'open' }]);
  });

  it('leaves nothing to give back to the store', () => {
    const { shared, store } = setUp({ instances: 4, indivisible: 'allow' });
    store.consume([alice(tiny, 2)]);
    shared.down = true;
    const [open] = store.consume([alice(tiny)]);
    shared.down = false;
    store.release([{ ...alice(tiny), at: open!.at }]);
    expect(shared.refunded).toEqual([]);
  });

  it.each([
    { instances: 0 },
    { instances: 1.5 },
    { instances: Number.NaN },
    { instances: '4' as never },
    { indivisible: 'open' as never },
  ])('needs options that can work: %j', (options) => {
    expect(() => setUp(options)).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }));
  });
});

describe('what is known in an outage', () => {
  const { block, ban } = compilePenalty({ blockFor: '10m', banAfter: 3 }, 'penalty', 'test');

  it('includes blocks, until the store would have lifted them, and breaches, undivided', () => {
    const { shared, store, clock } = setUp({ instances: 4 });
    store.consume([{ policy: block!, key: 'alice', cost: 1 }]);
    store.consume([{ policy: ban!, key: 'alice', cost: 1 }]);
    clock.advance(60_000);
    shared.down = true;
    expect(store.consume([alice(block!, 0), alice(ban!, 0)])).toMatchObject([
      { allowed: false, retryAfter: 540_000, source: 'fallback' },
      { allowed: true, remaining: 2 },
    ]);
    store.consume([alice(ban!)]);
    expect(store.consume([alice(ban!)])).toMatchObject([{ allowed: false }]);
    clock.advance(540_000);
    expect(store.consume([alice(block!, 0)])).toMatchObject([{ allowed: true }]);
  });

  it('includes no units that are borrowed: those who hold them may have given them back', () => {
    const places = { ...log, id: 'places', borrowed: true as const };
    const { shared, store } = setUp({ instances: 4 });
    shared.consume([alice(places, 12)]);
    expect(store.consume([alice(places)])).toMatchObject([{ allowed: false }]);
    shared.down = true;
    expect(store.consume([alice(places)])).toMatchObject([{ allowed: true, remaining: 2, source: 'fallback' }]);
    shared.down = false;
    store.consume([alice(places)]);
    expect(shared.told).toEqual([]);
  });

  it('is told by the time of the store, so that its windows end when the store would end them', () => {
    const clock = new ManualClock();
    const ahead = new ManualClock(clock.now() / 1_000 + 3_600_000 + 59_000);
    const shared = new FlakyStore(ahead);
    const store = new Outage(shared, { clock, report: () => {} }).answering('fallback') as SyncStore;
    store.consume([alice(window, 12)]);
    shared.down = true;
    expect(store.consume([alice(window)])).toMatchObject([{ allowed: false, retryAfter: 1_000 }]);
    clock.advance(1_000);
    expect(store.consume([alice(window)])).toMatchObject([{ allowed: true, at: ahead.now() / 1_000 + 1_000 }]);
  });

  it('is forgotten by a reset', () => {
    const { shared, store } = setUp();
    store.consume([alice(window, 12)]);
    store.reset('alice', [window]);
    shared.down = true;
    expect(store.consume([alice(window)])).toMatchObject([{ allowed: true, remaining: 11 }]);
  });

  it('is one and the same for every way to answer', () => {
    const { shared, outage, store } = setUp();
    const denying = outage.answering('deny') as SyncStore;
    denying.consume([alice(window, 12)]);
    shared.down = true;
    expect(denying.consume([alice(window)])).toMatchObject([{ source: 'closed' }]);
    expect(store.consume([alice(window)])).toMatchObject([{ allowed: false, source: 'fallback' }]);
    expect(() => outage.answering('throw').consume([alice(window)])).toThrow('connection lost');
  });

  it('is not more than 100,000 keys, those that are refused being kept longest', () => {
    const { shared, store } = setUp();
    store.consume([alice(window, 12)]);
    for (let i = 0; i < 100_000; i++) store.consume([{ policy: window, key: `user:${i}`, cost: 6 }]);
    shared.down = true;
    expect(store.peek([alice(window)])).toMatchObject([{ allowed: false }]);
    let known = 0;
    for (let i = 0; i < 100_000; i++) {
      if (store.peek([{ policy: window, key: `user:${i}`, cost: 0 }])[0]!.remaining === 6) known++;
    }
    expect(known).toBe(99_999);
  });
});

describe('units that go back', () => {
  it('are given back as shares, and never to a store that has not granted them', () => {
    const { shared, store } = setUp({ instances: 4 });
    shared.down = true;
    const [granted] = store.consume([alice(window, 3)]);
    shared.down = false;
    store.release([{ ...alice(window, 2), at: granted!.at }]);
    expect(shared.refunded).toEqual([]);
    shared.down = true;
    expect(store.peek([alice(window, 0)])).toMatchObject([{ remaining: 2 }]);
  });

  it('of the store are known to have gone back', () => {
    const { shared, store } = setUp();
    const [granted] = store.consume([alice(window, 5)]);
    store.release([{ ...alice(window, 3), at: granted!.at }]);
    shared.down = true;
    expect(store.peek([alice(window, 0)])).toMatchObject([{ remaining: 10 }]);
  });

  it('of the store that it failed to take back are not known to have gone back', () => {
    const { shared, store, reports } = setUp();
    const [granted] = store.consume([alice(window, 5)]);
    shared.down = true;
    store.release([{ ...alice(window, 3), at: granted!.at }]);
    expect(reports).toEqual([shared.error]);
    expect(store.peek([alice(window, 0)])).toMatchObject([{ remaining: 7 }]);
  });

  it('of grants that nobody counted change nothing', () => {
    const { shared, outage, store } = setUp();
    const allowing = outage.answering('allow') as SyncStore;
    store.consume([alice(window, 12)]);
    shared.down = true;
    const [open] = allowing.consume([alice(window)]);
    allowing.release([{ ...alice(window), at: open!.at }]);
    expect(store.peek([alice(window, 0)])).toMatchObject([{ remaining: 0 }]);
    expect(shared.refunded).toEqual([]);
  });

  it('of grants that are forgotten never reach the store', () => {
    const { clock, shared, store } = setUp();
    shared.down = true;
    const [first] = store.consume([alice(window)]);
    for (let i = 0; i < 10_000; i++) store.consume([{ policy: window, key: `user:${i}`, cost: 1 }]);
    shared.down = false;
    clock.advance(1);
    const [later] = store.consume([alice(log)]);
    store.release([{ ...alice(window), at: first!.at }]);
    expect(shared.refunded).toEqual([]);
    store.release([{ ...alice(log), at: later!.at }]);
    expect(shared.refunded).toHaveLength(1);
  });

  it('that say no instant are the store’s again when the outage has been slept off', () => {
    const { clock, shared, store } = setUp();
    shared.down = true;
    store.consume([alice(window)]);
    shared.down = false;
    store.release([alice(window)]);
    expect(shared.refunded).toEqual([]);
    clock.advance(60_000);
    store.release([alice(window)]);
    expect(shared.refunded).toHaveLength(1);
  });
});
