import { ManualClock, storeSuite } from '@sluice/testing';
import { describe, expect, it, test } from 'vitest';
import { SluiceError } from '../../src/errors.ts';
import { MemoryStore } from '../../src/memory/memory-store.ts';
import { compilePenalty } from '../../src/penalty.ts';
import { compilePolicies } from '../../src/policy.ts';
import type { StoreErrorMode } from '../../src/resilience/outage-options.ts';
import { withStoreErrors } from '../../src/resilience/store-errors.ts';
import { isSyncStore, type Store } from '../../src/store.ts';
import { asyncStore } from '../limiter/async-store.ts';

const [policy, other] = compilePolicies(
  [
    { name: 'minute', algorithm: 'fixed-window', limit: 5, window: '1m' },
    { name: 'bucket', algorithm: 'token-bucket', limit: 10, window: '1m' },
  ],
  'policies',
);
const { block, ban } = compilePenalty({ blockFor: '15m', banAfter: 2 }, 'penalty', 'test');
const charge = { policy: policy!, key: 'alice', cost: 1 };

type Fault = 'throws' | 'rejects' | 'answers nothing' | 'answers too little' | 'answers too much' | 'answers nonsense';
const faults: Fault[] = [
  'throws',
  'rejects',
  'answers nothing',
  'answers too little',
  'answers too much',
  'answers nonsense',
];

/** A store that can be made to fail, and what was reported. */
function setUp(mode: StoreErrorMode, { sync = true } = {}) {
  const clock = new ManualClock();
  const memory = new MemoryStore({ clock });
  const inner: Store = sync ? memory : asyncStore(memory);
  const state = { fault: undefined as Fault | undefined, closed: 0 };
  const guard =
    <A extends readonly unknown[], T>(ask: (...args: A) => T) =>
    (...args: A): T => {
      const error = new Error('connection lost');
      if (state.fault === 'throws') throw error;
      if (state.fault === 'rejects') return Promise.reject(error) as T;
      if (state.fault === 'answers nothing') return undefined as T;
      if (state.fault === 'answers too little') return [] as T;
      if (state.fault === 'answers too much') return memory.peek([charge, charge, charge]) as T;
      if (state.fault === 'answers nonsense') return [{ allowed: 'yes' }, {}] as T;
      return ask(...args);
    };
  const failing: Store & { sync?: boolean } = {
    ...(sync && { sync: true }),
    consume: guard((charges) => inner.consume(charges)),
    peek: guard((charges) => inner.peek(charges)),
    release: guard((refunds) => inner.release(refunds)),
    reset: guard((key, policies) => inner.reset(key, policies)),
    close: () => {
      state.closed++;
    },
  };
  const reports: [string, number][] = [];
  const report = (error: unknown, failures: number) => reports.push([(error as Error).message, failures]);
  return { clock, memory, state, failing, reports, store: withStoreErrors(failing, { mode, clock, report }) };
}

describe('while nothing fails', () => {
  for (const mode of ['allow', 'deny', 'fallback'] as const) {
    describe(mode, () => {
      storeSuite(test, {
        create: (clock) => ({
          store: withStoreErrors(new MemoryStore({ clock }), { mode, clock, report: () => {} }),
        }),
      });
    });
  }

  it('leaves the store as it is where failures are thrown', () => {
    const { store, failing } = setUp('throw');
    expect(store).toBe(failing);
  });

  it('answers at once exactly where the store does', () => {
    expect(isSyncStore(setUp('allow').store)).toBe(true);
    expect(isSyncStore(setUp('allow', { sync: false }).store)).toBe(false);
    expect(setUp('allow').store.consume([charge])).toMatchObject([{ allowed: true, source: 'store' }]);
  });

  it.each([undefined, 'ignore', null, 'toString'])('refuses a mode that does not exist: %j', (mode) => {
    const options = { mode: mode as 'allow', clock: new ManualClock(), report: () => {} };
    expect(() => withStoreErrors(new MemoryStore(), options)).toThrow(
      "'onStoreError' is one of 'throw', 'allow', 'deny', 'fallback'",
    );
  });
});

describe.each(faults)('a store that %s', (fault) => {
  it.each(['consume', 'peek'] as const)(
    'lets requests pass in mode allow, and promises them nothing: %s',
    async (method) => {
      const { store, state, clock, reports } = setUp('allow');
      state.fault = fault;
      for (let i = 0; i < 10; i++) {
        expect(await store[method]([charge, { ...charge, policy: other! }])).toEqual(
          [policy!, other!].map(({ name, limit }) => ({
            allowed: true,
            policy: name,
            limit,
            remaining: 0,
            resetAfter: 0,
            retryAfter: 0,
            delay: 0,
            at: clock.now() / 1_000,
            source: 'open',
          })),
        );
      }
      expect(reports).toHaveLength(1);
    },
  );

  it.each(['consume', 'peek'] as const)('refuses requests for a second in mode deny: %s', async (method) => {
    const { store, state, clock } = setUp('deny');
    state.fault = fault;
    expect(await store[method]([charge])).toEqual([
      {
        allowed: false,
        policy: 'minute',
        limit: 5,
        remaining: 0,
        resetAfter: 1_000,
        retryAfter: 1_000,
        delay: 0,
        at: clock.now() / 1_000,
        source: 'closed',
      },
    ]);
  });

  it('is replaced by a memory store that goes on from the last known count in mode fallback', async () => {
    const { store, state, clock } = setUp('fallback');
    await store.consume([{ ...charge, cost: 2 }]);
    state.fault = fault;
    for (let left = 2; left >= 0; left--) {
      expect(await store.consume([charge])).toMatchObject([{ allowed: true, remaining: left, source: 'fallback' }]);
    }
    expect(await store.peek([charge])).toMatchObject([{ allowed: false, retryAfter: 60_000, source: 'fallback' }]);
    state.fault = undefined;
    expect(await store.peek([charge])).toMatchObject([{ allowed: true, remaining: 3, source: 'store' }]);
    state.fault = fault;
    clock.advance(60_000);
    expect(await store.consume([charge])).toMatchObject([{ allowed: true, remaining: 4, source: 'fallback' }]);
  });
});

describe('a penalty whose store fails', () => {
  const look = [block!, ban!].map((penalty) => ({ policy: penalty, key: 'alice', cost: 0 }));

  it('blocks nobody in mode allow', () => {
    const { store, state } = setUp('allow');
    state.fault = 'throws';
    expect(store.consume([...look, charge])).toMatchObject([{ allowed: true }, { allowed: true }, { allowed: true }]);
  });

  it('leaves the refusal to the limits in mode deny, so that nobody is told that he is banned', () => {
    const { store, state } = setUp('deny');
    state.fault = 'throws';
    expect(store.consume([...look, charge])).toMatchObject([
      { allowed: true, source: 'closed' },
      { allowed: true, source: 'closed' },
      { allowed: false, source: 'closed' },
    ]);
  });

  it('refuses in mode deny where there is no limit to refuse', () => {
    const { store, state } = setUp('deny');
    state.fault = 'throws';
    const refusal = { allowed: false, retryAfter: 1_000, source: 'closed' };
    expect(store.consume(look)).toMatchObject([refusal, refusal]);
  });

  it('goes on in mode fallback', () => {
    const { store, state } = setUp('fallback');
    state.fault = 'throws';
    expect(store.consume([{ policy: block!, key: 'alice', cost: 1 }])).toMatchObject([{ allowed: false }]);
    expect(store.consume(look)).toMatchObject([{ allowed: false, source: 'fallback' }, { allowed: true }]);
  });
});

describe('an error that tells of wrong use', () => {
  const misuse: Store = {
    consume: () => {
      throw new SluiceError('INVALID_COST', 'bad cost');
    },
    peek: () => Promise.reject(new SluiceError('INVALID_POLICY', 'no penalties here')),
    release: () => Promise.reject(new SluiceError('INVALID_COST', 'bad cost')),
    reset: () => {},
  };

  it.each(['allow', 'deny', 'fallback'] as const)('passes through in mode %s', async (mode) => {
    const reports: unknown[] = [];
    const report = (error: unknown) => reports.push(error);
    const store = withStoreErrors(misuse, { mode, clock: new ManualClock(), report });
    expect(() => store.consume([charge])).toThrow('bad cost');
    await expect(store.peek([charge])).rejects.toThrow('no penalties here');
    await expect(store.release([charge])).rejects.toThrow('bad cost');
    expect(reports).toEqual([]);
  });
});

describe('units that go back', () => {
  it.each(['throws', 'rejects'] as const)('are lost, and reported, where the store %s', async (fault) => {
    const { store, state, reports } = setUp('allow');
    const [granted] = await store.consume([charge]);
    state.fault = fault;
    await store.release([{ ...charge, at: granted!.at }]);
    expect(reports).toEqual([['connection lost', 1]]);
    state.fault = undefined;
    expect(await store.peek([charge])).toMatchObject([{ remaining: 4 }]);
  });

  it('go to the fallback if they are from there, also when the store is back', async () => {
    const { store, state } = setUp('fallback');
    await store.consume([charge]);
    state.fault = 'throws';
    const [granted] = await store.consume([{ ...charge, cost: 3 }]);
    state.fault = undefined;
    await store.release([{ ...charge, cost: 2, at: granted!.at }]);
    expect(await store.peek([charge])).toMatchObject([{ remaining: 4, source: 'store' }]);
    state.fault = 'throws';
    expect(await store.peek([charge])).toMatchObject([{ remaining: 4, source: 'fallback' }]);
  });

  it('go to the fallback once, and no more than it has granted', async () => {
    const { store, state, clock } = setUp('fallback');
    state.fault = 'throws';
    const [granted] = await store.consume([charge]);
    clock.advance(1);
    await store.consume([{ ...charge, cost: 3 }]);
    for (let i = 0; i < 3; i++) await store.release([{ ...charge, cost: 2, at: granted!.at }]);
    expect(await store.peek([charge])).toMatchObject([{ remaining: 2 }]);
  });

  it('go to the store if they are from there, though others were granted by the fallback', async () => {
    const { store, state } = setUp('fallback');
    const [granted] = await store.consume([{ ...charge, cost: 3 }]);
    state.fault = 'throws';
    await store.consume([{ ...charge, key: 'bob' }]);
    state.fault = undefined;
    await store.release([{ ...charge, cost: 3, at: granted!.at }]);
    expect(await store.peek([charge])).toMatchObject([{ remaining: 5, source: 'store' }]);
  });

  it('go to what this process has granted by itself, where nothing says which they are, and beyond that to the store', async () => {
    const { store, state, clock } = setUp('fallback');
    await store.consume([{ ...charge, cost: 3 }]);
    clock.advance(1);
    state.fault = 'throws';
    await store.consume([charge]);
    state.fault = undefined;
    await store.release([charge]);
    state.fault = 'throws';
    expect(await store.peek([charge])).toMatchObject([{ remaining: 2, source: 'fallback' }]);
    state.fault = undefined;
    expect(await store.peek([charge])).toMatchObject([{ remaining: 2, source: 'store' }]);
    await store.release([{ ...charge, cost: 2 }]);
    expect(await store.peek([charge])).toMatchObject([{ remaining: 4, source: 'store' }]);
  });

  it('of a request that was refused or only peeked are none', async () => {
    const { store, state, clock } = setUp('fallback');
    state.fault = 'throws';
    const charges = [
      { ...charge, cost: 2 },
      { ...charge, policy: other!, cost: 11 },
    ];
    const [refused] = await store.consume(charges);
    clock.advance(1);
    const [peeked] = await store.peek([{ ...charge, cost: 2 }]);
    clock.advance(1);
    await store.consume([{ ...charge, cost: 3 }]);
    for (const { at } of [refused!, peeked!]) await store.release([{ ...charge, cost: 2, at }]);
    expect(await store.peek([charge])).toMatchObject([{ remaining: 2 }]);
  });

  it('of many grants are told apart without remembering them all', async () => {
    const { store, state, clock } = setUp('fallback');
    state.fault = 'throws';
    const [first] = await store.consume([charge]);
    for (let i = 0; i < 10_000; i++) await store.consume([{ ...charge, key: `user:${i}` }]);
    const [last] = await store.consume([{ ...charge, key: 'bob' }]);
    clock.advance(1);
    await store.release([
      { ...charge, at: first!.at },
      { ...charge, key: 'bob', at: last!.at },
    ]);
    expect(await store.peek([charge, { ...charge, key: 'bob' }])).toMatchObject([{ remaining: 4 }, { remaining: 5 }]);
  });
});

describe('a reset', () => {
  it('fails as the store does', async () => {
    const { store, state } = setUp('allow');
    state.fault = 'rejects';
    await expect(store.reset('alice', [policy!])).rejects.toThrow('connection lost');
    state.fault = 'throws';
    expect(() => store.reset('alice', [policy!])).toThrow('connection lost');
  });

  it('is also one of the fallback', async () => {
    const { store, state } = setUp('fallback');
    await store.consume([{ ...charge, cost: 4 }]);
    state.fault = 'throws';
    await store.consume([{ ...charge, cost: 4 }]);
    expect(() => store.reset('alice', [policy!])).toThrow('connection lost');
    // What was not done is not half done.
    expect(await store.peek([charge])).toMatchObject([{ remaining: 1, source: 'fallback' }]);
    state.fault = undefined;
    await store.reset('alice', [policy!]);
    expect(await store.peek([charge])).toMatchObject([{ remaining: 5, source: 'store' }]);
    state.fault = 'throws';
    expect(await store.peek([charge])).toMatchObject([{ remaining: 5, source: 'fallback' }]);
  });
});

describe('reports', () => {
  it('come at the first failure, then every ten seconds with the count', async () => {
    const { store, state, clock, reports } = setUp('allow');
    state.fault = 'throws';
    for (let i = 0; i < 5; i++) store.consume([charge]);
    clock.advance(9_999.999);
    store.peek([charge]);
    expect(reports).toEqual([['connection lost', 1]]);
    clock.advance(0.001);
    store.release([{ ...charge, key: 'bob' }]);
    expect(reports).toEqual([
      ['connection lost', 1],
      ['connection lost', 6],
    ]);
    clock.advance(3_600_000);
    store.consume([charge]);
    expect(reports.slice(2)).toEqual([['connection lost', 1]]);
  });

  it('do not stop when the clock is set back', () => {
    const { store, state, clock, reports } = setUp('allow');
    state.fault = 'throws';
    store.consume([charge]);
    clock.jump(-3_600_000);
    store.consume([charge]);
    expect(reports).toHaveLength(2);
  });

  it('say what was wrong with an answer', async () => {
    const { store, state, reports } = setUp('deny');
    state.fault = 'answers too little';
    await store.consume([charge]);
    expect(reports[0]![0]).toBe(
      "The store must answer 'consume' with one decision for each of 1 charges; got an array of 0.",
    );
  });
});

test('closing closes the store, and leaves no timer of the fallback', async () => {
  const { store, state, clock } = setUp('fallback');
  state.fault = 'throws';
  await store.consume([charge]);
  expect(clock.pending).toBe(1);
  await store.close?.();
  expect(clock.pending).toBe(0);
  expect(state.closed).toBe(1);
});
