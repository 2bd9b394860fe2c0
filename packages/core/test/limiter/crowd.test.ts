import { ManualClock } from '@sluice/testing';
import { expect, test } from 'vitest';
import { createLimiter } from '../../src/index.ts';
import { WaitingRoom } from '../../src/limiter/waiting-room.ts';
import { compilePolicies } from '../../src/policy.ts';

/** A clock that counts how often it is asked to call back. */
class CountingClock extends ManualClock {
  asked = 0;

  override after(ms: number, run: () => void): () => void {
    this.asked++;
    return super.after(ms, run);
  }
}

test('a crowd that is held by a leaky bucket shares one timer, also when all of it leaves', async () => {
  const clock = new CountingClock();
  const limiter = createLimiter({ policies: '4000/1m', algorithm: 'leaky-bucket', clock });
  const controller = new AbortController();
  const left = { aborted: 0, closed: 0 };
  for (let i = 0; i < 2_000; i++) {
    limiter.acquire('key', { signal: controller.signal }).catch(() => left.aborted++);
    limiter.acquire('key').catch(({ code }) => {
      if (code === 'CLOSED') left.closed++;
    });
  }
  await clock.pass(0);
  controller.abort();
  await clock.pass(0);
  await limiter.close();
  await clock.pass(0);
  // The very first is not held.
  expect(left).toEqual({ aborted: 1_999, closed: 2_000 });
  expect(clock.asked).toBeLessThan(20);
  expect(clock.pending).toBe(0);
});

test('a line is gone when the last waiter is, served or not', async () => {
  const clock = new ManualClock();
  let allowed = false;
  const at = clock.now() / 1_000;
  const shape = { policy: 'p', limit: 1, remaining: 0, resetAfter: 1_000, delay: 0, at, source: 'store' } as const;
  const answer = () => ({ ...shape, allowed, retryAfter: allowed ? 0 : 1_000 });
  const policies = compilePolicies(['1/1s'], 'policies');
  const room = new WaitingRoom({ policies, clock, consume: answer, peek: answer, release: () => {} });
  const controller = new AbortController();
  const ends = Array.from({ length: 100 }, (_, i) =>
    room.enter(`key-${i}`, 1, Number.POSITIVE_INFINITY, i % 2 === 0 ? controller.signal : undefined).catch(() => {}),
  );
  await clock.pass(0);
  expect(room.lines).toBe(100);
  controller.abort();
  await clock.pass(0);
  expect(room.lines).toBe(50);
  allowed = true;
  await clock.pass(1_000);
  await Promise.all(ends);
  expect(room.lines).toBe(0);
});
