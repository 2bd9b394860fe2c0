import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createLimiter, MemoryStore, systemClock } from '../src/index.ts';

const day = 86_400_000;

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

describe('the system clock', () => {
  test('counts whole microseconds since the epoch, never backwards', () => {
    vi.useRealTimers();
    const before = Date.now();
    let last = systemClock.now();
    expect(Math.abs(last / 1_000 - before)).toBeLessThan(60_000);
    for (let i = 0; i < 10_000; i++) {
      const now = systemClock.now();
      expect(Number.isSafeInteger(now)).toBe(true);
      expect(now).toBeGreaterThanOrEqual(last);
      last = now;
    }
  });

  test('waits longer than a 32-bit timer can', () => {
    let runs = 0;
    systemClock.after(100 * day, () => runs++);
    vi.advanceTimersByTime(100 * day - 1);
    expect(runs).toBe(0);
    vi.advanceTimersByTime(1);
    expect(runs).toBe(1);
    vi.advanceTimersByTime(100 * day);
    expect(runs).toBe(1);
  });

  test('can be told not to, also after the first of several timers', () => {
    let runs = 0;
    const cancel = systemClock.after(100 * day, () => runs++);
    vi.advanceTimersByTime(60 * day);
    cancel();
    expect(vi.getTimerCount()).toBe(0);
    vi.advanceTimersByTime(100 * day);
    expect(runs).toBe(0);
  });

  test('does not run early when the runtime does', () => {
    let runs = 0;
    systemClock.after(10, () => runs++);
    // The timer fires while the clock has half a millisecond to go.
    const now = vi.spyOn(performance, 'now').mockReturnValue(performance.now() + 9.5);
    vi.advanceTimersByTime(10);
    expect(runs).toBe(0);
    now.mockRestore();
    vi.advanceTimersByTime(1);
    expect(runs).toBe(1);
  });

  test('lets acquire wait for a month', async () => {
    // Without the sweep, which would run every second of the month.
    const store = new MemoryStore({ clock: { now: systemClock.now, after: () => () => {} } });
    const limiter = createLimiter({ policies: { algorithm: 'token-bucket', limit: 1, window: '30d' }, store });
    await limiter.acquire('key');
    let granted = false;
    const waiting = limiter.acquire('key').then(() => {
      granted = true;
    });
    await vi.advanceTimersByTimeAsync(30 * day - 1_000);
    expect(granted).toBe(false);
    await vi.advanceTimersByTimeAsync(1_001);
    await waiting;
    expect(granted).toBe(true);
    await limiter.close();
  });
});
