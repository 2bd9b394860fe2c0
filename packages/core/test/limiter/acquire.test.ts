import { describe, expect, test } from 'vitest';
import { type AlgorithmName, createLimiter, type MemoryStore, type Store } from '../../src/index.ts';
import { asyncStore } from './async-store.ts';
import { setUp, tenPerSecond } from './waiters.ts';

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
