import { describe, expect, it } from 'vitest';
import { type Charge, type Decision, isPromise, Leases, type LeasesOptions, MemoryStore } from '../../src/index.ts';
import { HeldStore } from './support/held-store.ts';
import { LendingStore } from './support/lending-store.ts';
import { hourly, million, now, world } from './support/world.ts';

const lost = new Error('lost');

/** Answers in place of the store, and notes for what. */
function substitute() {
  const errors: unknown[] = [];
  const instead = (charges: readonly Charge[], error: unknown): readonly Decision[] => {
    errors.push(error);
    return charges.map(({ policy: { name, limit } }) => {
      const times = { resetAfter: 0, retryAfter: 0, delay: 0, at: 0 };
      return { allowed: true, policy: name, limit, remaining: 0, source: 'open', ...times };
    });
  };
  return { errors, instead };
}

describe('a call for a lease that fails', () => {
  it('is answered for at once, for all who wait, and the key goes without leases for a second', async () => {
    const { errors, instead } = substitute();
    const { clock, store, ask, crowd } = world({ instead });
    for (let i = 0; i < 15; i++) await ask();
    const all = crowd(500);
    await store.fail(lost);
    for (const { source } of await all) expect(source).toBe('open');
    expect(errors).toEqual(Array(500).fill(lost));
    clock.advance(999.999);
    expect(await ask()).toMatchObject([{ source: 'store' }]);
    expect(store.requests).toHaveLength(1);
    clock.advance(0.001);
    void ask();
    expect(store.requests).toHaveLength(2);
  });

  it('takes nothing from a lease that is live, and is made for nobody again until that is used up', async () => {
    const { store, heat, ask } = world();
    await heat();
    for (let i = 0; i < 8; i++) now(ask());
    expect(store.requests).toHaveLength(3);
    await store.fail(lost);
    for (let i = 0; i < 8; i++) expect(now(ask()).source).toBe('lease');
    expect(await ask()).toMatchObject([{ source: 'store' }]);
    expect(store.requests).toHaveLength(3);
  });

  it('has the store asked instead, where nothing else answers', async () => {
    const { store, ask } = world();
    for (let i = 0; i < 15; i++) await ask();
    const answer = ask();
    await store.fail(lost);
    expect(await answer).toMatchObject([{ source: 'store', remaining: 1_000_000 - 17 }]);
  });

  it('fails those who wait as whoever answers does', async () => {
    const instead = () => {
      throw lost;
    };
    const { store, ask } = world({ instead });
    for (let i = 0; i < 15; i++) await ask();
    const both = Promise.allSettled([ask(), ask()]);
    await store.fail(lost);
    expect(await both).toEqual(Array(2).fill({ status: 'rejected', reason: lost }));
  });

  it('may do so at once, or with what is no answer', async () => {
    for (const lease of [
      () => {
        throw lost;
      },
      () => undefined,
      () => ({ units: -1, lasts: 0, decision: { allowed: true } }),
      () => ({ units: Number.NaN, lasts: 0, decision: { allowed: true } }),
      () => ({ units: 17, lasts: 1_000, decision: undefined }),
      async () => ({ units: 1, lasts: Number.NaN, decision: { allowed: true } }),
    ]) {
      const { errors, instead } = substitute();
      const { ask, clock, store } = world({ instead });
      const options = { lessor: { lease: lease as never }, instances: 1, clock, instead };
      const leases = new Leases(store, options);
      for (let i = 0; i < 15; i++) await leases.consume([{ policy: million, key: 'hot', cost: 1 }]);
      expect(await leases.consume([{ policy: million, key: 'hot', cost: 1 }])).toMatchObject([{ source: 'open' }]);
      expect(errors).toHaveLength(1);
      expect(await ask()).toMatchObject([{ source: 'store' }]);
    }
  });

  it('answers nobody late who has waited for another call before', async () => {
    const { errors, instead } = substitute();
    const { clock, store, ask } = world({ instead, deadline: '50ms' });
    for (let i = 0; i < 15; i++) await ask();
    const sources: string[] = [];
    const note = async (answer: ReturnType<typeof ask>) => sources.push((await answer)[0]!.source);
    void note(ask());
    await clock.pass(10);
    for (let i = 0; i < 20; i++) void note(ask());
    await clock.pass(5);
    for (let i = 0; i < 5; i++) void note(ask());
    await clock.pass(25);
    await store.answer();
    expect(sources).toEqual(['store']);
    expect(store.requests.at(-1)).toMatchObject({ demand: 25 });
    await clock.pass(19.999);
    expect(sources).toHaveLength(1);
    await clock.pass(0.001);
    expect(sources.slice(1)).toEqual(Array(20).fill('open'));
    expect(errors).toMatchObject(Array(20).fill({ code: 'STORE_TIMEOUT' }));
    await clock.pass(4.999);
    expect(sources).toHaveLength(21);
    await store.answer();
    expect(sources.slice(21)).toEqual(Array(5).fill('store'));
    expect(clock.pending).toBe(0);
  });
});

describe('several stores over the same leases', () => {
  it('hand out the same units, and each answers in its own way for a call that fails', async () => {
    const { leases, store, charge, heat, ask } = world();
    const { errors, instead } = substitute();
    const other = leases.over(store, instead);
    await heat();
    for (let i = 0; i < 8; i++) {
      expect(now(other.consume([charge()])).source).toBe('lease');
      expect(now(ask()).source).toBe('lease');
    }
    const [mine, theirs] = [ask(), other.consume([charge()])];
    await store.fail(lost);
    expect(await mine).toMatchObject([{ source: 'store' }]);
    expect(await theirs).toMatchObject([{ source: 'open' }]);
    expect(errors).toEqual([lost]);
  });
});

describe('leases', () => {
  it('are kept of 10,000 keys at the most, and those that are used up are forgotten first', async () => {
    const { clock, leases, store, charge, warm } = world();
    const heat = async (key: string) => {
      await warm(hourly, key);
      void leases.consume([charge(1, hourly, key)]);
    };
    for (let i = 0; i < 10_000; i++) await heat(`user:${i}`);
    await store.answer();
    expect(store.requests).toHaveLength(10_000);
    await heat('one more');
    expect(store.requests).toHaveLength(10_000);
    clock.advance(1_000);
    await heat('another');
    expect(store.requests).toHaveLength(10_001);
  });

  it('are no longer handed out once they are closed', async () => {
    const { leases, store, heat, ask } = world();
    await heat();
    await leases.close();
    for (let i = 0; i < 40; i++) expect(isPromise(ask())).toBe(true);
    expect(store.requests).toHaveLength(2);
  });

  it.each<[string, object, RegExp]>([
    ['lessor', { lessor: new MemoryStore() }, /'lessor' must be a store with a method lease\(\)/],
    ['lessor', { lessor: undefined }, /'lessor' must be a store/],
    ['instances', { instances: undefined }, /'instances' must be how many processes share the store .* got undefined/],
    ['instances', { instances: 0 }, /an integer from 1/],
    ['instances', { instances: 1.5 }, /an integer from 1/],
    ['share', { share: 0 }, /'share' is how large a part .* above 0, and 0.1 at the most, .* got 0/],
    ['share', { share: 0.11 }, /got 0.11/],
    ['share', { share: Number.NaN }, /got NaN/],
    ['share', { share: '0.01' }, /got "0.01"/],
    ['clock', { clock: {} }, /'clock' needs the methods/],
    ['deadline', { deadline: 0 }, /'deadline' must be whole milliseconds/],
    ['instead', { instead: 'allow' }, /"instead" must be a function/],
    ['an unknown option', { shares: 0.01 }, /no option "shares". Did you mean "share"\?/],
  ])('refuse a bad %s', (_name, wrong, message) => {
    const store = new HeldStore(new LendingStore({ now: () => 0 }));
    const options = { lessor: store, instances: 1, ...wrong } as LeasesOptions;
    expect(() => new Leases(store, options)).toThrowError(message);
  });
});
