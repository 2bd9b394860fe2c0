import { ManualClock } from '@sluice/testing';
import { describe, expect, it } from 'vitest';
import {
  type Charge,
  type CompiledPolicy,
  compilePenalty,
  compilePolicies,
  type Decision,
  DenyCache,
  type DenyCacheOptions,
  type MaybePromise,
  MemoryStore,
  type PolicyInput,
  type Store,
  withStoreErrors,
} from '../../src/index.ts';

const compiled = (input: PolicyInput) => compilePolicies([input], 'test')[0]!;
const hourly = compiled({ algorithm: 'fixed-window', limit: 2, window: '1h' });
const bucket = compiled({ algorithm: 'token-bucket', limit: 10, window: '10s' });
const start = Date.UTC(2026, 0, 1);

function chargeOf(policy: CompiledPolicy, cost = 1, key = 'alice'): Charge {
  return { policy, key, cost };
}

/** A store that counts how often it is asked, with a deny cache around it. */
function setUp(options: DenyCacheOptions = {}) {
  const clock = new ManualClock(start);
  const memory = new MemoryStore({ clock });
  let asked = 0;
  const store: Store = {
    consume(charges) {
      asked++;
      return memory.consume(charges);
    },
    peek: (charges) => memory.peek(charges),
    release: (refunds) => memory.release(refunds),
    reset: (key, policies) => memory.reset(key, policies),
  };
  const cache = new DenyCache(store, { clock, recheck: '1h', ...options });
  return {
    clock,
    memory,
    cache,
    /** What the cache answers, and how often it has asked the store for that. */
    ask(...charges: readonly Charge[]): { answer: readonly Decision[]; asked: number } {
      asked = 0;
      return { answer: cache.consume(charges) as readonly Decision[], asked };
    },
  };
}

/** Takes so much that the next unit is refused. */
function exhaust({ memory }: { memory: MemoryStore }, policy: CompiledPolicy, key = 'alice'): void {
  memory.consume([chargeOf(policy, policy.capacity, key)]);
}

describe('a refusal', () => {
  it('is repeated without asking the store, counted down, until its time has come', () => {
    const set = setUp();
    exhaust(set, hourly);
    expect(set.ask(chargeOf(hourly))).toMatchObject({ asked: 1, answer: [{ allowed: false, source: 'store' }] });
    set.clock.advance(1_500.25);
    const repeated: Decision = {
      allowed: false,
      policy: 'default',
      limit: 2,
      remaining: 0,
      resetAfter: 3_598_499.75,
      retryAfter: 3_598_499.75,
      delay: 0,
      at: start + 1_500.25,
      source: 'deny-cache',
    };
    expect(set.ask(chargeOf(hourly))).toEqual({ asked: 0, answer: [repeated] });
    set.clock.advance(3_598_499.749);
    expect(set.ask(chargeOf(hourly))).toMatchObject({ asked: 0, answer: [{ retryAfter: 0.001 }] });
    set.clock.advance(0.001);
    expect(set.ask(chargeOf(hourly))).toMatchObject({ asked: 1, answer: [{ allowed: true, source: 'store' }] });
  });

  it('answers costs that are no less; for less, or for more than the policy ever holds, the store is asked', () => {
    const set = setUp();
    set.ask(chargeOf(bucket, 7));
    expect(set.ask(chargeOf(bucket, 5))).toMatchObject({ asked: 1, answer: [{ allowed: false, retryAfter: 2_000 }] });
    expect(set.ask(chargeOf(bucket, 6))).toMatchObject({ asked: 0, answer: [{ allowed: false, retryAfter: 2_000 }] });
    expect(set.ask(chargeOf(bucket, 4))).toMatchObject({ asked: 1, answer: [{ allowed: false, retryAfter: 1_000 }] });
    expect(set.ask(chargeOf(bucket, 6))).toMatchObject({ asked: 0, answer: [{ retryAfter: 2_000 }] });
    const never = { allowed: false, retryAfter: Number.POSITIVE_INFINITY };
    expect(set.ask(chargeOf(bucket, 11))).toMatchObject({ asked: 1, answer: [never] });
    expect(set.ask(chargeOf(bucket, 11))).toMatchObject({ asked: 0, answer: [never] });
    expect(set.ask(chargeOf(bucket, 3))).toMatchObject({ asked: 1, answer: [{ allowed: true }] });
  });

  it('holds for its key and its policy alone', () => {
    const set = setUp();
    exhaust(set, hourly);
    set.ask(chargeOf(hourly));
    expect(set.ask(chargeOf(hourly, 1, 'bob'))).toMatchObject({ asked: 1, answer: [{ allowed: true }] });
    expect(set.ask(chargeOf(bucket))).toMatchObject({ asked: 1, answer: [{ allowed: true }] });
    const raised = compiled({ algorithm: 'fixed-window', limit: 3, window: '1h' });
    expect(set.ask(chargeOf(raised))).toMatchObject({ asked: 1, answer: [{ allowed: true }] });
    expect(set.ask(chargeOf(hourly)).asked).toBe(0);
  });

  it('never speaks for a look at the key', () => {
    const set = setUp();
    exhaust(set, hourly);
    set.ask(chargeOf(hourly));
    expect(set.cache.peek([chargeOf(hourly)])).toMatchObject([{ allowed: false, source: 'store' }]);
  });

  it('is not changed by a list of charges that is used again', () => {
    const set = setUp();
    exhaust(set, hourly);
    const charge = { policy: hourly, key: 'alice', cost: 1 };
    set.ask(charge);
    charge.key = 'bob';
    expect(set.ask(charge)).toMatchObject({ asked: 1, answer: [{ allowed: true }] });
    expect(set.ask(chargeOf(hourly)).asked).toBe(0);
  });

  it('is void when the clock is set back', () => {
    const set = setUp();
    exhaust(set, bucket);
    set.ask(chargeOf(bucket));
    set.clock.jump(-0.001);
    expect(set.ask(chargeOf(bucket)).asked).toBe(1);
  });
});

describe('a refusal by several policies', () => {
  const lines = [chargeOf(bucket), chargeOf(hourly), chargeOf(compiled('9/1m'), 1, 'network')];

  it('is repeated whole, and lasts as long as the one that refuses the longest', () => {
    const set = setUp();
    exhaust(set, bucket);
    exhaust(set, hourly);
    const { answer } = set.ask(...lines);
    expect(answer).toMatchObject([
      { allowed: false, retryAfter: 1_000 },
      { allowed: false, retryAfter: 3_600_000 },
      { allowed: true, remaining: 9 },
    ]);
    set.clock.advance(400);
    const repeat = set.ask(...lines);
    expect(repeat.asked).toBe(0);
    expect(repeat.answer).toMatchObject([
      { allowed: false, policy: 'default', limit: 10, retryAfter: 600, resetAfter: 9_600 },
      { allowed: false, limit: 2, retryAfter: 3_599_600 },
      { allowed: true, limit: 9, remaining: 9, resetAfter: 0 },
    ]);
    set.clock.advance(600);
    expect(set.ask(...lines)).toMatchObject({
      asked: 0,
      answer: [{ allowed: true, remaining: 1, retryAfter: 0 }, { allowed: false }, { allowed: true }],
    });
  });

  it('answers the same list alone: neither a part, nor another order, nor another key', () => {
    const set = setUp();
    exhaust(set, hourly);
    set.ask(...lines);
    expect(set.ask(...lines).asked).toBe(0);
    const others = [lines.slice(0, 2), [...lines].reverse(), [lines[0]!, lines[1]!, { ...lines[2]!, key: 'other' }]];
    for (const other of others) expect(set.ask(...other)).toMatchObject({ asked: 1 });
  });

  it('is found by the key that refuses, wherever it stands', () => {
    const set = setUp();
    exhaust(set, hourly, 'network');
    const list = [chargeOf(bucket), chargeOf(hourly, 1, 'network')];
    set.ask(...list);
    expect(set.ask(...list)).toMatchObject({ asked: 0, answer: [{ allowed: true }, { allowed: false }] });
    set.cache.release([chargeOf(bucket)]);
    expect(set.ask(...list).asked).toBe(0);
    set.cache.release([chargeOf(hourly, 1, 'network')]);
    expect(set.ask(...list)).toMatchObject({ asked: 1, answer: [{ allowed: true }, { allowed: true }] });
  });
});

describe('what is not remembered', () => {
  it('is a refusal that takes units', () => {
    const set = setUp();
    const counting = compiled({ algorithm: 'fixed-window', limit: 2, window: '1h', countRefused: true });
    exhaust(set, counting);
    for (let i = 0; i < 2; i++) expect(set.ask(chargeOf(counting), chargeOf(bucket)).asked).toBe(1);
  });

  it('is a place that is borrowed', () => {
    const set = setUp();
    const places: CompiledPolicy = { ...hourly, borrowed: true };
    exhaust(set, places);
    exhaust(set, bucket);
    for (let i = 0; i < 2; i++) expect(set.ask(chargeOf(places), chargeOf(bucket)).asked).toBe(1);
  });

  it('is a breach, whatever the key was refused before, and what a limit refuses that may have one', () => {
    const set = setUp();
    const { block } = compilePenalty({ blockFor: '1m' }, 'test', 'test');
    const request = [chargeOf(block!, 0), chargeOf(bucket)];
    exhaust(set, bucket);
    for (let i = 0; i < 2; i++) expect(set.ask(...request).asked).toBe(1);
    expect(set.ask(chargeOf(block!))).toMatchObject({ asked: 1, answer: [{ allowed: false }] });
    expect(set.ask(chargeOf(block!, 0)).asked).toBe(1);
    expect(set.ask(chargeOf(block!)).asked).toBe(1);
    expect(set.ask(...request)).toMatchObject({ asked: 1, answer: [{ allowed: false }, { allowed: false }] });
    set.clock.advance(59_999);
    expect(set.ask(...request)).toMatchObject({ asked: 0, answer: [{ retryAfter: 1 }, { allowed: true }] });
    set.clock.advance(1);
    expect(set.ask(...request)).toMatchObject({ asked: 1, answer: [{ allowed: true }, { allowed: true }] });
  });

  it('is what another than the store has said', () => {
    const clock = new ManualClock(start);
    const failing = new MemoryStore({ clock });
    failing.consume = () => {
      throw new Error('down');
    };
    const store = withStoreErrors(failing, { mode: 'deny', clock, report() {} });
    const cache = new DenyCache(store, { clock });
    for (let i = 0; i < 2; i++) {
      expect(cache.consume([chargeOf(hourly)])).toMatchObject([{ allowed: false, source: 'closed' }]);
    }
    expect(cache.size).toBe(0);
  });
});

describe('units that go back', () => {
  it.each([
    ['are released', (cache: DenyCache) => cache.release([chargeOf(hourly)])],
    ['are reset', (cache: DenyCache) => cache.reset('alice', [hourly])],
    ['are told of from outside', (cache: DenyCache) => cache.forget('alice')],
    ['may be anybody’s', (cache: DenyCache) => cache.forget()],
  ])('make the store decide again when they %s', (_how, act) => {
    const set = setUp();
    exhaust(set, hourly);
    set.ask(chargeOf(hourly));
    act(set.cache);
    set.memory.reset('alice', [hourly]);
    expect(set.ask(chargeOf(hourly))).toMatchObject({ asked: 1, answer: [{ allowed: true, source: 'store' }] });
  });

  it('are those of one key, of one policy', () => {
    const set = setUp();
    exhaust(set, hourly);
    set.ask(chargeOf(hourly));
    set.cache.release([chargeOf(bucket), chargeOf(hourly, 1, 'bob')]);
    set.cache.reset('bob', [hourly]);
    set.cache.forget('bob');
    expect(set.ask(chargeOf(hourly)).asked).toBe(0);
  });

  it('are the key’s under another limit of the same name, too', () => {
    const set = setUp();
    exhaust(set, hourly);
    set.ask(chargeOf(hourly));
    set.cache.release([chargeOf(compiled({ algorithm: 'fixed-window', limit: 5, window: '1h' }))]);
    expect(set.ask(chargeOf(hourly)).asked).toBe(1);
  });

  /** A store whose answers a test gives. */
  function slow(options: DenyCacheOptions = {}) {
    const clock = new ManualClock(start);
    const memory = new MemoryStore({ clock });
    const answers: (() => void)[] = [];
    const later = <T>(value: T): Promise<T> => new Promise((resolve) => answers.push(() => resolve(value)));
    const store: Store = {
      consume: (charges) => later(memory.consume(charges)),
      peek: (charges) => memory.peek(charges),
      release: (refunds) => later(memory.release(refunds)),
      reset: (key, policies) => later(memory.reset(key, policies)),
    };
    const cache = new DenyCache(store, { clock, recheck: '1h', ...options });
    const settle = async (done: MaybePromise<unknown>, answer: () => void) => {
      answer();
      await done;
    };
    return { clock, memory, cache, answers, settle };
  }

  it.each([
    ['a release', (cache: DenyCache) => cache.release([chargeOf(hourly)])],
    ['a reset', (cache: DenyCache) => cache.reset('alice', [hourly])],
    ['news', (cache: DenyCache) => cache.forget('alice')],
    ['news of any key', (cache: DenyCache) => cache.forget()],
  ])('void a refusal that is under way when they come by %s', async (_how, act) => {
    const set = slow();
    exhaust(set, hourly);
    const refused = set.cache.consume([chargeOf(hourly)]);
    const done = act(set.cache);
    for (const answer of set.answers.splice(0)) answer();
    expect(await refused).toMatchObject([{ allowed: false }]);
    await done;
    expect(set.cache.size).toBe(0);
  });

  it('of other keys void no refusal that is under way, unless they are too many to be known', async () => {
    const set = slow();
    exhaust(set, hourly);
    for (const [others, size] of [
      [1_024, 1],
      [1_025, 0],
    ] as const) {
      const refused = set.cache.consume([chargeOf(hourly)]);
      for (let i = 0; i < others; i++) set.cache.forget('bob');
      await set.settle(refused, set.answers.pop()!);
      expect(set.cache.size).toBe(size);
      set.cache.forget();
    }
  });

  it('void what was refused while they were going back', async () => {
    const set = slow();
    exhaust(set, hourly);
    const done = set.cache.release([chargeOf(hourly)]);
    const release = set.answers.pop()!;
    exhaust(set, bucket);
    await set.settle(set.cache.consume([chargeOf(hourly, 2)]), () => set.answers.pop()!());
    expect(set.cache.size).toBe(1);
    await set.settle(done, release);
    expect(set.cache.size).toBe(0);
  });

  it('void the refusal also where the store says that it failed to take them', async () => {
    const set = setUp();
    exhaust(set, hourly);
    const failing: Store = {
      consume: (charges) => set.memory.consume(charges),
      peek: (charges) => set.memory.peek(charges),
      release: () => Promise.reject(new Error('lost')),
      reset: () => Promise.reject(new Error('lost')),
    };
    const cache = new DenyCache(failing, { clock: set.clock });
    for (const act of [() => cache.release([chargeOf(hourly)]), () => cache.reset('alice', [hourly])]) {
      cache.consume([chargeOf(hourly)]);
      expect(cache.size).toBe(1);
      const done = act();
      cache.consume([chargeOf(hourly)]);
      await expect(done).rejects.toThrow('lost');
      expect(cache.size).toBe(0);
    }
  });

  it('leave a refusal to be counted from when the store was asked, and told from when it has answered', async () => {
    const set = slow();
    exhaust(set, bucket);
    const refused = set.cache.consume([chargeOf(bucket)]);
    set.clock.advance(30);
    await set.settle(refused, set.answers.pop()!);
    set.clock.advance(969.999);
    expect(set.cache.consume([chargeOf(bucket)])).toMatchObject([{ retryAfter: 30.001, source: 'deny-cache' }]);
    set.clock.advance(0.001);
    await set.settle(set.cache.consume([chargeOf(bucket)]), () => set.answers.pop()!());
  });
});

describe('what others give back', () => {
  it('is found out after `recheck`, by default a second', () => {
    const set = setUp({ recheck: undefined });
    exhaust(set, hourly);
    set.ask(chargeOf(hourly));
    set.memory.reset('alice', [hourly]);
    set.clock.advance(999.999);
    expect(set.ask(chargeOf(hourly)).asked).toBe(0);
    set.clock.advance(0.001);
    expect(set.ask(chargeOf(hourly))).toMatchObject({ asked: 1, answer: [{ allowed: true }] });
  });

  it('is told of by those who hear it, and then a refusal is repeated for ten seconds, but for one where nothing is heard', () => {
    let tell!: (key?: string) => void;
    let stopped = 0;
    const freed = {
      isHeard: true,
      listen(listener: typeof tell) {
        tell = listener;
        return () => void stopped++;
      },
    };
    const set = setUp({ recheck: undefined, freed });
    exhaust(set, hourly);
    exhaust(set, hourly, 'bob');
    for (const key of ['alice', 'bob']) set.ask(chargeOf(hourly, 1, key));
    set.clock.advance(9_999.999);
    tell('alice');
    expect(set.ask(chargeOf(hourly)).asked).toBe(1);
    expect(set.ask(chargeOf(hourly, 1, 'bob')).asked).toBe(0);
    tell();
    expect(set.ask(chargeOf(hourly, 1, 'bob')).asked).toBe(1);
    set.clock.advance(10_000);
    freed.isHeard = false;
    expect(set.ask(chargeOf(hourly)).asked).toBe(1);
    set.clock.advance(999.999);
    expect(set.ask(chargeOf(hourly)).asked).toBe(0);
    set.clock.advance(0.001);
    expect(set.ask(chargeOf(hourly)).asked).toBe(1);
    set.cache.close();
    expect(stopped).toBe(1);
  });
});

describe('the memory of a deny cache', () => {
  it('forgets the oldest refusal when it is full', () => {
    const set = setUp({ maxKeys: 3 });
    for (const key of ['a', 'b', 'c', 'd']) {
      exhaust(set, hourly, key);
      set.ask(chargeOf(hourly, 1, key));
    }
    expect(set.cache.size).toBe(3);
    for (const key of ['b', 'c', 'd']) expect(set.ask(chargeOf(hourly, 1, key)).asked).toBe(0);
    expect(set.ask(chargeOf(hourly, 1, 'a')).asked).toBe(1);
    expect(set.ask(chargeOf(hourly, 1, 'b')).asked).toBe(1);
  });

  it('stays full, whatever is remembered and forgotten in between', () => {
    const set = setUp({ maxKeys: 50 });
    for (let i = 0; i < 2_000; i++) {
      const key = `key ${(i * 7) % 90}`;
      exhaust(set, hourly, key);
      set.ask(chargeOf(hourly, 1, key));
      if (i % 3 === 0) set.cache.forget(`key ${(i * 5) % 90}`);
      expect(set.cache.size).toBeLessThanOrEqual(50);
    }
    for (let i = 0; i < 90; i++) set.cache.forget(`key ${i}`);
    expect(set.cache.size).toBe(0);
  });

  it('drops refusals whose time has come as new ones come', () => {
    const set = setUp();
    for (let i = 0; i < 100; i++) {
      exhaust(set, bucket, `key ${i}`);
      set.ask(chargeOf(bucket, 1, `key ${i}`));
    }
    set.clock.advance(1_000);
    for (let i = 0; i < 50; i++) {
      exhaust(set, hourly, `new ${i}`);
      set.ask(chargeOf(hourly, 1, `new ${i}`));
    }
    expect(set.cache.size).toBe(50);
  });

  it('keeps the newest refusals of a key that is refused many different requests', () => {
    const set = setUp();
    const policies = Array.from({ length: 9 }, (_, i) => compiled({ name: `p${i}`, limit: 1, window: '1h' }));
    for (const policy of policies) {
      exhaust(set, policy);
      set.ask(chargeOf(policy));
    }
    expect(set.cache.size).toBe(8);
    for (const policy of policies.slice(1)) expect(set.ask(chargeOf(policy)).asked).toBe(0);
    expect(set.ask(chargeOf(policies[0]!)).asked).toBe(1);
  });

  it('is shared by caches around the same state', () => {
    const set = setUp();
    const other = new DenyCache(set.memory, set.cache);
    exhaust(set, hourly);
    set.ask(chargeOf(hourly));
    expect(other.consume([chargeOf(hourly)])).toMatchObject([{ source: 'deny-cache' }]);
    other.release([chargeOf(hourly)]);
    expect(set.ask(chargeOf(hourly)).asked).toBe(1);
  });
});

describe('the store in a deny cache', () => {
  it('is reached by all that it can do besides, and by nothing that it cannot', async () => {
    const set = setUp();
    const { lower, answering: answers, isReachable, takeBack, check } = set.cache;
    expect([lower, answers, isReachable, takeBack, check]).toEqual(Array(5).fill(undefined));
    const heard: unknown[] = [];
    const store: Store = {
      consume: (charges) => set.memory.consume(charges),
      peek: () => [],
      release() {},
      reset() {},
      lower: (known) => void heard.push(known),
      answering: (mode) => {
        heard.push(mode);
        return set.memory;
      },
      isReachable: () => false,
      takeBack: (refunds) => void heard.push(refunds),
      check: (policy) => void heard.push(policy),
      close: () => void heard.push('closed'),
    };
    const cache = new DenyCache(store, { clock: set.clock });
    expect(cache.sync).toBe(false);
    expect(cache.isReachable?.([])).toBe(false);
    exhaust(set, hourly);
    cache.consume([chargeOf(hourly)]);
    cache.lower?.([]);
    cache.check?.(hourly);
    const answering = cache.answering!('deny');
    expect((answering as DenyCache).sync).toBe(true);
    expect(answering.consume([chargeOf(hourly)])).toMatchObject([{ source: 'deny-cache' }]);
    cache.takeBack?.([chargeOf(hourly)]);
    expect(cache.size).toBe(0);
    await cache.close();
    expect(heard).toEqual([[], hourly, 'deny', [chargeOf(hourly)], 'closed']);
  });

  it('passes on how it fails', async () => {
    const fail = () => Promise.reject(new Error('down'));
    const cache = new DenyCache({ consume: fail, peek: fail, release: fail, reset: fail });
    await expect(cache.consume([chargeOf(hourly)])).rejects.toThrow('down');
    await expect(cache.release([])).rejects.toThrow('down');
  });
});

describe('options that cannot work', () => {
  const store = new MemoryStore();
  it.each([
    [{ maxKeys: 0 }, 'INVALID_OPTION', 'an integer from 1 to 1000000'],
    [{ maxKeys: 1.5 }, 'INVALID_OPTION', 'an integer from 1 to 1000000'],
    [{ maxKeys: 1_000_001 }, 'INVALID_OPTION', 'an integer from 1 to 1000000'],
    [{ recheck: '2h' }, 'INVALID_WINDOW', "DenyCache: 'recheck' must be"],
    [{ recheck: 0 }, 'INVALID_WINDOW', 'to an hour'],
    [{ maxkeys: 5 }, 'UNKNOWN_OPTION', 'Did you mean "maxKeys"?'],
    [{ freed: {} }, 'INVALID_OPTION', "'freed' needs the method listen(), and isHeard"],
    [{ clock: 5 }, 'INVALID_OPTION', "'clock' needs"],
    [5, 'INVALID_OPTION', 'takes an object of options'],
  ])('as %o throw with the remedy', (options, code, text) => {
    const make = () => new DenyCache(store, options as DenyCacheOptions);
    expect(make).toThrow(expect.objectContaining({ code, message: expect.stringContaining(text) }));
  });

  it('such as no store throw', () => {
    expect(() => new DenyCache({} as Store)).toThrow(/lacks consume, peek, release, reset/);
  });
});
