import { describe, expect, it } from 'vitest';
import { type CompiledPolicy, isPromise, leaseTime } from '../../src/index.ts';
import { compiled, heated, hourly, million, now, window, world } from './support/world.ts';

const granted = (decisions: readonly { allowed: boolean }[]) => decisions.filter(({ allowed }) => allowed).length;

describe('a hot key', () => {
  it('is answered at once from a lease, never with more units than the store has handed out', async () => {
    const { store, ask, heat, left } = world();
    expect(await heat()).toMatchObject({ allowed: true, source: 'store', remaining: 1_000_000 - heated });
    expect(store.asked).toBe(15);
    expect(store.requests).toMatchObject([
      { demand: 1, extra: 0, share: 1, key: 'hot' },
      { demand: 255, extra: 16 },
    ]);
    expect(left()).toBe(1_000_000 - heated - 16);
    for (let i = 1; i <= 8; i++) {
      const expected = { allowed: true, source: 'lease', remaining: 1_000_000 - heated - i, delay: 0, retryAfter: 0 };
      expect(now(ask())).toMatchObject(expected);
    }
    // Half of it is gone: the next one is on its way.
    expect(store.requests[2]).toMatchObject({ demand: 0, extra: 8 });
    for (let i = 0; i < 8; i++) expect(now(ask()).source).toBe('lease');
    expect(isPromise(ask())).toBe(true);
  });

  it('is one that is asked for 16 times within 100 ms', async () => {
    const { clock, store, ask } = world();
    for (let i = 0; i < 15; i++) await ask();
    clock.advance(100);
    for (let i = 0; i < 15; i++) await ask();
    expect(store.requests).toHaveLength(0);
    void ask();
    expect(store.requests).toHaveLength(1);
  });

  it('is told how things stand as time passes', async () => {
    const { clock, ask, heat } = world();
    const { at, resetAfter } = await heat();
    clock.advance(1);
    const decision = now(ask());
    // Counted a hundredth slower than this clock, which may run fast.
    expect(decision.at).toBe(at + 0.99);
    expect(decision.resetAfter).toBe(resetAfter - 1);
    // What is leased refills from the end of its lease.
    expect(resetAfter).toBeCloseTo(1_200.96);
    clock.advance(100);
    expect(now(ask()).resetAfter).toBe(resetAfter - 101);
  });

  it('is leased what it is asked for in a sixteenth of the time of a lease, up to its part of the capacity', async () => {
    const { store, ask, heat } = world({ instances: 4 });
    await heat();
    let asked = heated - 15;
    while (asked < 60_000) {
      let answer = ask();
      for (asked++; !isPromise(answer); asked++) answer = ask();
      while (store.isHolding) await store.answer();
      await answer;
      const { extra } = store.requests.at(-1)!;
      expect(extra).toBeLessThanOrEqual(Math.min(2_500, asked / 16));
    }
    // Half of a lease is left when the next is asked for.
    const most = Math.max(...store.requests.map(({ extra }) => extra));
    expect(most).toBeGreaterThanOrEqual(1_250);
    expect(store.requests.every(({ share }) => share === 4)).toBe(true);
  });

  it('is leased less when it is asked for less, nothing when that is hardly any, and goes without in the end', async () => {
    const { clock, store, crowd, ask, heat } = world();
    await heat();
    const extras: number[] = [];
    for (const count of [3_000, 300, 100, 100]) {
      clock.advance(600);
      const all = crowd(count);
      while (store.isHolding) await store.answer();
      await all;
      extras.push(store.requests.at(-1)!.extra);
    }
    expect(extras[0]).toBeGreaterThan(90);
    expect(extras[1]).toBeGreaterThan(0);
    expect(extras[3]).toBe(0);
    clock.advance(60_000);
    const { length } = store.requests;
    void ask();
    while (store.isHolding) await store.answer();
    const { asked } = store;
    await ask();
    expect(store.asked).toBe(asked + 1);
    expect(store.requests.length).toBeLessThanOrEqual(length + 1);
  });
});

describe('a key that is asked for in bursts', () => {
  it('is leased nothing while they are short, so that nothing ends unspent', async () => {
    const { clock, store, crowd, left } = world();
    // A lease of it lasts a second.
    const hour = compiled({ limit: 100_000, window: '1h', algorithm: 'fixed-window' });
    let asked = 0;
    for (let i = 0; i < 20; i++) {
      const all = crowd(40, hour);
      while (store.isHolding) await store.answer();
      expect(granted(await all)).toBe(40);
      asked += 40;
      expect(left(hour)).toBe(100_000 - asked);
      clock.advance(2_000);
    }
    expect(store.requests.length).toBeGreaterThan(0);
  });

  it('loses a sixteenth of each at the most where they are long', async () => {
    const { clock, store, crowd, left } = world();
    let asked = 0;
    for (let i = 0; i < 10; i++) {
      const all = crowd(2_000, window);
      while (store.isHolding) await store.answer();
      expect(granted(await all)).toBe(2_000);
      asked += 2_000;
      clock.advance(700);
    }
    expect(asked + left(window)).toBeLessThan(100_000);
    expect(asked + left(window)).toBeGreaterThanOrEqual(100_000 - asked / 16);
  });

  it('is not asked for again when it has become so slow that there would be nothing to lease', async () => {
    const { clock, store, ask } = world();
    for (let i = 0; i < 15; i++) await ask();
    await ask(127);
    clock.advance(590);
    void ask();
    await store.answer();
    expect(store.requests).toMatchObject([{ demand: 1, extra: 8 }]);
    clock.advance(590);
    for (let i = 0; i < 8; i++) expect(now(ask()).source).toBe('lease');
    expect(store.requests).toHaveLength(1);
  });
});

describe('a lease', () => {
  it('is over a hundredth before its time, counted from the moment of asking', async () => {
    const { clock, store, ask, warm } = world();
    await warm(hourly);
    void ask(1, hourly);
    clock.advance(50);
    await store.answer();
    clock.advance(939.999);
    expect(now(ask(1, hourly)).source).toBe('lease');
    clock.advance(0.001);
    expect(isPromise(ask(1, hourly))).toBe(true);
  });

  it('that comes when it is over is never handed out, and no other is asked for for a while', async () => {
    const { clock, store, ask, warm, crowd } = world();
    await warm(hourly);
    const first = ask(1, hourly);
    expect(store.requests).toMatchObject([{ demand: 1, extra: 10 }]);
    clock.advance(990);
    const others = crowd(400, hourly);
    await store.answer();
    expect((await first)[0]!.source).toBe('store');
    expect(store.requests.at(-1)).toMatchObject({ demand: 400, extra: 0 });
    await store.answer();
    for (const { source } of await others) expect(source).toBe('store');
    clock.advance(1_000);
    void ask(1, hourly);
    expect(store.requests.at(-1)!.extra).toBeGreaterThan(8);
  });

  it('ends with the window in which its units were taken', async () => {
    const { clock, heat, ask } = world();
    clock.advance(60_000 - ((clock.now() / 1_000) % 60_000) - 100);
    await heat(window);
    clock.advance(98.999);
    expect(now(ask(1, window)).source).toBe('lease');
    clock.advance(0.001);
    expect(isPromise(ask(1, window))).toBe(true);
  });

  it('is for no policy whose units cannot be leased, and for no limit that is too small', () => {
    const policy = { limit: 100_000, window: '1m' } as const;
    const times: readonly (readonly [CompiledPolicy, number])[] = [
      [compiled({ ...policy, algorithm: 'token-bucket' }), 600],
      [compiled({ ...policy, algorithm: 'token-bucket', burst: 10_000 }), 60],
      [compiled({ ...policy, algorithm: 'fixed-window' }), 600],
      [compiled({ ...policy, algorithm: 'fixed-window', anchor: 'first' }), 600],
      [compiled({ ...policy, algorithm: 'sliding-window-counter' }), 600],
      [compiled({ ...policy, window: '1d' }), 1_000],
      [compiled({ ...policy, window: 500 }), 5],
      [compiled({ ...policy, window: 499 }), 0],
      [compiled({ ...policy, limit: 0 }), 0],
      [compiled({ ...policy, algorithm: 'leaky-bucket' }), 0],
      [compiled({ ...policy, algorithm: 'sliding-window-log' }), 0],
      [compiled({ ...policy, countRefused: true }), 0],
      [{ ...compiled(policy), borrowed: true }, 0],
      [{ ...compiled(policy), algorithm: 'penalty' }, 0],
    ];
    for (const [policy, time] of times) expect([policy, leaseTime(policy)]).toEqual([policy, time]);
  });

  it('is not had for a limit of which a process would get less than eight units', async () => {
    for (const [limit, requests] of [
      [3_199, 0],
      [3_200, 1],
    ] as const) {
      const { store, ask } = world({ instances: 4 });
      const policy = compiled({ limit, window: '1m' });
      for (let i = 0; i < 40; i++) void ask(1, policy);
      expect(store.requests).toHaveLength(requests);
    }
  });
});

describe('whoever finds no lease', () => {
  it('waits for the call under way or the next, in which all go together', async () => {
    const { store, ask, crowd } = world();
    for (let i = 0; i < 15; i++) await ask(1, window);
    const first = ask(1, window);
    const others = crowd(200, window);
    expect(store.requests).toMatchObject([{ demand: 1 }]);
    await store.answer();
    // Nothing came with the first call but what it was asked for, and so all others ask together.
    expect(store.requests.slice(1)).toMatchObject([{ demand: 200, extra: 12 }]);
    const more = crowd(20, window);
    await store.answer();
    // What has come with the second is for those who came later, and the rest of them go with the third.
    expect(store.requests.slice(2)).toMatchObject([{ demand: 8 }]);
    await store.answer();
    const answers = [(await first)[0]!, ...(await others), ...(await more)];
    expect(answers.map(({ source }) => source)).toEqual([
      ...Array(201).fill('store'),
      ...Array(12).fill('lease'),
      ...Array(8).fill('store'),
    ]);
    const remaining = answers.map(({ remaining }) => remaining);
    expect(remaining).toEqual(Array.from({ length: 221 }, (_, i) => 100_000 - 16 - i));
  });

  it('is refused exactly when nothing is left, and one call answers all who wait', async () => {
    const { shared, store, crowd, charge, ask, left } = world();
    for (let i = 0; i < 15; i++) await ask(1, window);
    shared.consume([charge(left(window) - 30, window)]);
    const first = crowd(1, window);
    const others = crowd(100, window);
    await store.answer();
    await store.answer();
    const decisions = [...(await first), ...(await others)];
    expect(granted(decisions)).toBe(30);
    expect(left(window)).toBe(0);
    const refused = decisions.filter(({ allowed }) => !allowed);
    expect(refused).toHaveLength(71);
    const [exact] = shared.consume([charge(1, window)]);
    for (const decision of refused) expect(decision).toEqual(exact);
    expect(store.asked).toBe(15);
  });

  it('is asked for by itself when it wants several units', async () => {
    const { store, heat, ask, left } = world();
    await heat();
    const remaining = left() - 17;
    expect((await ask(17))[0]).toMatchObject({ allowed: true, source: 'store', remaining });
    expect(store.requests.at(-1)).toMatchObject({ demand: 0, extra: 1 });
    await store.answer();
    expect(now(ask(17)).source).toBe('lease');
    // More than a lease would have: it is no matter of leases.
    const { length } = store.requests;
    await ask(1_000);
    expect(store.requests).toHaveLength(length);
  });

  it('may look, and sees what it would be told', async () => {
    const { leases, store, heat, charge, ask } = world();
    await heat();
    const seen = leases.peek([charge(1)]);
    expect(now(seen)).toMatchObject({ source: 'lease', allowed: true, remaining: 1_000_000 - heated });
    expect(now(ask(0))).toMatchObject({ source: 'lease', remaining: 1_000_000 - heated });
    expect((await leases.peek([charge(17)]))[0]!.source).toBe('store');
    expect(store.asked).toBe(16);
  });
});

describe('several charges', () => {
  const second = { ...window, name: 'second', id: 'fixed-window:second' };

  it('are answered from leases if there are enough units of all, and else by the store, all or none', async () => {
    const { leases, store, charge, shared, left } = world();
    const both = () => leases.consume([charge(1), charge(1, second)]);
    let asked = 0;
    while (!store.isHolding && asked < 1_000) {
      await both();
      asked++;
    }
    expect(store.requests).toMatchObject([
      { demand: 0, extra: 8 },
      { demand: 0, extra: 8 },
    ]);
    await store.answer();
    const answer = both();
    expect(isPromise(answer)).toBe(false);
    expect(await answer).toMatchObject([
      { source: 'lease', remaining: 1_000_000 - asked - 1 },
      { source: 'lease', remaining: 100_000 - asked - 1 },
    ]);
    // One of them has too little: neither lease is touched.
    const many = await leases.consume([charge(1), charge(50, second)]);
    expect(many).toMatchObject([{ source: 'store' }, { source: 'store' }]);
    expect(now(leases.peek([charge(1)])).remaining).toBe(1_000_000 - asked - 1);
    shared.consume([charge(left(second) - 49, second)]);
    const refused = await leases.consume([charge(1), charge(50, second)]);
    expect(refused.map(({ allowed }) => allowed)).toEqual([true, false]);
    expect(now(leases.peek([charge(1)])).remaining).toBe(1_000_000 - asked - 1);
  });

  it('count for the leases of all, also where only one has too few units', async () => {
    const { leases, store, charge, ask, heat } = world();
    await heat();
    for (let i = 0; i < 160; i++) await leases.consume([charge(1), charge(50, second)]);
    for (let i = 0; i < 8; i++) now(ask());
    // A sixteenth of the 424 that were asked for, of which 8 are there.
    const { extra } = store.requests.findLast(({ policy }) => policy === million)!;
    expect(extra).toBe(26 - 8);
  });

  it('of which one cannot be leased are the store’s', async () => {
    const { leases, store, charge } = world();
    const log = compiled({ limit: 100_000, window: '1m', algorithm: 'sliding-window-log' });
    for (let i = 0; i < 40; i++) await leases.consume([charge(1), charge(1, log)]);
    expect(store.asked).toBe(40);
    expect(store.requests).toHaveLength(0);
  });
});

describe('a reset', () => {
  it('forgets the lease of this process, and one that is under way', async () => {
    const { leases, store, heat, ask } = world();
    await heat();
    for (let i = 0; i < 8; i++) await ask();
    await leases.reset('hot', [million]);
    await store.answer();
    expect(isPromise(ask())).toBe(true);
    expect(store.asked).toBe(16);
  });

  it('grants no unit twice that is leased of a bucket', async () => {
    const { clock, shared, charge, heat, left } = world();
    await heat();
    expect(left()).toBe(1_000_000 - heated - 16);
    shared.reset('hot', [million]);
    expect(left()).toBe(1_000_000 - 16);
    clock.advance(1_199.999);
    expect(left()).toBe(1_000_000 - 16);
    clock.advance(1);
    expect(left()).toBe(1_000_000);
    expect(shared.peek([charge(1)])[0]!.resetAfter).toBe(0);
  });
});
