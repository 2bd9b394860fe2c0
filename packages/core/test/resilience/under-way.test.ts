import { ManualClock } from '@sluice/testing';
import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { type Charge, compilePolicies, GuardedStore, MemoryStore, Outage, type Store } from '../../src/index.ts';
import { type Sent, UnderWay } from '../../src/resilience/under-way.ts';
import { asyncStore } from '../limiter/async-store.ts';

const [policy] = compilePolicies([{ algorithm: 'fixed-window', limit: 10, window: '1h' }], 'policies');
const charge: Charge = { policy: policy!, key: 'alice', cost: 1 };

/** A store that answers, is silent, or refuses connections, and its guard. */
function setUp() {
  const clock = new ManualClock();
  const memory = asyncStore(new MemoryStore({ clock }));
  const state = { mode: 'answers' as 'answers' | 'is silent' | 'connects' | 'is gone' };
  const asked: (() => void)[] = [];
  const store: Store = {
    ...memory,
    consume(charges) {
      if (state.mode === 'is gone') return Promise.reject(new Error('connection refused'));
      if (state.mode === 'answers') return memory.consume(charges);
      return new Promise((resolve) => asked.push(() => resolve(memory.consume(charges))));
    },
    lower: () => {},
  };
  const connection = {
    get isReady() {
      return state.mode === 'answers' || state.mode === 'is silent';
    },
    get isExpected() {
      return state.mode !== 'is gone';
    },
  };
  const guarded = new GuardedStore(store, { deadline: 50, clock, connection, probe: async () => {} });
  const outage = new Outage(guarded, { clock, report: () => {} });
  return { clock, state, asked, limited: outage.answering('fallback') };
}

describe('what a store has been asked for and has not answered', () => {
  it('counts as granted when the process decides by itself', async () => {
    const { clock, state, limited } = setUp();
    await limited.consume([{ ...charge, cost: 8 }]);
    state.mode = 'is silent';
    const first = limited.consume([charge]);
    await clock.pass(25);
    const second = limited.consume([{ ...charge, cost: 2 }]);
    await clock.pass(25);
    // Two are left, and the second may be granted them.
    expect(await first).toMatchObject([{ allowed: false, source: 'fallback', remaining: 0 }]);
    await clock.pass(25);
    expect(await second).toMatchObject([{ allowed: true, source: 'fallback', remaining: 0 }]);
  });

  it('includes what waits for the first connection', async () => {
    const { clock, state, asked, limited } = setUp();
    state.mode = 'connects';
    const first = limited.consume([{ ...charge, cost: 6 }]);
    await clock.pass(25);
    const second = limited.consume([{ ...charge, cost: 6 }]);
    await clock.pass(25);
    expect(await first).toMatchObject([{ allowed: false, source: 'fallback' }]);
    asked[1]!();
    expect(await second).toMatchObject([{ allowed: true, source: 'store' }]);
  });

  it('counts also where it is more than there ever is', async () => {
    const { clock, state, asked, limited } = setUp();
    state.mode = 'is silent';
    const first = limited.consume([{ ...charge, cost: 10 }]);
    await clock.pass(25);
    const second = limited.consume([{ ...charge, cost: 10 }]);
    await clock.pass(25);
    expect(await first).toMatchObject([{ allowed: false, source: 'fallback', retryAfter: 1_000 }]);
    asked[1]!();
    expect(await second).toMatchObject([{ allowed: true, source: 'store' }]);
  });

  it('does not include what was never sent: of a burst while the store is gone, the first are granted what is left', async () => {
    const { state, limited } = setUp();
    await limited.consume([{ ...charge, cost: 2 }]);
    state.mode = 'is gone';
    const burst = await Promise.all(Array.from({ length: 10 }, () => limited.consume([charge])));
    expect(burst.map(([decision]) => decision!.allowed)).toEqual([...Array(8).fill(true), false, false]);
  });
});

test('whenever it is asked, it knows of all that is under way and of nothing else', () => {
  const step = fc.record({ ask: fc.boolean(), end: fc.option(fc.nat(5)), cost: fc.nat(3), round: fc.nat(1) });
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const underWay = new UnderWay();
      const calls: { sent: Sent; cost: number; round: number }[] = [];
      let round = 0;
      for (const { ask, end, cost, round: later } of steps) {
        round += later;
        if (end !== null && end < calls.length) underWay.end(calls.splice(end, 1)[0]!.sent);
        else calls.push({ sent: underWay.begin([{ ...charge, cost }], round), cost, round });
        if (!ask) continue;
        const units = (some: typeof calls) => some.reduce((sum, call) => sum + call.cost, 0);
        expect(underWay.unitsOf(charge)).toBe(units(calls));
        expect(underWay.unitsOf(charge, round)).toBe(units(calls.filter((call) => call.round < round)));
      }
    }),
  );
});
