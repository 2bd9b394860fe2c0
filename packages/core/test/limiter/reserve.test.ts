import { ManualClock } from '@sluice/testing';
import { describe, expect, test } from 'vitest';
import { createLimiter, type DecisionEvent, type LimiterOptions, MemoryStore, type Store } from '../../src/index.ts';
import { asyncStore } from './async-store.ts';

const fivePerMinute = { algorithm: 'fixed-window', limit: 5, window: '1m' } as const;

const stores: [string, (clock: ManualClock) => Store][] = [
  ['a store that answers at once', (clock) => new MemoryStore({ clock })],
  ['a store that answers later', (clock) => asyncStore(new MemoryStore({ clock }))],
];

describe.each(stores)('a reservation with %s', (_, storeOf) => {
  function limiterOf(options: LimiterOptions) {
    const clock = new ManualClock();
    // The store is on a clock of its own, so that only the limiter's timers are pending on the test's.
    const limiter = createLimiter({
      store: storeOf({ now: () => clock.now(), after: () => () => {} } as unknown as ManualClock),
      clock,
      ...options,
    });
    const left = async (key = 'alice') => (await limiter.peek(key, 0)).remaining;
    return { clock, limiter, left };
  }

  test('lets no parallel guess at a password pass the limit, and gives those back that were right', async () => {
    const { limiter, left } = limiterOf({ policies: fivePerMinute });
    let checked = 0;
    const guess = async (isRight: boolean) => {
      const reservation = await limiter.reserve('login:alice');
      if (!reservation.allowed) return 'refused';
      checked++;
      await new Promise((resolve) => setImmediate(resolve));
      if (isRight) await reservation.cancel();
      else await reservation.commit();
      return isRight ? 'welcome' : 'wrong';
    };
    const answers = await Promise.all(Array.from({ length: 50 }, (_, i) => guess(i === 3)));
    expect(checked).toBe(5);
    expect(answers.filter((answer) => answer === 'refused').length).toBe(45);
    expect(answers.filter((answer) => answer === 'welcome').length).toBe(1);
    expect(await left('login:alice')).toBe(1);
  });

  test('settles at the tokens that an answer has cost, fewer than were reserved', async () => {
    const { limiter, left } = limiterOf({ policies: { ...fivePerMinute, limit: 10_000 } });
    const reservation = await limiter.reserve('alice', 4_000);
    expect(reservation).toMatchObject({ allowed: true, decision: { remaining: 6_000 } });
    expect(await reservation.commit(1_200)).toMatchObject({ allowed: true, remaining: 8_800, retryAfter: 0 });
    expect(await left()).toBe(8_800);
  });

  test('is allowed where nothing is charged beyond it, even if the limit has nothing left', async () => {
    const { limiter, clock } = limiterOf({
      policies: { algorithm: 'sliding-window-counter', limit: 10, window: '1m', countRefused: true },
    });
    await limiter.consume('alice', 10);
    await clock.pass(90_000);
    const reservation = await limiter.reserve('alice', 2);
    await limiter.consume('alice', 9);
    expect((await limiter.peek('alice', 0)).allowed).toBe(false);
    expect(await reservation.commit(1)).toMatchObject({ allowed: true, remaining: 0, retryAfter: 0 });
  });

  test('charges what was needed beyond what was reserved', async () => {
    const { limiter, left } = limiterOf({ policies: { ...fivePerMinute, limit: 10_000 } });
    const reservation = await limiter.reserve('alice', 4_000);
    expect(await reservation.commit(5_500)).toMatchObject({ allowed: true, remaining: 4_500 });
    expect(await left()).toBe(4_500);
  });

  test('charges what was needed beyond as far as the limit goes, in every policy, and says that it went no further', async () => {
    const { limiter, clock } = limiterOf({
      policies: [
        { name: 'minute', algorithm: 'fixed-window', limit: 10, window: '1m' },
        { name: 'day', algorithm: 'token-bucket', limit: 100, window: '1d' },
      ],
    });
    const reservation = await limiter.reserve('alice', 4);
    await clock.pass(15_000);
    expect(await reservation.commit(20)).toMatchObject({ allowed: false, policy: 'minute', remaining: 0 });
    expect((await limiter.peek('alice', 0)).policies?.map(({ remaining }) => remaining)).toEqual([0, 80]);
    expect((await limiter.consume('alice')).allowed).toBe(false);
    await clock.pass(45_000);
    expect((await limiter.consume('alice')).allowed).toBe(true);
  });

  test('settles without another question where the cost is what was reserved', async () => {
    const { limiter, left } = limiterOf({ policies: fivePerMinute });
    const reservation = await limiter.reserve('alice', 2);
    expect(await reservation.commit()).toBe(reservation.decision);
    expect(await left()).toBe(3);
  });

  test('gives everything back when it is cancelled, once', async () => {
    const { limiter, left } = limiterOf({ policies: [fivePerMinute, { ...fivePerMinute, name: 'day', window: '1d' }] });
    await limiter.consume('alice', 2);
    const reservation = await limiter.reserve('alice', 3);
    expect(await left()).toBe(0);
    await reservation.cancel();
    await reservation.cancel();
    expect((await limiter.peek('alice', 0)).policies?.map(({ remaining }) => remaining)).toEqual([3, 3]);
  });

  test('is settled once: a second commit throws, and a cancel after it does nothing', async () => {
    const { limiter, left } = limiterOf({ policies: fivePerMinute });
    const settled = expect.objectContaining({ code: 'ALREADY_SETTLED' });
    const committed = await limiter.reserve('alice', 2);
    const [first, second] = await Promise.allSettled([committed.commit(3), committed.commit(3)]);
    expect(first.status).toBe('fulfilled');
    expect(second).toEqual({ status: 'rejected', reason: settled });
    await committed.cancel();
    expect(await left()).toBe(2);

    const cancelled = await limiter.reserve('alice', 2);
    await cancelled.cancel();
    await expect(cancelled.commit()).rejects.toEqual(settled);
    expect(await left()).toBe(2);
  });

  test('that is refused holds nothing: it cannot be committed, and a cancel does nothing', async () => {
    const { limiter, left, clock } = limiterOf({ policies: fivePerMinute });
    const refused = await limiter.reserve('alice', 6);
    expect(refused).toMatchObject({
      allowed: false,
      decision: { allowed: false, retryAfter: Number.POSITIVE_INFINITY },
    });
    await expect(refused.commit()).rejects.toEqual(expect.objectContaining({ code: 'NOT_RESERVED' }));
    await refused.cancel();
    expect(clock.pending).toBe(0);
    expect(await left()).toBe(5);
  });

  test('that is refused stays charged where refused requests count', async () => {
    const { limiter, left } = limiterOf({ policies: { ...fivePerMinute, countRefused: true } });
    const granted = await limiter.reserve('alice', 4);
    const refused = await limiter.reserve('alice', 4);
    expect(refused.allowed).toBe(false);
    await refused.cancel();
    expect(await left()).toBe(0);
    await granted.cancel();
    expect(await left()).toBe(4);
  });

  test('is cancelled at its expiry, and not before', async () => {
    const { limiter, left, clock } = limiterOf({ policies: { ...fivePerMinute, window: '1h' } });
    await limiter.reserve('alice', 2);
    await limiter.reserve('alice', 3, { expiresIn: '10s' });
    await clock.pass(9_999.999);
    expect(await left()).toBe(0);
    await clock.pass(0.001);
    expect(await left()).toBe(3);
    await clock.pass(49_999.999);
    expect(await left()).toBe(3);
    await clock.pass(0.001);
    expect(await left()).toBe(5);
    expect(clock.pending).toBe(0);
  });

  test('that has expired is charged anew by a commit that comes late', async () => {
    const { limiter, left, clock } = limiterOf({ policies: { ...fivePerMinute, window: '1h' } });
    const reservation = await limiter.reserve('alice', 2, { expiresIn: '10s' });
    await clock.pass(10_000);
    await reservation.cancel();
    expect(await left()).toBe(5);
    expect(await reservation.commit(3)).toMatchObject({ allowed: true, remaining: 2 });
    expect(await left()).toBe(2);
    await reservation.cancel();
    expect(await left()).toBe(2);
  });

  test('that expires while its units are on the way back is charged after them', async () => {
    const { limiter, left, clock } = limiterOf({ policies: { ...fivePerMinute, window: '1h' } });
    const reservation = await limiter.reserve('alice', 5, { expiresIn: '10s' });
    clock.advance(10_000);
    expect(await reservation.commit(4)).toMatchObject({ allowed: true, remaining: 1 });
    expect(await left()).toBe(1);
  });

  test('that is committed does not expire', async () => {
    const { limiter, left, clock } = limiterOf({ policies: { ...fivePerMinute, window: '1h' } });
    const reservation = await limiter.reserve('alice', 2);
    await reservation.commit();
    expect(clock.pending).toBe(0);
    await clock.pass(120_000);
    expect(await left()).toBe(3);
  });

  test('adds nothing to the next window when its work took until then', async () => {
    const { limiter, left, clock } = limiterOf({ policies: fivePerMinute });
    const cancelled = await limiter.reserve('alice', 3, { expiresIn: '1h' });
    const committed = await limiter.reserve('alice', 2, { expiresIn: '1h' });
    await clock.pass(60_000);
    await limiter.consume('alice', 4);
    await cancelled.cancel();
    expect(await left()).toBe(1);
    expect(await committed.commit(1)).toMatchObject({ remaining: 1 });
    expect(await left()).toBe(1);
  });

  test('of a leaky bucket gives all of it back while its caller is still to wait, then what has not drained', async () => {
    const { limiter, left, clock } = limiterOf({ policies: { algorithm: 'leaky-bucket', limit: 10, window: '10s' } });
    await limiter.consume('alice', 6);
    const waiting = await limiter.reserve('alice', 4);
    expect(waiting.decision.delay).toBe(6_000);
    await clock.pass(2_000);
    await waiting.cancel();
    expect(await left()).toBe(6);

    const begun = await limiter.reserve('bob', 4);
    await clock.pass(1_000);
    await begun.cancel();
    expect(await left('bob')).toBe(10);
  });

  test('is given up where a block is left without a commit, and kept where it has one', async () => {
    const { limiter, left, clock } = limiterOf({ policies: fivePerMinute });
    const work = async (key: string, succeeds: boolean) => {
      await using reservation = await limiter.reserve(key, 2);
      expect(await left(key)).toBe(3);
      if (!succeeds) throw new Error('the work has failed');
      await reservation.commit(1);
    };
    await expect(work('alice', false)).rejects.toThrow('the work has failed');
    await work('bob', true);
    expect(await left('alice')).toBe(5);
    expect(await left('bob')).toBe(4);
    expect(clock.pending).toBe(0);
  });

  test.each(['cancel', 'commit', 'expiry'] as const)('wakes who waits for its units: %s', async (end) => {
    const { limiter, clock } = limiterOf({ policies: { ...fivePerMinute, window: '1h' } });
    const reservation = await limiter.reserve('alice', 5, { expiresIn: '10s' });
    let granted = false;
    const acquired = limiter.acquire('alice', { cost: 2 }).then(() => {
      granted = true;
    });
    await clock.pass(5_000);
    expect(granted).toBe(false);
    if (end === 'cancel') await reservation.cancel();
    else if (end === 'commit') await reservation.commit(3);
    await clock.pass(end === 'expiry' ? 5_000 : 0);
    await acquired;
    expect(granted).toBe(true);
  });

  test('is shown to the observer when it is made, and when more is charged', async () => {
    const events: DecisionEvent[] = [];
    const { limiter, clock } = limiterOf({ policies: fivePerMinute, onDecision: (event) => events.push(event) });
    await (await limiter.reserve('alice', 2)).cancel();
    await (await limiter.reserve('alice', 2)).commit(1);
    const beyond = await (await limiter.reserve('alice', 2)).commit(9);
    expect(events.map(({ cost }) => cost)).toEqual([2, 2, 2, 7]);
    expect(events.at(-1)).toEqual({ decision: beyond, key: 'alice', cost: 7 });

    const late = await limiter.reserve('bob', 2, { expiresIn: '10s' });
    await clock.pass(10_000);
    await late.commit(1);
    expect(events.slice(4).map(({ cost }) => cost)).toEqual([2, 1]);
  });

  test.each([Number.NaN, -1, 0.5, '2', null])('throws for the cost %s, and stays as it is', async (cost) => {
    const { limiter, left } = limiterOf({ policies: fivePerMinute });
    const bad = cost as number;
    const invalid = expect.objectContaining({ code: 'INVALID_COST' });
    await expect(limiter.reserve('alice', bad)).rejects.toEqual(invalid);
    const reservation = await limiter.reserve('alice', 2);
    await expect(reservation.commit(bad)).rejects.toEqual(invalid);
    await reservation.commit(1);
    expect(await left()).toBe(4);
  });

  test.each<[string, unknown, string]>([
    ['an expiry in words', { expiresIn: 'soon' }, 'INVALID_WINDOW'],
    ['an expiry at once', { expiresIn: 0 }, 'INVALID_WINDOW'],
    ['an expiry of nothing', { expiresIn: null }, 'INVALID_WINDOW'],
    ['an option that does not exist', { ttl: '1m' }, 'UNKNOWN_OPTION'],
    ['a text', '1m', 'INVALID_OPTION'],
  ])('throws for %s, and takes nothing', async (_, options, code) => {
    const { limiter, left } = limiterOf({ policies: fivePerMinute });
    await expect(limiter.reserve('alice', 1, options as object)).rejects.toEqual(expect.objectContaining({ code }));
    expect(await left()).toBe(5);
  });
});

describe('a limiter that is closed', () => {
  test('lets its reservations expire no more, takes none, and settles none; what is cancelled goes back', async () => {
    const clock = new ManualClock();
    const store = asyncStore(new MemoryStore({ clock: { now: () => clock.now(), after: () => () => {} } }));
    const limiter = createLimiter({ policies: fivePerMinute, store, clock });
    const other = createLimiter({ policies: fivePerMinute, store, clock });
    const closed = expect.objectContaining({ code: 'CLOSED' });
    const [first, second] = [await limiter.reserve('alice', 2), await limiter.reserve('alice', 1)];
    const late = limiter.reserve('alice', 1, { expiresIn: '1s' });
    await limiter.close();
    await late;
    expect(clock.pending).toBe(0);
    await expect(limiter.reserve('alice')).rejects.toEqual(closed);
    await expect(first.commit(1)).rejects.toEqual(closed);
    await second.cancel();
    expect((await other.peek('alice', 0)).remaining).toBe(2);
  });
});

describe('a store that fails', () => {
  const broken = new Error('the store is broken');
  const fail = () => {
    throw broken;
  };
  const reject = () => Promise.reject(broken);

  test.each([
    ['throws', fail],
    ['rejects', reject],
  ])('to take units back loses them, and fails no work: it %s', async (_, failing) => {
    const memory = new MemoryStore();
    const store: Store = {
      consume: (charges) => memory.consume(charges),
      peek: (charges) => memory.peek(charges),
      reset: (key, policies) => memory.reset(key, policies),
      release: failing,
    };
    const limiter = createLimiter({ policies: { ...fivePerMinute, window: '366d' }, store });
    await (await limiter.reserve('alice', 2)).cancel();
    expect(await (await limiter.reserve('alice', 2)).commit(1)).toMatchObject({ allowed: true, remaining: 1 });
    await memory.close();
  });

  test.each([
    ['throws', fail],
    ['rejects', reject],
  ])('to charge more is heard of, and what was reserved stays taken: it %s', async (_, failing) => {
    const memory = new MemoryStore();
    let calls = 0;
    const store: Store = {
      consume: (charges) => (calls++ === 0 ? memory.consume(charges) : failing()),
      peek: failing,
      reset: (key, policies) => memory.reset(key, policies),
      release: (refunds) => memory.release(refunds),
    };
    const policies = { ...fivePerMinute, window: '366d' } as const;
    const limiter = createLimiter({ policies, store });
    const reservation = await limiter.reserve('alice', 2);
    await expect(reservation.commit(4)).rejects.toBe(broken);
    await reservation.cancel();
    const other = createLimiter({ policies, store: memory });
    expect((await other.peek('alice')).remaining).toBe(3);
    calls = 0;
    const next = await limiter.reserve('alice', 2);
    // It cannot say what is left now.
    expect(await next.commit(1)).toBe(next.decision);
    expect((await other.peek('alice')).remaining).toBe(2);
    await memory.close();
  });
});
