import { ManualClock } from '@sluice/testing';
import { describe, expect, it } from 'vitest';
import { stateOf } from '../../src/charge.ts';
import {
  type Charge,
  type CompiledPolicy,
  compilePenalty,
  compilePolicies,
  type Decision,
  Outage,
  type OutageOptions,
  SluiceError,
  type Store,
  type SyncStore,
} from '../../src/index.ts';
import { Repair } from '../../src/resilience/repair.ts';
import { asyncStore } from '../limiter/async-store.ts';
import { FlakyStore } from './flaky-store.ts';

const names = ['fixed-window', 'sliding-window-log', 'sliding-window-counter', 'token-bucket', 'leaky-bucket'] as const;

function policyOf(algorithm: (typeof names)[number] = 'fixed-window'): CompiledPolicy {
  return compilePolicies([{ algorithm, limit: 12, window: '1m' }], 'policies')[0]!;
}

const minute = policyOf();

function alice(policy = minute, cost = 1): Charge {
  return { policy, key: 'alice', cost };
}

function setUp(options: Partial<OutageOptions> = {}) {
  const clock = new ManualClock();
  const shared = new FlakyStore(clock);
  const outage = new Outage(shared, { clock, report: () => {}, ...options });
  return { clock, shared, outage, store: outage.answering('fallback') as SyncStore };
}

function left([decision]: readonly Decision[]): number {
  return decision!.remaining;
}

describe.each(names)('a store that lost its counts of a %s', (name) => {
  const policy = policyOf(name);

  it('continues from what is known', () => {
    const { shared, outage, store } = setUp();
    store.consume([alice(policy, 5)]);
    shared.lose();
    outage.suspect();
    expect(left(store.consume([alice(policy)]))).toBe(6);
    expect(left(shared.peek([alice(policy, 0)]))).toBe(6);
  });

  it('continues from the larger of what several processes know', () => {
    const { clock, shared, outage, store } = setUp();
    const other = new Outage(shared, { clock, report: () => {} });
    const second = other.answering('fallback') as SyncStore;
    store.consume([alice(policy, 2)]);
    second.consume([alice(policy, 5)]);
    shared.lose();
    outage.suspect();
    other.suspect();
    expect(left(store.peek([alice(policy, 0)]))).toBe(10);
    expect(left(second.peek([alice(policy, 0)]))).toBe(5);
    expect(left(store.peek([alice(policy, 0)]))).toBe(5);
  });

  it('continues from what was granted without it, as all processes may have', () => {
    const { shared, store } = setUp({ instances: 3 });
    store.consume([alice(policy, 3)]);
    shared.down = true;
    store.consume([alice(policy, 2)]);
    shared.lose();
    shared.down = false;
    expect(left(store.peek([alice(policy, 0)]))).toBe(3);
  });

  it('gives back in time what was put in again', () => {
    const { clock, shared, outage, store } = setUp();
    const [granted] = store.consume([alice(policy, 12)]);
    shared.lose();
    outage.suspect();
    store.peek([alice(policy)]);
    clock.advance(granted!.resetAfter);
    expect(left(store.peek([alice(policy, 0)]))).toBe(12);
  });
});

describe('what is known', () => {
  it('is told once of each key, and of no other key', () => {
    const { shared, outage, store } = setUp();
    store.consume([alice()]);
    store.consume([{ ...alice(), key: 'bob' }]);
    outage.suspect();
    for (let i = 0; i < 3; i++) store.consume([alice()]);
    expect(shared.told).toMatchObject([[{ key: 'alice', remaining: 11, resetAfter: 60_000 }]]);
    store.consume([{ ...alice(), key: 'carol' }]);
    store.peek([{ ...alice(), key: 'bob' }]);
    expect(shared.told).toHaveLength(2);
  });

  it('is told anew after each failure', () => {
    const { shared, store } = setUp();
    for (let i = 1; i <= 3; i++) {
      store.consume([alice()]);
      shared.down = true;
      store.peek([alice()]);
      shared.down = false;
      store.consume([alice()]);
      expect(shared.told).toHaveLength(i);
    }
  });

  it('is told until it has become fresh', () => {
    const { clock, shared, outage, store } = setUp();
    store.consume([alice()]);
    outage.suspect();
    clock.advance(60_000);
    store.consume([alice()]);
    store.consume([alice()]);
    expect(shared.told).toEqual([]);
  });

  it('is not told for a store that only was too slow, but of a key that was granted units meanwhile', () => {
    const { shared, store } = setUp();
    store.consume([alice()]);
    store.consume([{ ...alice(), key: 'bob' }]);
    shared.error = new SluiceError('STORE_TIMEOUT', 'too slow');
    shared.down = true;
    store.consume([alice()]);
    shared.down = false;
    store.consume([alice()]);
    store.consume([{ ...alice(), key: 'bob' }]);
    expect(shared.told).toMatchObject([[{ key: 'alice', remaining: 10 }]]);
  });

  it('is told after the failures that the owner names', () => {
    const { shared, store } = setUp({ losesCounts: (error) => (error as Error).message === 'restarted' });
    store.consume([alice()]);
    shared.down = true;
    store.peek([alice()]);
    shared.down = false;
    store.consume([alice()]);
    expect(shared.told).toEqual([]);
    shared.error = new Error('restarted');
    shared.down = true;
    store.peek([alice()]);
    shared.down = false;
    store.consume([alice()]);
    expect(shared.told).toHaveLength(1);
  });

  it('includes no penalties', () => {
    const { ban } = compilePenalty({ banAfter: 2 }, 'penalty', 'test');
    const { shared, outage, store } = setUp();
    store.consume([alice(ban)]);
    store.consume([alice()]);
    outage.suspect();
    store.consume([alice(ban, 0), alice()]);
    expect(shared.told).toMatchObject([[{ policy: minute }]]);
  });

  it('is forgotten by a reset', () => {
    const { shared, outage, store } = setUp();
    store.consume([alice(minute, 12)]);
    outage.suspect();
    store.reset('alice', [minute]);
    expect(store.consume([alice()])).toMatchObject([{ allowed: true, remaining: 11 }]);
    expect(shared.told).toEqual([]);
  });

  it('is not told to a store that cannot be told', () => {
    const { clock, shared } = setUp();
    const plain = asPlain(shared);
    const outage = new Outage(plain, { clock, report: () => {} });
    const store = outage.answering('fallback') as SyncStore;
    store.consume([alice(minute, 5)]);
    shared.lose();
    outage.suspect();
    expect(left(store.consume([alice()]) as readonly Decision[])).toBe(11);
  });
});

describe('a repair', () => {
  it('is over when all that was known is fresh', () => {
    const repair = new Repair();
    repair.suspect(0, 100);
    expect(repair.isDue('alice', 99)).toBe(true);
    expect(repair.isIdle).toBe(false);
    expect(repair.isDue('alice', 100)).toBe(false);
    expect(repair.isIdle).toBe(true);
  });

  it('is given up after 100,000 keys, but for those that were granted units', () => {
    const repair = new Repair();
    repair.suspect(0, 100);
    repair.owe(alice());
    for (let i = 0; i <= 100_000; i++) repair.told(`user:${i}`);
    expect(repair.isDue('bob', 0)).toBe(false);
    expect(repair.isDue(stateOf(alice()), 0)).toBe(true);
    repair.told(stateOf(alice()));
    expect(repair.isIdle).toBe(true);
  });

  it('remembers 100,000 keys that were granted units at the most', () => {
    const repair = new Repair();
    for (let i = 0; i <= 100_000; i++) repair.owe({ policy: minute, key: `user:${i}` });
    expect(repair.isDue(stateOf({ policy: minute, key: 'user:0' }), 0)).toBe(false);
    expect(repair.isDue(stateOf({ policy: minute, key: 'user:1' }), 0)).toBe(true);
  });
});

describe('when the store answers again', () => {
  /** Lets what runs in the background come to its end. */
  const settled = () => new Promise((resolve) => setImmediate(resolve));

  it('it is told of every key that was granted units without it, not only of the one that is asked for', async () => {
    const { shared, store } = setUp({ instances: 2 });
    shared.down = true;
    for (let i = 0; i < 120; i++) store.consume([{ policy: minute, key: `user:${i}`, cost: 3 }]);
    shared.down = false;
    store.consume([alice()]);
    await settled();
    for (let i = 0; i < 120; i++) expect(left(shared.peek([{ policy: minute, key: `user:${i}`, cost: 0 }]))).toBe(6);
  });

  it('what it could not be told of is told with an answer of a second later', async () => {
    const { clock, shared, store } = setUp();
    shared.down = true;
    for (let i = 0; i < 120; i++) store.consume([{ policy: minute, key: `user:${i}`, cost: 3 }]);
    shared.down = false;
    store.consume([alice()]);
    shared.down = true;
    await settled();
    shared.down = false;
    clock.advance(999);
    store.consume([alice()]);
    await settled();
    // Some were told before it failed again.
    expect(shared.told.flat().filter(({ key }) => key !== 'alice')).toHaveLength(50);
    clock.advance(1);
    store.consume([alice()]);
    await settled();
    for (let i = 0; i < 120; i++) expect(left(shared.peek([{ policy: minute, key: `user:${i}`, cost: 0 }]))).toBe(9);
  });

  it('one key that it cannot be told of keeps no other from it', async () => {
    const { shared, store } = setUp();
    shared.down = true;
    for (let i = 0; i < 120; i++) store.consume([{ policy: minute, key: `user:${i}`, cost: 3 }]);
    shared.down = false;
    const { lower } = shared;
    shared.lower = (known) => {
      if (known.some(({ key }) => key === 'user:0')) throw new Error('no state of a limit');
      lower.call(shared, known);
    };
    store.consume([alice()]);
    await settled();
    for (let i = 1; i < 120; i++) expect(left(shared.peek([{ policy: minute, key: `user:${i}`, cost: 0 }]))).toBe(9);
  });

  it('it is told of a key once, however long another part of it is down', () => {
    const { shared, store } = setUp();
    const { consume } = shared;
    const down = new SluiceError('STORE_UNAVAILABLE', 'that part is down');
    shared.consume = (charges) => {
      if (charges.some(({ key }) => key.startsWith('user:'))) throw down;
      return consume.call(shared, charges);
    };
    store.consume([alice()]);
    for (let i = 0; i < 20; i++) {
      store.consume([{ policy: minute, key: `user:${i}`, cost: 1 }]);
      store.consume([{ ...alice(), cost: 0 }]);
    }
    expect(shared.told.flat().filter(({ key }) => key === 'alice')).toHaveLength(1);
  });

  it('keys that cannot be told now are not looked through with every answer', async () => {
    const { clock, shared, store } = setUp();
    shared.down = true;
    for (let i = 0; i < 60; i++) store.consume([{ policy: minute, key: `user:${i}`, cost: 3 }]);
    shared.down = false;
    let looks = 0;
    const within = (charges: readonly { readonly key: string }[]) => {
      if (charges[0]!.key.startsWith('user:')) looks++;
      return !charges[0]!.key.startsWith('user:');
    };
    Object.assign(shared, { isReachable: within });
    for (let i = 0; i < 10; i++) {
      store.consume([alice(minute, 0)]);
      await settled();
    }
    expect(looks).toBe(60);
    clock.advance(1_000);
    store.consume([alice(minute, 0)]);
    expect(looks).toBe(120);
  });

  it('a store that throws when it is asked whether it can be reached is one that fails', async () => {
    const { shared, store } = setUp();
    shared.down = true;
    store.consume([alice()]);
    shared.down = false;
    Object.assign(shared, {
      isReachable: () => {
        throw new Error('nobody knows');
      },
    });
    expect(store.consume([alice()])).toMatchObject([{ source: 'fallback', remaining: 10 }]);
    expect(store.peek([alice()])).toMatchObject([{ source: 'store' }]);
    await settled();
  });

  it('nothing is owed of a key whose state it could not use', () => {
    const { shared, store } = setUp();
    shared.error = new SluiceError('UNUSABLE_STATE', 'no state of a limit');
    shared.down = true;
    store.consume([alice()]);
    shared.down = false;
    store.consume([alice()]);
    expect(shared.told).toEqual([]);
  });
});

it.each(names)('a memory store is told nothing of a %s by what is fresh again by now', (name) => {
  const { clock, shared } = setUp();
  shared.lower([
    { policy: policyOf(name), key: 'alice', remaining: 0, resetAfter: 60_000, at: clock.now() / 1_000 - 60_000 },
  ]);
  expect(shared.size).toBe(0);
});

describe('a store that answers later', () => {
  function later() {
    const { clock, shared } = setUp();
    const calls: string[] = [];
    const inner = asyncStore(shared);
    const gates: (() => void)[] = [];
    const slow: Store = {
      ...inner,
      consume: async (charges) => {
        calls.push('consume');
        const answer = shared.consume(charges);
        if (gated) await new Promise<void>((resolve) => gates.push(resolve));
        return answer;
      },
      lower: async (known) => {
        calls.push('lower');
        shared.lower(known);
        if (fails) throw new Error('not told');
      },
    };
    let gated = false;
    let fails = false;
    const outage = new Outage(slow, { clock, report: () => {} });
    return {
      shared,
      calls,
      outage,
      store: outage.answering('fallback'),
      hold: () => {
        gated = true;
      },
      letGo: () => {
        gated = false;
        for (const go of gates.splice(0)) go();
      },
      failToTell: (now: boolean) => {
        fails = now;
      },
    };
  }

  it('is asked right behind being told, without waiting', async () => {
    const { shared, calls, outage, store } = later();
    await store.consume([alice(minute, 5)]);
    shared.lose();
    outage.suspect();
    calls.length = 0;
    const answer = store.consume([alice()]);
    expect(calls).toEqual(['lower', 'consume']);
    expect(left(await answer)).toBe(6);
  });

  it('fails where it cannot be told, and is told by the next call', async () => {
    const { shared, calls, outage, store, failToTell } = later();
    await store.consume([alice(minute, 5)]);
    shared.lose();
    outage.suspect();
    failToTell(true);
    expect(await store.consume([alice()])).toMatchObject([{ source: 'fallback', remaining: 6 }]);
    failToTell(false);
    calls.length = 0;
    expect(await store.consume([alice()])).toMatchObject([{ source: 'store', remaining: 5 }]);
    expect(calls).toEqual(['lower', 'consume']);
  });

  it('does not make what is known forgotten by an answer from before', async () => {
    const { shared, outage, store, hold, letGo } = later();
    await store.consume([alice(minute, 5)]);
    shared.lose();
    hold();
    const early = store.consume([alice()]);
    outage.suspect();
    letGo();
    expect(left(await early)).toBe(11);
    expect(left(await store.consume([alice()]))).toBe(5);
  });
});

/** The same store, without what it can do beyond what a store must. */
function asPlain(store: FlakyStore): SyncStore {
  return {
    sync: true,
    consume: (charges) => store.consume(charges),
    peek: (charges) => store.peek(charges),
    release: (refunds) => store.release(refunds),
    reset: (key, policies) => store.reset(key, policies),
  };
}
