import { ManualClock, storeSuite } from '@sluice/testing';
import { describe, expect, it, test } from 'vitest';
import type { Clock } from '../../src/clock.ts';
import { SluiceError } from '../../src/errors.ts';
import type { MaybePromise } from '../../src/maybe-promise.ts';
import { MemoryStore } from '../../src/memory/memory-store.ts';
import { compilePolicies } from '../../src/policy.ts';
import type { CircuitChange } from '../../src/resilience/circuit-breaker.ts';
import { GuardedStore, type GuardedStoreOptions } from '../../src/resilience/guarded-store.ts';
import type { Store } from '../../src/store.ts';

const [policy, other] = compilePolicies(['5/1m', '100/1h'], 'policies');
const charge = { policy: policy!, key: 'alice', cost: 1 };
const lost = new Error('connection lost');

/** Calls of a store that the test answers. */
interface Call {
  readonly method: string;
  succeed(value?: unknown): void;
  fail(error: unknown): void;
}

/** A store whose calls wait for the test, unless `answer` answers them. The deadline is 50 ms. */
function setUp(options: Partial<GuardedStoreOptions> = {}, answer?: (key: string) => unknown) {
  const clock = new ManualClock(0);
  const calls: Call[] = [];
  const probes: string[] = [];
  const changes: CircuitChange[] = [];
  const state = { closed: 0, alive: false };
  const ask = (method: string, key: string) => {
    const waiting = new Promise((resolve, reject) => calls.push({ method, succeed: resolve, fail: reject }));
    return (answer ? answer(key) : waiting) as Promise<never>;
  };
  const store: Store = {
    consume: (charges) => ask('consume', charges[0]!.key),
    peek: (charges) => ask('peek', charges[0]!.key),
    release: (refunds) => ask('release', refunds[0]!.key),
    reset: (key) => ask('reset', key),
    close: () => {
      state.closed++;
    },
  };
  const guarded = new GuardedStore(store, {
    deadline: 50,
    clock,
    probe: async (circuit) => {
      probes.push(circuit);
      if (!state.alive) throw lost;
    },
    onChange: (change) => changes.push(change),
    random: () => 1,
    ...options,
  });
  const consume = (key = 'alice') => guarded.consume([{ ...charge, key }]);
  /** The error of each of so many calls, one after another. */
  const errors = async (times: number, key?: string) => {
    const all: unknown[] = [];
    for (let i = 0; i < times; i++) all.push(await consume(key).catch((error: unknown) => error));
    return all;
  };
  return { clock, calls, probes, changes, state, store, guarded, consume, errors };
}

/** A call, and what came of it so far. */
function watch(promise: Promise<unknown>) {
  const watched = { outcome: 'pending' as unknown };
  promise.then(
    (value) => {
      watched.outcome = value;
    },
    (error: unknown) => {
      watched.outcome = error;
    },
  );
  return watched;
}

const timeout = expect.objectContaining({ name: 'SluiceError', code: 'STORE_TIMEOUT' });
const unavailable = expect.objectContaining({ name: 'SluiceError', code: 'STORE_UNAVAILABLE' });
const closed = expect.objectContaining({ name: 'SluiceError', code: 'CLOSED' });

const asks: [string, (store: Store) => unknown][] = [
  ['consume', (store) => store.consume([charge])],
  ['peek', (store) => store.peek([charge])],
  ['release', (store) => store.release([charge])],
  ['reset', (store) => store.reset('alice', [policy!])],
];

describe('while the store answers', () => {
  storeSuite(test, {
    create: (clock) => ({
      store: new GuardedStore(new MemoryStore({ clock }), { deadline: 50, clock, probe: async () => {} }),
    }),
  });

  it.each(asks)('%s is answered by the store, and leaves no timer behind when its time is up', async (method, ask) => {
    const { clock, calls, guarded } = setUp();
    const answer = watch(ask(guarded) as Promise<unknown>);
    await clock.pass(49);
    expect(answer.outcome).toBe('pending');
    const decisions = [{ allowed: true }];
    calls[0]!.succeed(decisions);
    await clock.pass(0);
    expect(answer.outcome).toBe(decisions);
    expect(calls.map((call) => call.method)).toEqual([method]);
    await clock.pass(1);
    expect(clock.pending).toBe(0);
  });

  it('sets no timer for each call: one for those that are made within a deadline', async () => {
    let timers = 0;
    const clock = new ManualClock(0);
    const { after } = clock;
    clock.after = (ms, run) => {
      timers++;
      return after.call(clock, ms, run);
    };
    const { consume } = setUp({ clock }, async () => []);
    for (let ms = 0; ms < 200; ms++) {
      await consume();
      clock.advance(1);
    }
    expect(timers).toBe(4);
    expect(clock.pending).toBe(0);
  });

  it('is answered in time where the clock is set back while calls are under way', async () => {
    const timers = new ManualClock(0);
    let offset = 3_600_000_000;
    const clock: Clock = { now: () => timers.now() + offset, after: (ms, run) => timers.after(ms, run) };
    const { consume } = setUp({ clock });
    const failures: unknown[] = [];
    consume().catch((error) => failures.push(error));
    await timers.pass(10);
    offset = 0;
    consume().catch((error) => failures.push(error));
    await timers.pass(40);
    expect(failures).toHaveLength(1);
    await timers.pass(10);
    expect(failures).toMatchObject([{ code: 'STORE_TIMEOUT' }, { code: 'STORE_TIMEOUT' }]);
  });

  it('asks it which policies it can keep', () => {
    const { store, guarded } = setUp();
    expect(() => guarded.check(policy!)).not.toThrow();
    store.check = ({ name }) => {
      throw new SluiceError('INVALID_POLICY', name);
    };
    expect(() => guarded.check(policy!)).toThrow(policy!.name);
  });
});

describe('what is known of keys whose counts may be lost', () => {
  const known = { policy: policy!, key: 'alice', remaining: 2, resetAfter: 60_000, at: 0 };

  it('goes to a store that takes it, within the deadline and through the circuit', async () => {
    const { clock, store, guarded: without } = setUp();
    expect(without.lower).toBeUndefined();
    const seen: unknown[] = [];
    const lower = (all: unknown) => {
      seen.push(all);
      return new Promise<void>(() => {});
    };
    const guarded = new GuardedStore({ ...store, lower }, { deadline: 50, clock, probe: async () => {} });
    const answers = [1, 2, 3, 4, 5].map(() => watch(guarded.lower!([known])));
    // At once, so that a call made right afterwards is sent after it.
    expect(seen).toEqual(Array(5).fill([known]));
    await clock.pass(50);
    expect(answers.map(({ outcome }) => outcome)).toEqual(Array(5).fill(timeout));
    await expect(guarded.lower!([known])).rejects.toEqual(unavailable);
    expect(seen.length).toBe(5);
  });
});

describe('when the store is silent', () => {
  it.each(asks)('%s is rejected at the deadline, which the error names', async (_method, ask) => {
    const { clock, guarded } = setUp();
    const answer = watch(ask(guarded) as Promise<unknown>);
    await clock.pass(49.999);
    expect(answer.outcome).toBe('pending');
    await clock.pass(0.001);
    expect(answer.outcome).toEqual(timeout);
    const { message, cause } = answer.outcome as Error;
    expect(message).toMatch(/within the deadline of 50 ms.*raise 'deadline'/);
    expect(cause).toBeUndefined();
    expect(clock.pending).toBe(0);
  });

  it('answers every one of many calls that fall due together', async () => {
    const { clock, consume } = setUp();
    const answers = Array.from({ length: 3_000 }, () => watch(consume()));
    await clock.pass(50);
    expect(answers.filter(({ outcome }) => outcome === 'pending')).toEqual([]);
    expect(answers.map(({ outcome }) => outcome)).toEqual(answers.map(() => timeout));
  });

  it('opens the circuit after five timeouts, and does not ask it any more', async () => {
    const { clock, calls, consume } = setUp();
    for (let i = 0; i < 5; i++) void watch(consume());
    await clock.pass(50);
    const refused = watch(consume());
    await clock.pass(0);
    expect(refused.outcome).toEqual(unavailable);
    expect((refused.outcome as Error).cause).toEqual(timeout);
    expect(calls.length).toBe(5);
  });

  it('drops what it answers too late, and takes that neither for a success nor for a failure', async () => {
    const { clock, calls, consume, guarded } = setUp();
    const answers: { outcome: unknown }[] = [];
    for (let i = 0; i < 4; i++) answers.push(watch(consume()));
    await clock.pass(50);
    calls[0]!.succeed([{ allowed: true }]);
    calls[1]!.fail(lost);
    calls[2]!.fail(lost);
    await clock.pass(10);
    expect(answers.map(({ outcome }) => outcome)).toEqual([timeout, timeout, timeout, timeout]);
    expect(guarded.states).toEqual(new Map([['store', 'closed']]));
    void watch(consume());
    await clock.pass(50);
    expect(guarded.states).toEqual(new Map([['store', 'open']]));
  });

  it('takes the answer that is read right after the deadline, as after a stall of the event loop', async () => {
    const { clock, calls, consume } = setUp();
    const answer = watch(consume());
    clock.advance(300);
    calls[0]!.succeed('in the socket');
    await clock.pass(0);
    expect(answer.outcome).toBe('in the socket');
  });
});

describe('what the store grants too late', () => {
  const [place, limit] = compilePolicies(
    [
      { name: 'place', limit: 2, window: '10m', algorithm: 'sliding-window-log' },
      { name: 'limit', limit: 5, window: '1h' },
    ],
    'policies',
  );
  const charges = [
    { policy: limit!, key: 'alice', cost: 1 },
    { policy: { ...place!, borrowed: true as const }, key: 'alice', cost: 1 },
  ];

  const granted = charges.map(() => ({ allowed: true, at: 1 }));

  /** A memory store whose answers come after 60 ms; and what is left in it of each policy. */
  function late() {
    const clock = new ManualClock();
    const memory = new MemoryStore({ clock });
    const slowly = <T>(answer: T) => new Promise<T>((resolve) => clock.after(60, () => resolve(answer)));
    const store: Store = {
      consume: (charges) => slowly(memory.consume(charges)),
      peek: (charges) => slowly(memory.peek(charges)),
      release: (refunds) => memory.release(refunds),
      reset: () => {},
    };
    const guarded = new GuardedStore(store, { deadline: 50, clock, probe: async () => {} });
    const left = () => memory.peek(charges).map(({ remaining }) => remaining);
    return { clock, guarded, memory, left };
  }

  it('is given back where it was borrowed, since nobody knows that he has it; of a limit it stays taken', async () => {
    const { clock, guarded, left } = late();
    const answer = watch(guarded.consume(charges));
    await clock.pass(59);
    expect(answer.outcome).toEqual(timeout);
    expect(left()).toEqual([4, 1]);
    await clock.pass(1);
    expect(left()).toEqual([4, 2]);
  });

  it('is given back as what was granted then, and not as what others hold', async () => {
    const { clock, guarded, memory, left } = late();
    const [, held] = memory.consume(charges);
    clock.advance(10);
    void watch(guarded.consume(charges));
    await clock.pass(60);
    expect(left()).toEqual([3, 1]);
    memory.release([{ ...charges[1]!, at: held!.at }]);
    expect(left()).toEqual([3, 2]);
  });

  it('is not given back where the store has refused, nor where it was only looked at', async () => {
    const { clock, guarded, memory, left } = late();
    for (let i = 0; i < 2; i++) memory.consume(charges);
    void watch(guarded.consume(charges));
    void watch(guarded.peek(charges));
    await clock.pass(60);
    expect(left()).toEqual([3, 0]);
  });

  it.each<[string, unknown, () => MaybePromise<void>]>([
    ['does not take it back', granted, () => Promise.reject(lost)],
    [
      'throws when it is to take it back',
      granted,
      () => {
        throw lost;
      },
    ],
    ['has answered with no decisions', null, () => {}],
  ])('harms nobody where the store %s', async (_title, answer, release) => {
    const { clock, calls, store, consume, guarded } = setUp();
    let asked = 0;
    store.release = () => {
      asked++;
      return release();
    };
    const unhandled: unknown[] = [];
    const note = (reason: unknown) => void unhandled.push(reason);
    process.on('unhandledRejection', note);
    const answers = [watch(guarded.consume(charges)), watch(consume())];
    await clock.pass(50);
    for (const call of calls) call.succeed(answer);
    await clock.pass(0);
    await clock.pass(0);
    process.off('unhandledRejection', note);
    expect(answers.map(({ outcome }) => outcome)).toEqual([timeout, timeout]);
    // Nothing of the second was borrowed.
    expect(asked).toBe(answer === null ? 0 : 1);
    expect(unhandled).toEqual([]);
  });
});

describe('a call about nothing', () => {
  it('is answered without the store', async () => {
    const { calls, guarded } = setUp();
    expect(await guarded.consume([])).toEqual([]);
    expect(await guarded.peek([])).toEqual([]);
    expect(await guarded.release([])).toBeUndefined();
    expect(calls).toEqual([]);
    await guarded.close();
    await expect(guarded.consume([])).rejects.toEqual(closed);
  });
});

describe('when the store fails', () => {
  it('passes its errors on, and those that it throws at once', async () => {
    const rejecting = setUp({}, () => Promise.reject(lost));
    const throwing = setUp({}, () => {
      throw lost;
    });
    for (const { clock, guarded, consume } of [rejecting, throwing]) {
      await expect(consume()).rejects.toBe(lost);
      await expect(guarded.reset('alice', [policy!])).rejects.toBe(lost);
      await clock.pass(50);
      expect(clock.pending).toBe(0);
    }
  });

  it('rejects with one error for all calls from the fifth failure until a probe succeeds', async () => {
    const { clock, calls, probes, state, errors, guarded } = setUp({}, () => Promise.reject(lost));
    const seen = await errors(8);
    expect(seen.slice(0, 5)).toEqual([lost, lost, lost, lost, lost]);
    expect(seen[5]).toEqual(unavailable);
    expect((seen[5] as Error).cause).toBe(lost);
    expect(seen[6]).toBe(seen[5]);
    await clock.pass(250);
    expect((await errors(1))[0]).toBe(seen[5]);
    await expect(guarded.release([charge])).rejects.toBe(seen[5]);
    expect(calls.length).toBe(5);
    state.alive = true;
    await clock.pass(1_000);
    expect(probes.length).toBeGreaterThan(1);
    expect(await errors(1)).toEqual([lost]);
  });

  it('sends no call while the probe is out', async () => {
    const probe = () => new Promise(() => {});
    const { clock, calls, errors, guarded } = setUp({ probe }, () => Promise.reject(lost));
    await errors(5);
    await clock.pass(5_000);
    expect(guarded.states.get('store')).toBe('half-open');
    expect(await errors(100)).toEqual(Array(100).fill(unavailable));
    expect(calls.length).toBe(5);
  });

  it('is not taken for failing again by calls that were sent before it did', async () => {
    const { clock, calls, state, consume, guarded } = setUp({ deadline: '10s' });
    for (let i = 0; i < 15; i++) void watch(consume());
    for (const call of calls.slice(0, 5)) call.fail(lost);
    state.alive = true;
    await clock.pass(100);
    expect(guarded.states.get('store')).toBe('closed');
    for (const call of calls.slice(5)) call.fail(lost);
    await clock.pass(0);
    expect(guarded.states.get('store')).toBe('closed');
  });

  it('is not taken for healthy by calls that were sent before it failed', async () => {
    const { clock, calls, state, consume, guarded } = setUp({ deadline: '10s' });
    for (let i = 0; i < 6; i++) void watch(consume());
    for (const call of calls.slice(0, 5)) call.fail(lost);
    state.alive = true;
    await clock.pass(100);
    for (let i = 0; i < 4; i++) {
      void watch(consume());
      calls.at(-1)!.fail(lost);
    }
    await clock.pass(0);
    calls[5]!.succeed([]);
    await clock.pass(0);
    void watch(consume());
    calls.at(-1)!.fail(lost);
    await clock.pass(0);
    expect(guarded.states.get('store')).toBe('open');
  });

  it('leaves the circuit alone for errors that do not tell of its health', async () => {
    const poisoned = new Error('WRONGTYPE');
    const misuse = new SluiceError('INVALID_COST', 'A cost must be an integer');
    const isFailure = (error: unknown) => error !== poisoned;
    const { errors, guarded } = setUp({ isFailure }, (key) =>
      Promise.reject(key === 'poisoned' ? poisoned : key === 'misuse' ? misuse : lost),
    );
    expect(await errors(4)).toEqual([lost, lost, lost, lost]);
    expect(await errors(10, 'poisoned')).toEqual(Array(10).fill(poisoned));
    expect(await errors(10, 'misuse')).toEqual(Array(10).fill(misuse));
    expect(guarded.states.get('store')).toBe('closed');
    // Had they been successes, a fifth failure would not be the fifth in a row.
    await errors(1);
    expect(guarded.states.get('store')).toBe('open');
  });

  it('takes timeouts for failures whatever else is one', async () => {
    const { clock, consume, guarded } = setUp({ isFailure: () => false });
    for (let i = 0; i < 5; i++) void watch(consume());
    await clock.pass(50);
    expect(guarded.states.get('store')).toBe('open');
  });

  it('tells its observer of every change', async () => {
    const { clock, changes, state, errors } = setUp({}, () => Promise.reject(lost));
    state.alive = true;
    await errors(5);
    await clock.pass(100);
    expect(changes).toEqual([
      { circuit: 'store', from: 'closed', to: 'open', error: lost },
      { circuit: 'store', from: 'open', to: 'half-open', error: lost },
      { circuit: 'store', from: 'half-open', to: 'closed', error: lost },
    ]);
  });
});

describe('a store of several parts', () => {
  const circuitOf = (key: string) => key.split(':')[0]!;

  it('has a circuit for each, made when it is first named', async () => {
    const { clock, errors, probes, guarded } = setUp({ circuitOf }, (key) =>
      key.startsWith('a') ? Promise.reject(lost) : [],
    );
    expect(guarded.states).toEqual(new Map());
    await errors(5, 'a:1');
    expect(await errors(1, 'a:2')).toEqual([unavailable]);
    expect(await errors(1, 'b:1')).toEqual([[]]);
    expect([...guarded.states]).toEqual([
      ['a', 'open'],
      ['b', 'closed'],
    ]);
    await clock.pass(100);
    expect(probes).toEqual(['a']);
  });

  it('does not ask for several charges where the circuit of any is open', async () => {
    const { calls, errors, guarded } = setUp({ circuitOf }, (key) => (key.startsWith('a') ? Promise.reject(lost) : []));
    await errors(5, 'a:1');
    const both = ['b:1', 'a:1'].map((key) => ({ ...charge, key }));
    await expect(guarded.consume(both)).rejects.toEqual(unavailable);
    expect(calls.length).toBe(5);
    await expect(guarded.reset('b:1', [policy!])).resolves.toEqual([]);
    await expect(guarded.reset('a:1', [policy!])).rejects.toEqual(unavailable);
  });

  it('reports what becomes of several charges to the circuits of all, once each', async () => {
    let fails = true;
    const { clock, errors, guarded } = setUp({ circuitOf }, () => (fails ? Promise.reject(lost) : []));
    const charges = ['a:1', 'b:1', 'b:2', 'a:1'].map((key, i) => ({
      ...charge,
      key,
      policy: i < 3 ? policy! : other!,
    }));
    // A failure of several parts is counted when the time has passed that each had to answer.
    const fail = async (times: number) => {
      for (let i = 0; i < times; i++) await guarded.consume(charges).catch(() => {});
      await clock.pass(50);
    };
    await fail(4);
    expect([...guarded.states.values()]).toEqual(['closed', 'closed']);
    fails = false;
    await guarded.consume(charges);
    fails = true;
    await fail(4);
    expect([...guarded.states.values()]).toEqual(['closed', 'closed']);
    await errors(1, 'a:1');
    expect([...guarded.states.values()]).toEqual(['open', 'closed']);
    await errors(1, 'b:1');
    expect([...guarded.states.values()]).toEqual(['open', 'open']);
  });

  /** Calls to the parts a, b and c whose answers the test gives, five of them at once. */
  async function five(ended: (parts: ReturnType<typeof setUp>) => void | Promise<void>) {
    const parts = setUp({ circuitOf });
    const both = ['a:1', 'b:1', 'c:1'].map((key) => ({ ...charge, key }));
    await parts.clock.pass(1_000);
    for (let i = 0; i < 5; i++) void watch(parts.guarded.consume(both));
    await ended(parts);
    return Object.fromEntries(parts.guarded.states);
  }

  it('opens the circuit of the one that is silent, and not of those that have answered', async () => {
    const states = await five(async ({ clock, guarded }) => {
      await clock.pass(1);
      for (const part of ['b', 'c']) guarded.heard(part, 1_000_000);
      await clock.pass(49);
    });
    expect(states).toEqual({ a: 'open', b: 'closed', c: 'closed' });
  });

  it('opens the circuit of one that answers only what it was asked before', async () => {
    const states = await five(async ({ clock, guarded }) => {
      guarded.heard('a', 999_999);
      for (const part of ['b', 'c']) guarded.heard(part);
      await clock.pass(50);
    });
    expect(states).toEqual({ a: 'open', b: 'closed', c: 'closed' });
  });

  it('gives the others the time to answer where one fails at once', async () => {
    const before: unknown[] = [];
    const states = await five(async ({ clock, calls, guarded }) => {
      for (const call of calls) call.fail(lost);
      await clock.pass(49);
      before.push(...guarded.states.values());
      for (const part of ['b', 'c']) guarded.heard(part, 1_000_000);
      await clock.pass(1);
    });
    expect(before).toEqual(['closed', 'closed', 'closed']);
    expect(states).toEqual({ a: 'open', b: 'closed', c: 'closed' });
  });

  it('opens the circuits of all where all or none have answered', async () => {
    const open = { a: 'open', b: 'open', c: 'open' };
    expect(await five(({ clock }) => clock.pass(50))).toEqual(open);
    const answered = five(async ({ clock, guarded }) => {
      for (const part of ['a', 'b', 'c']) guarded.heard(part);
      await clock.pass(50);
    });
    expect(await answered).toEqual(open);
  });

  it('takes an answer for no success: of a part that is asked alone, late ones do not hide that it is slow', async () => {
    const { clock, guarded, consume } = setUp({ circuitOf });
    for (let i = 0; i < 5; i++) {
      void watch(consume('a:1'));
      await clock.pass(50);
      guarded.heard('a');
    }
    expect(guarded.states.get('a')).toBe('open');
  });

  it('keeps a thousand circuits, and forgets the oldest of those without failures', async () => {
    const { clock, errors, guarded } = setUp({ circuitOf }, (key) => (key === 'ok' ? [] : Promise.reject(lost)));
    const fresh = setUp({ circuitOf }, () => []);
    for (let i = 0; i < 1_500; i++) await fresh.consume(`${i}:`);
    expect(fresh.guarded.states.size).toBe(1_000);
    expect(fresh.guarded.states.keys().next().value).toBe('500');

    await errors(5, 'open');
    await errors(1, 'ok');
    for (let i = 0; i < 998; i++) await errors(1, `failed ${i}`);
    expect(guarded.states.size).toBe(1_000);
    await errors(1, 'new');
    expect(guarded.states.has('ok')).toBe(false);
    expect(guarded.states.has('open')).toBe(true);
    // All of them have failed: then the oldest goes, and with it its probes.
    await errors(1, 'newer');
    expect(guarded.states.has('open')).toBe(false);
    expect(guarded.states.size).toBe(1_000);
    await clock.pass(50);
    expect(clock.pending).toBe(0);
  });

  it('is not asked when the part of a key cannot be told', async () => {
    const { calls, consume } = setUp({ circuitOf: async (key: string) => key } as never);
    await expect(consume()).rejects.toThrow("'circuitOf' must return the name of a circuit, not [object Promise].");
    expect(calls).toEqual([]);
  });
});

describe('a closed store', () => {
  it('has closed what it wraps, once', async () => {
    const { state, guarded } = setUp();
    await guarded.close();
    await guarded.close();
    expect(state.closed).toBe(1);
  });

  it.each(asks)('rejects %s', async (_method, ask) => {
    const { calls, guarded } = setUp();
    await guarded.close();
    await expect(ask(guarded)).rejects.toEqual(closed);
    expect(calls).toEqual([]);
  });

  it('answers the calls in flight, at the deadline at the latest', async () => {
    const { clock, calls, consume, guarded } = setUp();
    const [answered, silent] = [watch(consume()), watch(consume())];
    await guarded.close();
    calls[0]!.succeed([]);
    await clock.pass(50);
    expect(answered.outcome).toEqual([]);
    expect(silent.outcome).toEqual(timeout);
    expect(clock.pending).toBe(0);
  });

  it('does not probe, also when calls in flight fail', async () => {
    const { clock, probes, consume, errors, guarded } = setUp({ circuitOf: (key) => key }, (key) =>
      key === 'open' ? Promise.reject(lost) : new Promise(() => {}),
    );
    await errors(5, 'open');
    for (let i = 0; i < 5; i++) void watch(consume('silent'));
    await guarded.close();
    await clock.pass(60_000);
    expect(probes).toEqual([]);
    expect(clock.pending).toBe(0);
  });
});

describe('the options', () => {
  const create = (options: object) => () =>
    new GuardedStore(new MemoryStore(), { deadline: 50, probe: async () => {}, ...options } as GuardedStoreOptions);

  it.each([1, 60_000, '1m', '50ms'])('take a deadline of %s', (deadline) => {
    expect(create({ deadline })).not.toThrow();
  });

  it.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY, '50', 'soon', undefined, null, 0.5])(
    'take no deadline of %s',
    (deadline) => {
      expect(create({ deadline })).toThrow("GuardedStore: 'deadline' must be whole milliseconds or a duration like");
    },
  );

  it.each([60_001, '1h'])('take no deadline of %s, which nobody waits for', (deadline) => {
    expect(create({ deadline })).toThrow(/^GuardedStore: 'deadline' must be .* from 1 ms to a minute; got/);
  });

  it.each([
    [{ probe: undefined }, "'probe' is missing. Without one the store would never be asked again"],
    [{ probe: 'ping' }, '"probe" must be a function, not "ping"'],
    [{ circuitOf: 'store' }, '"circuitOf" must be a function'],
    [{ isFailure: true }, '"isFailure" must be a function'],
    [{ onChange: [] }, '"onChange" must be a function'],
    [{ clock: {} }, "'clock' needs the methods now() and after()"],
    [{ timeout: 50 }, 'GuardedStore has no option "timeout"'],
  ])('are checked: %o', (options, message) => {
    expect(create(options)).toThrow(message);
  });

  it('are those of a store', () => {
    expect(() => new GuardedStore({} as Store, { deadline: 50, probe: async () => {} })).toThrow(
      "GuardedStore: 'store' must be a store",
    );
  });
});
