import { ManualClock } from '@sluice/testing';
import { describe, expect, test } from 'vitest';
import { type AlgorithmName, createLimiter, MemoryStore, type PolicyInput, type Store } from '../../src/index.ts';
import { asyncStore } from './async-store.ts';

const tenPerSecond = { algorithm: 'token-bucket', limit: 10, window: '1s' } as const;

/** A limiter on a clock of the test, with a store that counts what it is asked. */
function setUp(policies: PolicyInput | readonly PolicyInput[], wrap: (store: MemoryStore) => Store = (store) => store) {
  const clock = new ManualClock();
  const memory = new MemoryStore({ clock: { now: () => clock.now(), after: () => () => {} } });
  const inner = wrap(memory);
  const asked = { consume: 0, release: 0 };
  const store: Store = {
    consume: (charges) => {
      asked.consume++;
      return inner.consume(charges);
    },
    peek: (charges) => inner.peek(charges),
    release: (refunds) => {
      asked.release++;
      return inner.release(refunds);
    },
    reset: (key, all) => inner.reset(key, all),
  };
  const limiter = createLimiter({ policies, store, clock });
  const start = clock.now();
  const log: string[] = [];
  /** Acquires, and writes down who was granted when, or why not. */
  const enter = (name: string, options: { cost?: number; maxWait?: number; signal?: AbortSignal } = {}, key = 'key') =>
    limiter.acquire(key, options).then(
      () => log.push(`${name} at ${(clock.now() - start) / 1_000}`),
      (error) => log.push(`${name}: ${error?.code ?? error?.message ?? error}`),
    );
  return { clock, memory, limiter, asked, log, enter };
}

describe('acquire', () => {
  test('is granted at once while there are units', async () => {
    const { limiter, asked, clock } = setUp(tenPerSecond);
    expect(await limiter.acquire('key', { cost: 4 })).toMatchObject({ allowed: true, remaining: 6 });
    expect(await limiter.acquire('key')).toMatchObject({ allowed: true, remaining: 5 });
    expect(asked.consume).toBe(2);
    expect(clock.pending).toBe(0);
  });

  test('serves in order of arrival, though a later one wants less', async () => {
    const { clock, enter, log } = setUp(tenPerSecond);
    enter('a', { cost: 10 });
    enter('b', { cost: 8 });
    enter('c', { cost: 1 });
    enter('d', { cost: 5 });
    await clock.pass(2_000);
    expect(log).toEqual(['a at 0', 'b at 800', 'c at 900', 'd at 1400']);
  });

  const moments: [AlgorithmName, string[]][] = [
    ['fixed-window', ['a at 0', 'b at 0', 'c at 10000', 'd at 10000', 'e at 20000']],
    ['sliding-window-log', ['a at 0', 'b at 0', 'c at 10000', 'd at 10000', 'e at 20000']],
    ['sliding-window-counter', ['a at 0', 'b at 0', 'c at 10000.001', 'd at 15000.001', 'e at 20000.001']],
    ['token-bucket', ['a at 0', 'b at 0', 'c at 5000', 'd at 10000', 'e at 15000']],
    ['leaky-bucket', ['a at 0', 'b at 5000', 'c at 10000', 'd at 15000', 'e at 20000']],
  ];
  test.each(moments)('waits for exactly the moment that a %s names, without polling', async (algorithm, expected) => {
    const { clock, enter, log, asked } = setUp({ algorithm, limit: 2, window: '10s' });
    for (const name of ['a', 'b', 'c', 'd', 'e']) enter(name);
    await clock.pass(60_000);
    expect(log).toEqual(expected);
    // One question for each, and one more for each that had to wait.
    expect(asked.consume).toBeLessThanOrEqual(5 + 3);
    expect(clock.pending).toBe(0);
  });

  test('keeps lines of different keys apart', async () => {
    const { clock, enter, log } = setUp(tenPerSecond);
    enter('a', { cost: 10 }, 'one');
    enter('b', { cost: 10 }, 'one');
    enter('c', { cost: 10 }, 'two');
    await clock.pass(0);
    expect(log).toEqual(['a at 0', 'c at 0']);
    await clock.pass(1_000);
    expect(log).toEqual(['a at 0', 'c at 0', 'b at 1000']);
  });

  test('waits until all of several policies grant, and takes from none before', async () => {
    const { clock, enter, log, limiter } = setUp([
      { name: 'fast', algorithm: 'token-bucket', limit: 10, window: '1s' },
      { name: 'slow', algorithm: 'fixed-window', limit: 3, window: '10s' },
    ]);
    enter('a', { cost: 3 });
    enter('b', { cost: 2 });
    await clock.pass(5_000);
    expect((await limiter.peek('key', 0)).policies?.map(({ remaining }) => remaining)).toEqual([10, 0]);
    await clock.pass(5_000);
    expect(log).toEqual(['a at 0', 'b at 10000']);
  });

  test('waits again when somebody outside the line was quicker', async () => {
    const { clock, enter, log, limiter } = setUp(tenPerSecond);
    enter('a', { cost: 10 });
    enter('b', { cost: 5 });
    await clock.pass(300);
    await limiter.consume('key', 3);
    await clock.pass(200);
    expect(log).toEqual(['a at 0']);
    await clock.pass(300);
    expect(log).toEqual(['a at 0', 'b at 800']);
  });

  test('rejects at once what can never be granted', async () => {
    const { enter, log, clock, asked } = setUp([tenPerSecond, { limit: 5, window: '1m' }]);
    enter('a', { cost: 6 });
    await clock.pass(0);
    expect(log).toEqual(['a: NEVER_GRANTED']);
    expect(asked.consume).toBe(0);
    expect(clock.pending).toBe(0);
    await expect(createLimiter({ policies: '0/1m' }).acquire('key')).rejects.toMatchObject({ code: 'NEVER_GRANTED' });
  });

  test('throws for options that cannot work', async () => {
    const { limiter } = setUp(tenPerSecond);
    const acquire = (options: object) => limiter.acquire('key', options);
    for (const maxWait of [Number.NaN, -1, '5', null]) {
      await expect(acquire({ maxWait })).rejects.toMatchObject({ code: 'INVALID_OPTION' });
    }
    await expect(acquire({ signal: 'now' })).rejects.toMatchObject({ code: 'INVALID_OPTION' });
    await expect(acquire({ timeout: 5 })).rejects.toMatchObject({ code: 'UNKNOWN_OPTION' });
    expect((await limiter.peek('key')).remaining).toBe(10);
  });
});

describe('acquire with maxWait', () => {
  test('rejects at once when the units come later, and takes nothing', async () => {
    const { clock, enter, log, limiter } = setUp(tenPerSecond);
    enter('a', { cost: 10 });
    enter('b', { cost: 5, maxWait: 499 });
    await clock.pass(0);
    expect(log).toEqual(['a at 0', 'b: MAX_WAIT_EXCEEDED']);
    expect(clock.pending).toBe(0);
    await clock.pass(1_000);
    expect((await limiter.peek('key')).remaining).toBe(10);
  });

  test('is granted when the units come at that very moment', async () => {
    const { clock, enter, log } = setUp(tenPerSecond);
    enter('a', { cost: 10 });
    enter('b', { cost: 5, maxWait: 500 });
    await clock.pass(1_000);
    expect(log).toEqual(['a at 0', 'b at 500']);
    expect(clock.pending).toBe(0);
  });

  test('of 0 takes units now or not at all', async () => {
    for (const wrap of [undefined, asyncStore]) {
      const { clock, enter, log } = setUp(tenPerSecond, wrap);
      enter('a', { cost: 10, maxWait: 0 });
      await clock.pass(0);
      enter('b', { maxWait: 0 });
      await clock.pass(0);
      expect(log).toEqual(['a at 0', 'b: MAX_WAIT_EXCEEDED']);
    }
  });

  const lines: [AlgorithmName, number, number][] = [
    ['token-bucket', 4_000, 2],
    ['leaky-bucket', 5_000, 2],
    ['fixed-window', 10_000, 0],
    ['sliding-window-log', 10_000, 0],
  ];
  test.each(lines)('counts those ahead: behind others in a %s', async (algorithm, moment, rounding) => {
    const { clock, enter, log, asked } = setUp({ algorithm, limit: 10, window: '10s' });
    enter('a', { cost: 10 });
    if (algorithm === 'leaky-bucket') enter('a2', { cost: 1 });
    enter('b', { cost: 3 });
    await clock.pass(algorithm === 'leaky-bucket' ? 10_000 : 0);
    log.length = 0;
    const questions = asked.consume;
    if (algorithm === 'leaky-bucket') {
      enter('x', { cost: 10 });
      enter('y', { cost: 1 });
      // Behind 10 + 1 units and what of the first ones still drains.
      enter('early', { cost: 1, maxWait: 1_000 });
    } else {
      enter('early', { cost: 1, maxWait: moment - 1 - rounding });
    }
    await clock.pass(0);
    expect(log).toEqual(['early: MAX_WAIT_EXCEEDED']);
    expect(asked.consume - questions).toBeLessThanOrEqual(1);
    if (algorithm === 'leaky-bucket') return;
    enter('late', { cost: 1, maxWait: moment });
    await clock.pass(30_000);
    expect(log.slice(1)).toEqual([`b at ${algorithm === 'token-bucket' ? 3_000 : 10_000}`, `late at ${moment}`]);
  });

  test('counts those ahead beyond the capacity', async () => {
    const { clock, enter, log } = setUp(tenPerSecond);
    for (const name of ['a', 'b', 'c']) enter(name, { cost: 10 });
    enter('early', { cost: 10, maxWait: 2_990 });
    enter('late', { cost: 10, maxWait: 3_000 });
    await clock.pass(0);
    expect(log).toEqual(['a at 0', 'early: MAX_WAIT_EXCEEDED']);
    await clock.pass(5_000);
    expect(log.slice(2)).toEqual(['b at 1000', 'c at 2000', 'late at 3000']);
  });

  test('turns nobody away whom a sliding window counter would serve in time', async () => {
    const { clock, enter, log } = setUp({ algorithm: 'sliding-window-counter', limit: 10, window: '10s' });
    enter('before', { cost: 10 });
    await clock.pass(15_000);
    enter('now', { cost: 5 });
    await clock.pass(0);
    // Taken in this window, the units of `a` weigh less in the next one, where `b` gets its own.
    enter('a', { cost: 3 });
    enter('b', { cost: 5, maxWait: 8_000 });
    await clock.pass(20_000);
    expect(log).toEqual(['before at 0', 'now at 15000', 'a at 17000.001', 'b at 22500.001']);
  });

  test('does not count twice what the store is granting to the one ahead', async () => {
    const { clock, enter, log } = setUp(tenPerSecond, asyncStore);
    enter('a', { cost: 10 });
    enter('b', { maxWait: 500 });
    for (let i = 0; i < 3; i++) await clock.pass(0);
    await clock.pass(100);
    await clock.pass(0);
    expect(log).toEqual(['a at 0', 'b at 100']);
  });

  test('rejects who stands in line when it is over', async () => {
    const { clock, enter, log } = setUp({ algorithm: 'sliding-window-counter', limit: 1, window: '10s' });
    enter('a');
    enter('b');
    enter('c', { maxWait: 15_000 });
    await clock.pass(15_000);
    expect(log).toEqual(['a at 0', 'b at 10000.001', 'c: MAX_WAIT_EXCEEDED']);
    expect(clock.pending).toBe(0);
  });

  test('rejects in time though the store is slow, and gives back what comes too late', async () => {
    let answer = () => {};
    const { clock, enter, log, memory, limiter } = setUp(tenPerSecond, (store) => {
      return asyncStore(store, () => new Promise((resolve) => (answer = resolve)));
    });
    enter('a', { cost: 7, maxWait: 50 });
    await clock.pass(50);
    expect(log).toEqual(['a: MAX_WAIT_EXCEEDED']);
    expect(memory.size).toBe(1);
    answer();
    await clock.pass(0);
    expect(memory.size).toBe(0);
    answer();
    await clock.pass(0);
    await limiter.close();
    expect(clock.pending).toBe(0);
  });
});

describe('acquire with a signal', () => {
  const reason = new Error('changed my mind');

  test('that has aborted rejects with its reason, and asks nothing', async () => {
    const { limiter, asked } = setUp(tenPerSecond);
    await expect(limiter.acquire('key', { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    expect(asked.consume).toBe(0);
  });

  test('that aborts in line takes nothing, and makes room for those behind', async () => {
    const { clock, enter, log, limiter } = setUp(tenPerSecond);
    const controller = new AbortController();
    enter('a', { cost: 10 });
    enter('b', { cost: 10, signal: controller.signal });
    enter('c', { cost: 3 });
    await clock.pass(100);
    controller.abort(reason);
    await clock.pass(200);
    expect(log).toEqual(['a at 0', 'b: changed my mind', 'c at 300']);
    await clock.pass(1_000);
    expect((await limiter.peek('key')).remaining).toBe(10);
    expect(clock.pending).toBe(0);
  });

  test('that aborts behind the first disturbs nobody', async () => {
    const { clock, enter, log, asked } = setUp(tenPerSecond);
    const controller = new AbortController();
    enter('a', { cost: 10 });
    enter('b', { cost: 5 });
    enter('c', { signal: controller.signal });
    await clock.pass(100);
    const questions = asked.consume;
    controller.abort(reason);
    await clock.pass(0);
    expect(asked.consume).toBe(questions);
    await clock.pass(400);
    expect(log).toEqual(['a at 0', 'c: changed my mind', 'b at 500']);
  });

  test('that aborts while the store is being asked gives the units back', async () => {
    const { clock, enter, log, memory, asked } = setUp(tenPerSecond, asyncStore);
    const controller = new AbortController();
    const acquiring = enter('a', { cost: 10, signal: controller.signal });
    expect(memory.size).toBe(1);
    controller.abort(reason);
    await acquiring;
    await clock.pass(0);
    await clock.pass(0);
    expect(log).toEqual(['a: changed my mind']);
    expect(memory.size).toBe(0);
    expect(asked).toEqual({ consume: 1, release: 1 });
  });

  test('that aborts while the store is about to refuse lets the next one ask at once', async () => {
    const { clock, enter, log, limiter } = setUp(tenPerSecond, asyncStore);
    await limiter.consume('key', 7);
    const controller = new AbortController();
    enter('a', { cost: 10, signal: controller.signal });
    enter('b', { cost: 3 });
    controller.abort(reason);
    await clock.pass(0);
    await clock.pass(0);
    await clock.pass(0);
    expect(log).toEqual(['a: changed my mind', 'b at 0']);
    expect(clock.pending).toBe(0);
  });

  test('that aborts after the grant changes nothing', async () => {
    const { limiter, asked } = setUp(tenPerSecond);
    const controller = new AbortController();
    await limiter.acquire('key', { signal: controller.signal });
    controller.abort(reason);
    expect(asked.release).toBe(0);
    expect((await limiter.peek('key')).remaining).toBe(9);
  });

  test('has no listener left once the call is settled', async () => {
    const { clock, limiter } = setUp(tenPerSecond);
    const listeners = new Set<() => void>();
    const signal = {
      aborted: false,
      addEventListener: (_: 'abort', listener: () => void) => void listeners.add(listener),
      removeEventListener: (_: 'abort', listener: () => void) => void listeners.delete(listener),
    };
    await limiter.acquire('key', { cost: 10, signal });
    expect(listeners.size).toBe(0);
    const waiting = limiter.acquire('key', { signal });
    const hopeless = limiter.acquire('key', { signal, maxWait: 1 });
    expect(listeners.size).toBeGreaterThan(0);
    await expect(hopeless).rejects.toMatchObject({ code: 'MAX_WAIT_EXCEEDED' });
    await clock.pass(100);
    await waiting;
    const closed = limiter.acquire('key', { cost: 10, signal });
    await limiter.close();
    await expect(closed).rejects.toMatchObject({ code: 'CLOSED' });
    expect(listeners.size).toBe(0);
    expect(clock.pending).toBe(0);
  });
});

describe('acquire with a leaky bucket', () => {
  const drip = { algorithm: 'leaky-bucket', limit: 1, window: '1s', burst: 4 } as const;

  test('resolves evenly spaced, also beyond the queue', async () => {
    const { clock, enter, log } = setUp(drip);
    for (const name of ['a', 'b', 'c', 'd', 'e', 'f', 'g']) enter(name);
    await clock.pass(10_000);
    expect(log).toEqual(['a at 0', 'b at 1000', 'c at 2000', 'd at 3000', 'e at 4000', 'f at 5000', 'g at 6000']);
    expect(clock.pending).toBe(0);
  });

  test('moves up when one that is held leaves, and nobody overtakes', async () => {
    const { clock, enter, log } = setUp(drip);
    const controller = new AbortController();
    enter('a');
    enter('b', { signal: controller.signal });
    enter('c', { signal: controller.signal });
    enter('d');
    await clock.pass(100);
    controller.abort(new Error('left'));
    enter('e');
    await clock.pass(10_000);
    expect(log).toEqual(['a at 0', 'b: left', 'c: left', 'd at 1000', 'e at 2000']);
    expect(clock.pending).toBe(0);
  });

  test('does not let anyone overtake where units drain faster than the clock ticks', async () => {
    const { clock, enter, log } = setUp({ algorithm: 'leaky-bucket', limit: 3_000_000, window: '1s' });
    const controller = new AbortController();
    enter('a', { cost: 100 });
    for (let i = 0; i < 9; i++) enter('b', { signal: controller.signal });
    enter('c');
    await clock.pass(0);
    controller.abort(new Error('left'));
    enter('d');
    await clock.pass(1_000);
    expect(log.filter((line) => !line.startsWith('b'))).toEqual(['a at 0', 'c at 0.037', 'd at 0.037']);
  });

  test.each([
    ['at once', undefined],
    ['later', asyncStore],
  ])('wakes who waits for room when one that is held leaves, with a store that answers %s', async (_, wrap) => {
    const { clock, enter, log } = setUp(drip, wrap);
    const controller = new AbortController();
    enter('a');
    enter('b', { cost: 3, signal: controller.signal });
    for (let i = 0; i < 3; i++) await clock.pass(0);
    enter('c', { cost: 4 });
    await clock.pass(100);
    controller.abort(new Error('left'));
    for (let i = 0; i < 3; i++) await clock.pass(0);
    await clock.pass(900);
    for (let i = 0; i < 3; i++) await clock.pass(0);
    expect(log).toEqual(['a at 0', 'b: left', 'c at 1000']);
  });

  test('with maxWait rejects what the drain would reach too late, and gives the units back', async () => {
    const { clock, enter, log, limiter } = setUp(drip);
    enter('a');
    enter('b');
    enter('early', { maxWait: 1_900 });
    enter('late', { maxWait: 2_000 });
    await clock.pass(2_000);
    expect(log).toEqual(['a at 0', 'early: MAX_WAIT_EXCEEDED', 'b at 1000', 'late at 2000']);
    // The units of the last one are the only ones that have not drained.
    expect((await limiter.peek('key')).remaining).toBe(3);
  });
});

describe('who waits is woken', () => {
  test.each([
    ['at once', undefined],
    ['later', asyncStore],
  ])('when units are released or the key is reset, with a store that answers %s', async (_, wrap) => {
    const { clock, enter, log, limiter } = setUp({ algorithm: 'fixed-window', limit: 10, window: '1h' }, wrap);
    enter('a', { cost: 10 });
    enter('b', { cost: 4 });
    enter('c', { cost: 4 });
    await clock.pass(1_000);
    expect(log).toEqual(['a at 0']);
    await limiter.release('key', 4);
    for (let i = 0; i < 3; i++) await clock.pass(0);
    expect(log).toEqual(['a at 0', 'b at 1000']);
    await clock.pass(1_000);
    await limiter.reset('key');
    for (let i = 0; i < 3; i++) await clock.pass(0);
    expect(log).toEqual(['a at 0', 'b at 1000', 'c at 2000']);
    expect(clock.pending).toBe(0);
  });

  test('though the units came back while the store was about to refuse', async () => {
    const held: (() => void)[] = [];
    const { clock, enter, log, limiter, memory } = setUp(
      { algorithm: 'fixed-window', limit: 10, window: '1h' },
      (store) => asyncStore(store, () => new Promise((resolve) => held.push(resolve))),
    );
    const answer = async () => {
      held.shift()?.();
      await clock.pass(0);
    };
    enter('a', { cost: 10 });
    await answer();
    enter('b', { cost: 10 });
    await clock.pass(0);
    // The refusal of b is on its way; the release overtakes it.
    const releasing = limiter.release('key', 10);
    await clock.pass(0);
    held.reverse();
    await answer();
    await releasing;
    expect(memory.size).toBe(0);
    await answer();
    await answer();
    expect(log).toEqual(['a at 0', 'b at 0']);
  });

  test('and turned away when the limiter is closed', async () => {
    const { clock, enter, log, limiter, memory } = setUp({
      algorithm: 'leaky-bucket',
      limit: 1,
      window: '1s',
      burst: 3,
    });
    enter('a');
    enter('held');
    enter('held too');
    enter('in line', { maxWait: 60_000 });
    enter('another', { cost: 3 }, 'other');
    enter('of another', { cost: 3 }, 'other');
    await clock.pass(0);
    await limiter.close();
    await clock.pass(0);
    expect(log.slice(0, 2)).toEqual(['a at 0', 'another at 0']);
    expect(log.slice(2).sort()).toEqual(['held too: CLOSED', 'held: CLOSED', 'in line: CLOSED', 'of another: CLOSED']);
    expect(clock.pending).toBe(0);
    // What had been taken for those who were held is given back.
    expect(memory.size).toBe(2);
    await clock.pass(60_000);
    expect(log.length).toBe(6);
  });
});

describe('a store that fails', () => {
  test('while it is asked, fails that waiter only', async () => {
    const broken = new Error('broken pipe');
    for (const wrap of [(store: MemoryStore): Store => store, asyncStore]) {
      const { clock, enter, log } = setUp(tenPerSecond, (memory) => {
        const inner = wrap(memory);
        let calls = 0;
        return {
          consume: (charges) => {
            if (++calls === 2) throw broken;
            return inner.consume(charges);
          },
          peek: (charges) => inner.peek(charges),
          release: (refunds) => inner.release(refunds),
          reset: (key, policies) => inner.reset(key, policies),
        };
      });
      for (const name of ['a', 'b', 'c']) enter(name);
      for (let i = 0; i < 4; i++) await clock.pass(0);
      expect(log).toEqual(['a at 0', 'b: broken pipe', 'c at 0']);
    }
  });

  test('while it is peeked at for one who joins the line, fails that waiter only, and takes nothing for it', async () => {
    const { clock, enter, log, limiter } = setUp(tenPerSecond, (memory) => ({
      consume: (charges) => memory.consume(charges),
      peek: () => {
        throw new Error('no peeking');
      },
      release: (refunds) => memory.release(refunds),
      reset: (key, policies) => memory.reset(key, policies),
    }));
    enter('a', { cost: 10 });
    enter('b');
    enter('c', { maxWait: 5_000 });
    enter('d');
    await clock.pass(5_000);
    expect(log).toEqual(['a at 0', 'c: no peeking', 'b at 100', 'd at 200']);
    expect(clock.pending).toBe(0);
    expect((await limiter.consume('key', 10)).allowed).toBe(true);
  });

  test('to take units back, still lets the waiter go', async () => {
    const { clock, enter, log } = setUp({ algorithm: 'leaky-bucket', limit: 1, window: '1s', burst: 2 }, (memory) => ({
      consume: (charges) => memory.consume(charges),
      peek: (charges) => memory.peek(charges),
      release: () => {
        throw new Error('no way back');
      },
      reset: (key, policies) => memory.reset(key, policies),
    }));
    const controller = new AbortController();
    enter('a');
    enter('b', { signal: controller.signal });
    await clock.pass(0);
    controller.abort(new Error('left'));
    await clock.pass(0);
    expect(log).toEqual(['a at 0', 'b: left']);
    expect(clock.pending).toBe(0);
  });
});
