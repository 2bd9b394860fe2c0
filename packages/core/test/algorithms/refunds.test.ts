import { ManualClock } from '@sluice/testing';
import { expect, test } from 'vitest';
import { createLimiter } from '../../src/index.ts';

test.each(['token-bucket', 'leaky-bucket'] as const)(
  'a %s gives back only what has not refilled since the grant',
  async (algorithm) => {
    const clock = new ManualClock();
    const limiter = createLimiter({ policies: '100/1m', algorithm, clock });
    const slow = limiter.consumeSync('key', 100);
    clock.advance(60_000);
    expect(limiter.consumeSync('key', 100).allowed).toBe(true);
    clock.advance(30_000);
    await limiter.release('key', 100, slow);
    // Half of the second hundred has refilled; the first hundred has been there all along.
    expect((await limiter.peek('key')).remaining).toBe(50);
  },
);

test('a token bucket gives back in full what is released at once', async () => {
  const limiter = createLimiter({ policies: '100/1m', algorithm: 'token-bucket', clock: new ManualClock() });
  const granted = limiter.consumeSync('key', 100);
  await limiter.release('key', 60, granted);
  expect((await limiter.peek('key')).remaining).toBe(60);
});

test('a log refuses and gives back in the same way however long it is', async () => {
  const clock = new ManualClock();
  const limiter = createLimiter({ policies: '50/1m', algorithm: 'sliding-window-log', clock });
  const granted = [];
  for (let i = 0; i < 50; i++) {
    granted.push(limiter.consumeSync('key'));
    clock.advance(100);
  }
  for (const decision of granted.slice(10, 20)) await limiter.release('key', 1, decision);
  expect((await limiter.peek('key')).remaining).toBe(10);
  // The first ten have left after a minute, the tenth of them at 60.9 s after the start.
  clock.advance(60_900 - 5_000);
  expect((await limiter.peek('key')).remaining).toBe(20);
});
