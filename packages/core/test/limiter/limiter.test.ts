import { ManualClock } from '@sluice/testing';
import { describe, expect, test, vi } from 'vitest';
import {
  createLimiter,
  type Decision,
  type DecisionEvent,
  type LimiterOptions,
  MemoryStore,
  type Store,
} from '../../src/index.ts';
import { asyncStore } from './async-store.ts';

const perSecondAndDay = [
  { name: 'second', algorithm: 'fixed-window', limit: 2, window: '1s' },
  { name: 'day', algorithm: 'fixed-window', limit: 5, window: '1d' },
] as const;

/** The same tests for a store that answers at once and one that answers later. */
const stores: [string, (clock: ManualClock) => Store][] = [
  ['a store that answers at once', (clock) => new MemoryStore({ clock })],
  ['a store that answers later', (clock) => asyncStore(new MemoryStore({ clock }))],
];

describe.each(stores)('a limiter with %s', (_, storeOf) => {
  function limiterOf(options: LimiterOptions) {
    const clock = new ManualClock();
    return { clock, limiter: createLimiter({ store: storeOf(clock), clock, ...options }) };
  }

  test('grants the limit and says when more can be had', async () => {
    const { limiter, clock } = limiterOf({ policies: { limit: 2, window: '10s', algorithm: 'fixed-window' } });
    await limiter.consume('alice');
    expect(await limiter.consume('alice')).toEqual({
      allowed: true,
      policy: 'default',
      limit: 2,
      remaining: 0,
      resetAfter: 10_000,
      retryAfter: 0,
      delay: 0,
      at: clock.now() / 1_000,
      source: 'store',
    });
    expect(await limiter.consume('alice')).toMatchObject({ allowed: false, retryAfter: 10_000 });
    expect(await limiter.consume('bob')).toMatchObject({ allowed: true, remaining: 1 });
  });

  test('charges none of its policies when one refuses', async () => {
    const { limiter, clock } = limiterOf({ policies: perSecondAndDay });
    for (let i = 0; i < 6; i++) await limiter.consume('alice');
    expect((await limiter.peek('alice', 0)).policies?.map(({ remaining }) => remaining)).toEqual([0, 3]);
    await clock.pass(1_000);
    expect((await limiter.consume('alice', 2)).allowed).toBe(true);
    await clock.pass(1_000);
    expect(await limiter.consume('alice', 2)).toMatchObject({ allowed: false, policy: 'day' });
    expect(await limiter.consume('alice', 1)).toMatchObject({ allowed: true, policy: 'day', remaining: 0 });
  });

  test('reports the policy with the least left, and of several that refuse the one that refuses longest', async () => {
    const { limiter, clock } = limiterOf({
      policies: [
        { name: 'minute', algorithm: 'fixed-window', limit: 3, window: '1m' },
        { name: 'hour', algorithm: 'fixed-window', limit: 3, window: '1h' },
        { name: 'second', algorithm: 'fixed-window', limit: 10, window: '1s' },
      ],
    });
    const granted = await limiter.consume('alice', 3);
    expect(granted).toMatchObject({ allowed: true, policy: 'hour', remaining: 0 });
    await clock.pass(1_000);
    const refused = await limiter.consume('alice');
    expect(refused).toMatchObject({ allowed: false, policy: 'hour', retryAfter: 3_599_000 });
    expect(refused.policies?.map(({ policy, allowed, retryAfter }) => [policy, allowed, retryAfter])).toEqual([
      ['minute', false, 59_000],
      ['hour', false, 3_599_000],
      ['second', true, 0],
    ]);
    expect(await limiter.consume('alice', 11)).toMatchObject({ allowed: false, retryAfter: Number.POSITIVE_INFINITY });
  });

  test('holds a request for the longest delay of its policies', async () => {
    const { limiter } = limiterOf({
      policies: [
        { name: 'fast', algorithm: 'leaky-bucket', limit: 10, window: '1s' },
        { name: 'slow', algorithm: 'leaky-bucket', limit: 10, window: '10s' },
        { name: 'tight', algorithm: 'fixed-window', limit: 2, window: '10s' },
      ],
    });
    await limiter.consume('alice');
    expect(await limiter.consume('alice')).toMatchObject({ policy: 'tight', delay: 1_000 });
    expect(await limiter.consume('alice')).toMatchObject({ allowed: false, policy: 'tight', delay: 0 });
  });

  test('peeks without taking, and tells no observer', async () => {
    const onDecision = vi.fn();
    const { limiter } = limiterOf({ policies: '3/1m', onDecision });
    for (let i = 0; i < 5; i++) expect(await limiter.peek('alice', 3)).toMatchObject({ allowed: true, remaining: 3 });
    expect(await limiter.peek('alice', 4)).toMatchObject({ allowed: false, remaining: 3 });
    expect(onDecision).not.toHaveBeenCalled();
  });

  test('gives back what was reserved for work that did not come about, so that no parallel request slips through', async () => {
    const { limiter } = limiterOf({ policies: { limit: 5, window: '1m', algorithm: 'fixed-window' } });
    const guesses = await Promise.all(Array.from({ length: 50 }, () => limiter.consume('login:alice')));
    const granted = guesses.filter(({ allowed }) => allowed);
    expect(granted.length).toBe(5);
    await limiter.release('login:alice', 1, granted[0]);
    expect((await limiter.consume('login:alice')).allowed).toBe(true);
    expect((await limiter.consume('login:alice')).allowed).toBe(false);
  });

  test('gives units of an earlier window back to that window only', async () => {
    const { limiter, clock } = limiterOf({ policies: { limit: 5, window: '10s', algorithm: 'fixed-window' } });
    const granted = await limiter.consume('alice', 3);
    await clock.pass(10_000);
    await limiter.consume('alice', 3);
    await limiter.release('alice', 3, granted);
    expect((await limiter.peek('alice')).remaining).toBe(2);
    await limiter.release('alice', 3);
    expect((await limiter.peek('alice')).remaining).toBe(5);
  });

  test('forgets a key on reset, in all policies', async () => {
    const { limiter } = limiterOf({ policies: perSecondAndDay });
    await limiter.consume('alice', 2);
    await limiter.reset('alice');
    expect((await limiter.peek('alice')).policies?.map(({ remaining }) => remaining)).toEqual([2, 5]);
  });

  test('shows each decision to its observer once, with key and cost', async () => {
    const events: DecisionEvent[] = [];
    const { limiter } = limiterOf({ policies: perSecondAndDay, onDecision: (event) => events.push(event) });
    const decisions: Decision[] = [
      await limiter.consume('alice', 2),
      await limiter.consume('alice'),
      await limiter.consume('bob'),
    ];
    expect(events).toEqual([
      { decision: decisions[0], key: 'alice', cost: 2 },
      { decision: decisions[1], key: 'alice', cost: 1 },
      { decision: decisions[2], key: 'bob', cost: 1 },
    ]);
    expect(events.map(({ decision }) => decision.allowed)).toEqual([true, false, true]);
  });

  test('takes cost 0 as a look', async () => {
    const { limiter } = limiterOf({ policies: '3/1m' });
    expect(await limiter.consume('alice', 0)).toMatchObject({ allowed: true, remaining: 3 });
  });

  const badCosts = [Number.NaN, -1, 0.5, Number.POSITIVE_INFINITY, 2 ** 53, '1', null, 1n];
  test.each(badCosts)('throws for the cost %s, and takes nothing', async (cost) => {
    const onDecision = vi.fn();
    const { limiter } = limiterOf({ policies: '3/1m', onDecision });
    const bad = cost as number;
    const invalid = expect.objectContaining({ code: 'INVALID_COST' });
    await limiter.consume('alice', 1);
    await expect(limiter.consume('alice', bad)).rejects.toEqual(invalid);
    await expect(limiter.peek('alice', bad)).rejects.toEqual(invalid);
    await expect(limiter.release('alice', bad)).rejects.toEqual(invalid);
    await expect(limiter.acquire('alice', { cost: bad })).rejects.toEqual(invalid);
    expect((await limiter.peek('alice')).remaining).toBe(2);
    expect(onDecision).toHaveBeenCalledTimes(1);
  });

  const badKeys = [undefined, null, '', 5, {}, Promise.resolve('alice'), ['alice'], () => 'alice'];
  test.each(badKeys)('throws for a key that is no text, such as %s', async (key) => {
    const { limiter } = limiterOf({ policies: '3/1m' });
    const bad = key as string;
    const invalid = expect.objectContaining({ code: 'INVALID_KEY' });
    await expect(limiter.consume(bad)).rejects.toEqual(invalid);
    await expect(limiter.peek(bad)).rejects.toEqual(invalid);
    await expect(limiter.release(bad)).rejects.toEqual(invalid);
    await expect(limiter.reset(bad)).rejects.toEqual(invalid);
    await expect(limiter.acquire(bad)).rejects.toEqual(invalid);
    expect((await limiter.peek(String(key) || 'undefined')).remaining).toBe(3);
  });

  test('throws once it is closed, whatever it is asked', async () => {
    const { limiter } = limiterOf({ policies: '3/1m' });
    await limiter.close();
    await limiter.close();
    const closed = expect.objectContaining({ code: 'CLOSED' });
    await expect(limiter.consume('alice')).rejects.toEqual(closed);
    await expect(limiter.peek('alice')).rejects.toEqual(closed);
    await expect(limiter.release('alice')).rejects.toEqual(closed);
    await expect(limiter.reset('alice')).rejects.toEqual(closed);
    await expect(limiter.acquire('alice')).rejects.toEqual(closed);
  });

  test('passes on what its store throws', async () => {
    const broken = new Error('the store is broken');
    const fail = () => {
      throw broken;
    };
    const { limiter } = limiterOf({
      policies: '3/1m',
      store: { consume: fail, peek: fail, release: fail, reset: fail },
    });
    for (const call of ['consume', 'peek', 'release', 'reset', 'acquire'] as const) {
      await expect(limiter[call]('alice')).rejects.toBe(broken);
    }
  });
});

describe('consumeSync', () => {
  test('decides without a promise, and like consume', async () => {
    const limiter = createLimiter({ policies: '2/1m', clock: new ManualClock() });
    const first = limiter.consumeSync('alice');
    expect(first).toMatchObject({ allowed: true, remaining: 1 });
    expect(await limiter.consume('alice')).toMatchObject({ allowed: true, remaining: 0 });
    expect(limiter.consumeSync('alice').allowed).toBe(false);
    expect(() => limiter.consumeSync('alice', Number.NaN)).toThrow(expect.objectContaining({ code: 'INVALID_COST' }));
    expect(() => limiter.consumeSync('')).toThrow(expect.objectContaining({ code: 'INVALID_KEY' }));
    await limiter.close();
    expect(() => limiter.consumeSync('alice')).toThrow(expect.objectContaining({ code: 'CLOSED' }));
  });

  test('throws with a store that answers later, and takes nothing', async () => {
    const store = asyncStore(new MemoryStore());
    const limiter = createLimiter({ policies: '2/1m', store });
    const sync = limiter as ReturnType<typeof createLimiter> & { consumeSync(key: string): Decision };
    expect(() => sync.consumeSync('alice')).toThrow(expect.objectContaining({ code: 'ASYNC_STORE' }));
    expect((await limiter.peek('alice')).remaining).toBe(2);
  });
});

describe('close', () => {
  test('closes the store that the limiter made, and leaves alone one that was given', async () => {
    const clock = new ManualClock();
    const own = createLimiter({ policies: '5/1h', clock });
    own.consumeSync('alice');
    expect(clock.pending).toBe(1);
    await own.close();
    expect(clock.pending).toBe(0);

    const store = new MemoryStore({ clock });
    const one = createLimiter({ policies: '5/1h', clock, store });
    const two = createLimiter({ policies: '5/1h', clock, store });
    one.consumeSync('alice', 4);
    await one.close();
    expect(two.consumeSync('alice').remaining).toBe(0);
  });
});

describe('options that cannot work', () => {
  const wrong: [string, unknown, string][] = [
    ['no options', undefined, 'INVALID_OPTION'],
    ['no policies', {}, 'INVALID_OPTION'],
    ['an empty list of policies', { policies: [] }, 'INVALID_POLICY'],
    ['a limit that is a string', { policies: { limit: '10', window: '1m' } }, 'INVALID_POLICY'],
    ['a limit that is not a number', { policies: { limit: Number.NaN, window: '1m' } }, 'INVALID_POLICY'],
    ['a window in words', { policies: { limit: 10, window: '1 minute' } }, 'INVALID_WINDOW'],
    ['two policies of one name', { policies: ['5/1m', '10/60s'] }, 'DUPLICATE_POLICY'],
    ['an unknown algorithm', { policies: '5/1m', algorithm: 'gcra' }, 'INVALID_POLICY'],
    ['an unknown option', { policies: '5/1m', stroe: new MemoryStore() }, 'UNKNOWN_OPTION'],
    ['a Map with policies', Object.assign(new Map(), { policies: '5/1m' }), 'INVALID_OPTION'],
    ['inherited options', Object.create({ policies: '5/1m' }), 'INVALID_OPTION'],
    ['a store that is none', { policies: '5/1m', store: new Map() }, 'INVALID_OPTION'],
    ['a store that is missing', { policies: '5/1m', store: null }, 'INVALID_OPTION'],
    ['a clock that is none', { policies: '5/1m', clock: Date }, 'INVALID_OPTION'],
    ['an observer that is no function', { policies: '5/1m', onDecision: true }, 'INVALID_OPTION'],
  ];
  test.each(wrong)('throw at creation: %s', (_, options, code) => {
    expect(() => createLimiter(options as LimiterOptions)).toThrow(expect.objectContaining({ code }));
  });
});
