import assert from 'node:assert/strict';
import { algorithmNames, type Declare, grants, policyOf, refuses } from './bench.js';

/** What an algorithm answers after 1 of 4 units per 10 s at an aligned instant, and 3 more a second later. */
const exact: Readonly<Record<(typeof algorithmNames)[number], { retryAfter: number; resetAfter: number }>> = {
  'fixed-window': { retryAfter: 9_000, resetAfter: 9_000 },
  'sliding-window-log': { retryAfter: 9_000, resetAfter: 10_000 },
  'sliding-window-counter': { retryAfter: 9_000.001, resetAfter: 16_500.001 },
  'token-bucket': { retryAfter: 1_500, resetAfter: 9_000 },
  'leaky-bucket': { retryAfter: 1_500, resetAfter: 9_000 },
};

/** What every algorithm promises about time. */
export function timeCases(timed: Declare): void {
  for (const algorithm of algorithmNames) {
    timed(`${algorithm}: retryAfter and resetAfter are exact to the microsecond`, async (bench) => {
      const policy = policyOf({ algorithm, limit: 4, window: '10s' });
      await bench.take(policy, 'alice');
      await bench.clock.pass(1_000);
      const last = await bench.take(policy, 'alice', 3);
      grants(last, 0);
      assert.equal(last.resetAfter, exact[algorithm].resetAfter);
      assert.equal(last.at, bench.clock.now() / 1_000);
      const refused = await bench.take(policy, 'alice');
      refuses(refused, 0);
      assert.equal(refused.retryAfter, exact[algorithm].retryAfter);
      assert.equal(refused.resetAfter, exact[algorithm].resetAfter);
    });

    timed(`${algorithm}: refused one microsecond before retryAfter, granted at it`, async (bench) => {
      const policy = policyOf({ algorithm, limit: 7, window: '10s' });
      for (let i = 0; i < 7; i++) {
        await bench.take(policy, 'alice');
        await bench.clock.pass(37.003);
      }
      const { retryAfter } = await bench.take(policy, 'alice', 5);
      await bench.clock.pass(retryAfter - 0.001);
      assert.equal((await bench.take(policy, 'alice', 5)).allowed, false);
      await bench.clock.pass(0.001);
      assert.equal((await bench.take(policy, 'alice', 5)).allowed, true);
    });

    timed(`${algorithm}: a key is as fresh as new after resetAfter, and not one microsecond before`, async (bench) => {
      const policy = policyOf({ algorithm, limit: 7, window: '10s' });
      await bench.take(policy, 'alice', 3);
      await bench.clock.pass(1_234.567);
      const { resetAfter } = await bench.take(policy, 'alice', 2);
      await bench.clock.pass(resetAfter - 0.001);
      assert.ok((await bench.peek(policy, 'alice')).resetAfter > 0);
      await bench.clock.pass(0.001);
      const fresh = await bench.peek(policy, 'alice', 7);
      grants(fresh, 7);
      assert.equal(fresh.resetAfter, 0);
    });

    timed(`${algorithm}: a clock that steps back refills nothing, and locks nobody out for longer`, async (bench) => {
      const policy = policyOf({ algorithm, limit: 4, window: '10s' });
      await bench.take(policy, 'alice', 4);
      bench.clock.jump(-3_600_000);
      const { allowed, retryAfter } = await bench.take(policy, 'alice');
      assert.equal(allowed, false);
      assert.ok(retryAfter <= 10_000.001, `retryAfter is ${retryAfter} ms`);
      await bench.clock.pass(retryAfter);
      assert.equal((await bench.take(policy, 'alice')).allowed, true);
    });
  }
}
