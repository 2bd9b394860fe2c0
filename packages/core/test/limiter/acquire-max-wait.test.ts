import { describe, expect, test } from 'vitest';
import type { AlgorithmName } from '../../src/index.ts';
import { asyncStore } from './async-store.ts';
import { setUp, tenPerSecond } from './waiters.ts';

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
