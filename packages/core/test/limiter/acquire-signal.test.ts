import { describe, expect, test } from 'vitest';
import { asyncStore } from './async-store.ts';
import { setUp, tenPerSecond } from './waiters.ts';

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
