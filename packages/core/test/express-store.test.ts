import { ManualClock, storeSuite } from '@sluice/testing';
import { MemoryStore as ExpressMemoryStore } from 'express-rate-limit';
import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { fromExpressRateLimitStore } from '../src/express-store.ts';
import { type AlgorithmName, compilePolicies, type Policy, type Store } from '../src/index.ts';
import { compilePenalty } from '../src/penalty.ts';
import { withStoreErrors } from '../src/resilience/store-errors.ts';

/** A store as the packages for express-rate-limit write them: windows from the first hit on, and a time of its own. */
class HitStore {
  readonly clock: ManualClock;
  readonly hits = new Map<string, { totalHits: number; resetTime: Date }>();
  /** Called before and after each operation, as a network would take its time. */
  pause: () => Promise<void> | void = () => {};
  inits: unknown[] = [];
  calls = 0;
  windowMs = 0;

  constructor(clock = new ManualClock()) {
    this.clock = clock;
  }

  init(options: { windowMs: number }): void {
    this.inits.push(options);
    this.windowMs = options.windowMs;
  }

  get(key: string) {
    return this.#operate(() => this.#present(key));
  }

  async increment(key: string): Promise<{ totalHits: number; resetTime?: Date | undefined }> {
    return this.#operate(() => {
      const resetTime = new Date(this.clock.now() / 1_000 + this.windowMs);
      const info = this.#present(key) ?? { totalHits: 0, resetTime };
      info.totalHits++;
      this.hits.set(key, info);
      return info;
    });
  }

  decrement(key: string): Promise<void> {
    return this.#operate(() => {
      // As Redis would: a counter that is gone begins again below 0.
      const info = this.#present(key) ?? { totalHits: 0, resetTime: new Date(8e15) };
      info.totalHits--;
      this.hits.set(key, info);
    });
  }

  resetKey(key: string): Promise<void> {
    return this.#operate(() => void this.hits.delete(key));
  }

  async #operate<T>(operation: () => T): Promise<T> {
    this.calls++;
    await this.pause();
    const result = operation();
    // A copy: a reply does not change any more.
    const reply = typeof result === 'object' ? { ...result } : result;
    await this.pause();
    return reply;
  }

  #present(key: string) {
    const info = this.hits.get(key);
    return info !== undefined && info.resetTime.getTime() * 1_000 > this.clock.now() ? info : undefined;
  }
}

/** The same without the method that some stores lack. */
function withoutGet(store: HitStore) {
  return {
    init: store.init.bind(store),
    increment: store.increment.bind(store),
    decrement: store.decrement.bind(store),
    resetKey: store.resetKey.bind(store),
  };
}

const compile = (policy: Partial<Policy> = {}) =>
  compilePolicies([{ algorithm: 'fixed-window', limit: 5, window: '1m', ...policy }], 'policies')[0]!;
const five = compile({ name: 'five' });
const two = compile({ name: 'two', limit: 2 });
const alice = { policy: five, key: 'alice', cost: 1 };

function setUp(get = true) {
  const hits = new HitStore();
  const { clock } = hits;
  return { hits, clock, store: fromExpressRateLimitStore(get ? hits : withoutGet(hits), { clock }) };
}

const only = 'such a store keeps fixed windows only';
const mixed = [
  'several policies: a refusal by one charges none',
  'several policies: each decision is its own policy’s, in the order of the charges',
  'several keys: a refusal of one charges none',
  'several policies: parallel requests are granted exactly the tightest limit',
  'several policies: release gives back to each',
  'policies of different names or algorithms do not share a key’s units',
  'ten thousand keys each have a budget of their own',
];
const skip: Record<string, string> = {
  'fixed-window: countRefused charges what is refused, up to the capacity': 'such a store cannot fill up a window',
  'countRefused of one policy does not charge another': 'such a store cannot fill up a window',
  'fixed-window: the next aligned window starts with all units': 'windows begin at a key’s first unit',
  'fixed-window: a clock that steps back refills nothing, and locks nobody out for longer':
    'the windows are the store’s',
  ...Object.fromEntries(mixed.map((title) => [title, only])),
};
const titles: string[] = [];
storeSuite((title) => titles.push(title), { create: () => setUp() });
for (const title of titles) if (/^(sliding|token|leaky|penalty)/.test(title)) skip[title] = only;

describe('a store of express-rate-limit', () => {
  storeSuite(test, {
    create: (clock) => ({ store: fromExpressRateLimitStore(new HitStore(clock), { clock }) }),
    skip,
  });
});

describe('a store of express-rate-limit without get', () => {
  storeSuite(test, {
    create: (clock) => ({ store: fromExpressRateLimitStore(withoutGet(new HitStore(clock)), { clock }) }),
    skip: {
      ...skip,
      'fixed-window: cost 0 looks without taking': 'a look begins a window',
    },
  });
});

describe('express-rate-limit’s own memory store', () => {
  it('grants exactly the limit to requests that come at once, of any cost', async () => {
    const store = fromExpressRateLimitStore(new ExpressMemoryStore());
    const answers = await Promise.all(Array.from({ length: 30 }, () => store.consume([alice])));
    expect(answers.map(([decision]) => decision!.remaining)).toEqual([4, 3, 2, 1, 0, ...Array(25).fill(0)]);
    expect(answers.filter(([decision]) => decision!.allowed)).toHaveLength(5);
    expect(await store.consume([{ ...alice, key: 'bob', cost: 3 }])).toMatchObject([{ allowed: true, remaining: 2 }]);
    expect(await store.consume([{ ...alice, key: 'bob', cost: 3 }])).toMatchObject([{ allowed: false, remaining: 2 }]);
    expect(await store.consume([{ ...alice, key: 'bob', cost: 2 }])).toMatchObject([{ allowed: true, remaining: 0 }]);
    await store.close?.();
  });

  it('gives back, resets, and closes', async () => {
    const express = new ExpressMemoryStore();
    const store = fromExpressRateLimitStore(express);
    const [granted] = await store.consume([{ ...alice, cost: 4 }]);
    expect(granted).toMatchObject({ allowed: true, limit: 5, policy: 'five', delay: 0, source: 'store' });
    expect(granted!.resetAfter).toBeGreaterThan(59_000);
    expect(granted!.resetAfter).toBeLessThanOrEqual(60_000);
    await store.release([{ ...alice, cost: 3, at: granted!.at }]);
    expect(await store.peek([alice])).toMatchObject([{ remaining: 4 }]);
    await store.reset('alice', [five]);
    expect(await store.peek([alice])).toMatchObject([{ remaining: 5, resetAfter: 0 }]);
    await store.consume([alice]);
    await store.close?.();
    expect(express.current.size).toBe(0);
  });

  it('is refused where its timer could not time the window', async () => {
    const store = fromExpressRateLimitStore(new ExpressMemoryStore());
    await expect(store.consume([{ ...alice, policy: compile({ window: '30d' }) }])).rejects.toThrow('Choose a shorter');
  });
});

describe('several charges', () => {
  it.each([true, false])('are all granted, or none is taken (with get: %j)', async (get) => {
    const { store } = setUp(get);
    const charges = [five, two].map((policy) => ({ policy, key: 'alice', cost: 1 }));
    for (const [i, remaining] of [4, 3, 3, 3].entries()) {
      expect(await store.consume(charges)).toMatchObject([
        { allowed: true, remaining, policy: 'five' },
        { allowed: i < 2, remaining: Math.max(0, 1 - i), policy: 'two', retryAfter: i < 2 ? 0 : 60_000 },
      ]);
    }
    expect(await store.consume([...charges].reverse())).toMatchObject([
      { allowed: false },
      { allowed: true, remaining: 3 },
    ]);
    expect(await store.peek(charges)).toMatchObject([{ remaining: 3 }, { remaining: 0 }]);
  });

  it('are taken back when the store fails at one of them', async () => {
    const { store, hits } = setUp();
    const increment = hits.increment.bind(hits);
    hits.increment = async (key) => {
      if (key.includes('two')) throw new Error('connection lost');
      return increment(key);
    };
    const charges = [five, two].map((policy) => ({ policy, key: 'alice', cost: 2 }));
    await expect(store.consume(charges)).rejects.toThrow('connection lost');
    expect(await store.peek([alice])).toMatchObject([{ remaining: 5 }]);
  });

  it('on the same keys in another order do not wait for one another', async () => {
    const { store, hits } = setUp();
    hits.pause = () => Promise.resolve();
    const charges = [five, two].map((policy) => ({ policy, key: 'alice', cost: 1 }));
    const answers = await Promise.all([store.consume(charges), store.consume([...charges].reverse())]);
    expect(answers.flat().every(({ allowed }) => allowed)).toBe(true);
  });
});

describe('several processes on one store', () => {
  const request = fc.record({
    process: fc.nat(2),
    cost: fc.integer({ min: 0, max: 6 }),
    both: fc.boolean(),
    keep: fc.boolean(),
  });
  const pauses = fc.array(fc.nat(6), { minLength: 1, maxLength: 40 });

  it('never grant more than the limit between them, and take nothing for a refusal', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(request, { maxLength: 25 }), pauses, fc.boolean(), async (requests, turns, get) => {
        const hits = new HitStore();
        let turn = 0;
        hits.pause = async () => {
          for (let left = turns[turn++ % turns.length]!; left > 0; left--) await undefined;
        };
        const { clock } = hits;
        const stores = Array.from({ length: 3 }, () =>
          fromExpressRateLimitStore(get ? hits : withoutGet(hits), { clock }),
        );
        const taken = { five: 0, two: 0 };
        await Promise.all(
          requests.map(async ({ process, cost, both, keep }) => {
            const store = stores[process]!;
            const charges = (both ? [five, two] : [five]).map((policy) => ({ policy, key: 'alice', cost }));
            const decisions = await store.consume(charges);
            if (!decisions.every(({ allowed }) => allowed)) return;
            taken.five += cost;
            if (both) taken.two += cost;
            expect(taken.five).toBeLessThanOrEqual(5);
            expect(taken.two).toBeLessThanOrEqual(2);
            if (keep) return;
            taken.five -= cost;
            if (both) taken.two -= cost;
            await store.release(charges.map((charge, i) => ({ ...charge, at: decisions[i]!.at })));
          }),
        );
        for (const policy of [five, two]) {
          const left = policy.limit - taken[policy.name as 'five' | 'two'];
          expect(await stores[0]!.peek([{ policy, key: 'alice', cost: 0 }])).toMatchObject([{ remaining: left }]);
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe('at the end of a window', () => {
  it.each([true, false])('nothing is taken from the next one (with get: %j)', async (get) => {
    const { store, clock, hits } = setUp(get);
    const [granted] = await store.consume([{ ...alice, cost: 4 }]);
    clock.advance(59_500);
    expect(await store.consume([{ ...alice, cost: 2 }])).toMatchObject([{ allowed: false, retryAfter: 500 }]);
    await store.release([{ ...alice, cost: 4, at: granted!.at }]);
    clock.advance(500);
    expect([...hits.hits.values()].every(({ totalHits }) => totalHits >= 0)).toBe(true);
    const [next] = await store.consume([{ ...alice, cost: 3 }]);
    expect(next).toMatchObject({ allowed: true, remaining: 2 });
    await store.release([{ ...alice, cost: 4, at: granted!.at }]);
    expect(await store.consume([{ ...alice, cost: 3 }])).toMatchObject([{ allowed: false }]);
    await store.release([{ ...alice, cost: 1, at: next!.at }]);
    expect(await store.consume([{ ...alice, cost: 3 }])).toMatchObject([{ allowed: true, remaining: 0 }]);
  });

  it.each([500, 300, 100])('a hit is not taken back that was made %j ms before it', async (left) => {
    const { store, clock, hits } = setUp();
    await store.consume([{ ...alice, cost: 5 }]);
    clock.advance(60_000 - left);
    hits.pause = () => clock.advance(120);
    const [decision] = await store.consume([alice]);
    if (left > 120) expect(decision!.allowed).toBe(false);
    hits.pause = () => {};
    for (const { totalHits } of hits.hits.values()) expect(totalHits).toBeGreaterThan(0);
  });

  it('a request whose hits fall into two windows takes back only those of the second', async () => {
    const { store, clock, hits } = setUp();
    await store.consume([alice]);
    clock.advance(30_000);
    await store.consume([{ ...alice, policy: two, cost: 2 }]);
    clock.advance(29_994);
    hits.pause = () => clock.advance(2);
    const charges = [
      { ...alice, cost: 3 },
      { ...alice, policy: two },
    ];
    expect(await store.consume(charges)).toMatchObject([{ allowed: true }, { allowed: false }]);
    expect(hits.hits.get('fixed-window:five/alice')!.totalHits).toBe(0);
  });

  it('a refusal that arrives when its window is over asks for one more try', async () => {
    const { store, clock, hits } = setUp();
    await store.consume([{ ...alice, cost: 5 }]);
    clock.advance(59_999);
    let pauses = 0;
    hits.pause = () => (pauses++ > 0 ? clock.advance(2) : undefined);
    expect(await store.consume([alice])).toMatchObject([{ allowed: false, retryAfter: 0.001 }]);
  });

  it('units are given back though the store reckons its window a little later than the grant', async () => {
    const { store, clock, hits } = setUp();
    const [granted] = await store.consume([{ ...alice, cost: 4 }]);
    clock.advance(10);
    hits.hits.get('fixed-window:five/alice')!.resetTime = new Date(clock.now() / 1_000 + 60_000);
    await store.release([{ ...alice, cost: 4, at: granted!.at }]);
    expect(await store.peek([alice])).toMatchObject([{ remaining: 5 }]);
  });
});

describe('a store of little knowledge', () => {
  it('that tells no resetTime is taken to begin its window now', async () => {
    const { store, hits, clock } = setUp();
    const { increment, get } = hits;
    hits.increment = async (key) => ({ ...(await increment.call(hits, key)), resetTime: undefined });
    hits.get = async (key) => ({ ...(await get.call(hits, key))!, resetTime: undefined as unknown as Date });
    const [granted] = await store.consume([{ ...alice, cost: 3 }]);
    expect(granted).toMatchObject({ allowed: true, remaining: 2, resetAfter: 60_000 });
    expect(await store.consume([{ ...alice, cost: 3 }])).toMatchObject([{ allowed: false, retryAfter: 60_000 }]);
    clock.advance(1_000);
    // Nobody can tell whether these are units of the present window.
    await store.release([{ ...alice, cost: 3, at: granted!.at }]);
    expect(await store.peek([alice])).toMatchObject([{ remaining: 2 }]);
    await store.release([{ ...alice, cost: 3 }]);
    expect(await store.peek([alice])).toMatchObject([{ remaining: 5 }]);
  });

  it.each([
    undefined,
    null,
    { totalHits: Number.NaN, resetTime: new Date(0) },
    { totalHits: 4, resetTime: new Date(0) },
    { totalHits: -3, resetTime: new Date(8e15) },
  ])('that answers %j about a key knows nothing of it', async (info) => {
    const { store, hits } = setUp();
    hits.get = async () => info as { totalHits: number; resetTime: Date };
    expect(await store.peek([alice])).toMatchObject([{ allowed: true, remaining: 5, resetAfter: 0 }]);
  });

  it.each([Number.NaN, 0, -3, 1.5, '1', undefined])('that counts %j hits fails', async (totalHits) => {
    const { store, hits } = setUp();
    hits.increment = async () => ({ totalHits: totalHits as number, resetTime: new Date() });
    await expect(store.consume([alice])).rejects.toThrow("must answer 'increment' with 'totalHits' above 0");
  });

  it('that puts the end of the window too far away refuses nobody for longer than a window', async () => {
    const { store, hits } = setUp();
    const { increment } = hits;
    hits.increment = async (key) => ({ ...(await increment.call(hits, key)), resetTime: new Date(8e15) });
    await store.consume([{ ...alice, cost: 5 }]);
    expect(await store.consume([alice])).toMatchObject([{ allowed: false, retryAfter: 60_000 }]);
  });
});

describe('the number of calls', () => {
  it.each<[string, number, (store: Store) => unknown]>([
    ['one hit for each unit that is granted', 3, (store) => store.consume([{ ...alice, cost: 3 }])],
    ['one hit, taken back, for a refusal', 2, (store) => store.consume([{ ...alice, cost: 5 }])],
    ['one look where a cost is above the limit', 1, (store) => store.consume([{ ...alice, cost: 6 }])],
    ['one look for a cost of 0', 1, (store) => store.consume([{ ...alice, cost: 0 }])],
    ['none for the return of nothing', 0, (store) => store.release([{ ...alice, cost: 0 }])],
    [
      'a look at each one behind a refusal',
      3,
      (store) =>
        store.consume([
          { ...alice, cost: 5 },
          { ...alice, policy: two },
        ]),
    ],
  ])('is %s', async (_, calls, ask) => {
    const { store, hits } = setUp();
    await store.consume([alice]);
    hits.calls = 0;
    await ask(store);
    expect(hits.calls).toBe(calls);
  });

  it('at a time is one for a key, whenever requests come', async () => {
    const { store, hits } = setUp();
    const increment = hits.increment.bind(hits);
    let busy = 0;
    let most = 0;
    hits.pause = () => Promise.resolve();
    hits.increment = async (key) => {
      most = Math.max(most, ++busy);
      const info = await increment(key);
      busy--;
      return info;
    };
    const requests: PromiseLike<unknown>[] = [];
    for (let i = 0; i < 60; i++) {
      requests.push(Promise.resolve(store.consume([{ ...alice, cost: (i % 2) + 1 }])));
      for (let turns = i % 7; turns > 0; turns--) await undefined;
    }
    await Promise.all(requests);
    expect(most).toBe(1);
  });
});

it('a limit of 0 refuses also who asks for nothing', async () => {
  const none = { ...alice, policy: compile({ limit: 0 }), cost: 0 };
  expect(await setUp().store.consume([none])).toMatchObject([{ allowed: false, retryAfter: Number.POSITIVE_INFINITY }]);
});

describe('the start', () => {
  it('tells the store its window once, and waits for it', async () => {
    const { store, hits } = setUp();
    const init = hits.init.bind(hits);
    let ready = () => {};
    hits.init = ((options: { windowMs: number }) => {
      init(options);
      return new Promise<void>((resolve) => {
        ready = resolve;
      });
    }) as typeof hits.init;
    const answers = Promise.all([store.consume([alice]), store.peek([{ ...alice, key: 'bob' }])]);
    await new Promise((resolve) => setImmediate(resolve));
    expect(hits.calls).toBe(0);
    ready();
    await answers;
    await store.consume([alice]);
    expect(hits.inits).toEqual([{ windowMs: 60_000 }]);
  });

  it('is tried again by the next request when it has failed', async () => {
    const { store, hits } = setUp();
    const init = hits.init.bind(hits);
    hits.init = () => {
      throw new Error('connection lost');
    };
    await expect(store.consume([alice])).rejects.toThrow('connection lost');
    hits.init = init;
    expect(await store.consume([alice])).toMatchObject([{ allowed: true }]);
  });
});

describe('what such a store cannot keep is refused with the remedy', () => {
  it.each<[string, Parameters<typeof compile>[0], string]>([
    ...(['sliding-window-log', 'sliding-window-counter', 'token-bucket', 'leaky-bucket'] as AlgorithmName[]).map(
      (algorithm): [string, Partial<Policy>, string] => [algorithm, { algorithm }, "Choose 'fixed-window'"],
    ),
    ['countRefused', { countRefused: true }, "Leave out 'countRefused'"],
    ['a second window', { window: '1h' }, 'this one has 1m, not 1h. Give each length a store of its own.'],
  ])('%s', async (_, policy, message) => {
    const { store } = setUp();
    await store.consume([alice]);
    const charge = { ...alice, policy: compile(policy) };
    const forgiving: Store = withStoreErrors(store, { mode: 'allow', clock: new ManualClock(), report: () => {} });
    for (const ask of [
      store.consume([charge]),
      store.peek([charge]),
      store.release([charge]),
      store.reset('alice', [charge.policy]),
      forgiving.consume([charge]),
    ]) {
      await expect(ask).rejects.toMatchObject({ code: 'INVALID_POLICY', message: expect.stringContaining(message) });
    }
    expect(await store.peek([alice])).toMatchObject([{ remaining: 4 }]);
  });

  it('penalties', async () => {
    const { block } = compilePenalty('1m', 'penalty', 'test');
    await expect(setUp().store.consume([{ ...alice, policy: block! }])).rejects.toThrow('Leave out the penalty');
  });

  it('a bad cost', async () => {
    await expect(setUp().store.consume([{ ...alice, cost: Number.NaN }])).rejects.toThrow('integer ≥ 0');
  });

  it.each([undefined, null, {}, 'redis', { increment: () => {} }, new Map()])('%s', (store) => {
    expect(() => fromExpressRateLimitStore(store as never)).toThrow(
      /takes a store of express-rate-limit.* lacks .*resetKey/,
    );
  });

  it.each([{ windowMs: 60_000 }, { clock: {} }, { clock: null }, 60_000])('options like %j', (options) => {
    expect(() => fromExpressRateLimitStore(new HitStore(), options as never)).toThrow('fromExpressRateLimitStore');
  });

  it('a store with the callbacks of version 5', () => {
    const legacy = { incr: () => {}, decrement: () => {}, resetKey: () => {} };
    expect(() => fromExpressRateLimitStore(legacy as never)).toThrow(
      'Update it to a version made for express-rate-limit 6',
    );
  });
});
