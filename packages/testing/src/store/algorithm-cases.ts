import assert from 'node:assert/strict';
import { type Declare, grants, never, policyOf, refuses } from './bench.js';

/** What one algorithm does and the others do not. */
export function algorithmCases(always: Declare, timed: Declare): void {
  always('token-bucket: the burst is the capacity', async (bench) => {
    const policy = policyOf({ algorithm: 'token-bucket', limit: 2, burst: 6 });
    grants(await bench.take(policy, 'alice', 6), 0);
    refuses(await bench.take(policy, 'alice'), 0);
    assert.equal((await bench.take(policy, 'alice', 7)).retryAfter, never);
  });

  timed('token-bucket: refills continuously', async (bench) => {
    const policy = policyOf({ algorithm: 'token-bucket', limit: 10, window: '1s' });
    await bench.take(policy, 'alice', 10);
    await bench.clock.pass(250);
    assert.equal(await bench.remaining(policy, 'alice'), 2);
    grants(await bench.take(policy, 'alice', 2), 0);
    // The half that was left over is not lost.
    await bench.clock.pass(50);
    grants(await bench.take(policy, 'alice'), 0);
  });

  timed('leaky-bucket: a grant carries the time until the drain reaches it', async (bench) => {
    const policy = policyOf({ algorithm: 'leaky-bucket', limit: 5, window: '10s', burst: 3 });
    const decisions = [];
    for (let i = 0; i < 4; i++) decisions.push(await bench.take(policy, 'alice'));
    assert.deepEqual(
      decisions.map(({ delay }) => delay),
      [0, 2_000, 4_000, 0],
    );
    assert.deepEqual(
      decisions.map(({ allowed }) => allowed),
      [true, true, true, false],
    );
  });

  timed('fixed-window: the next aligned window starts with all units', async (bench) => {
    const policy = policyOf({ algorithm: 'fixed-window', limit: 3, window: '10s' });
    await bench.clock.pass(9_999.999);
    await bench.take(policy, 'alice', 3);
    refuses(await bench.take(policy, 'alice'), 0);
    await bench.clock.pass(0.001);
    grants(await bench.take(policy, 'alice'), 2);
  });

  timed("fixed-window: with anchor 'first', a window starts at the key's first unit", async (bench) => {
    const policy = policyOf({ algorithm: 'fixed-window', limit: 3, window: '10s', anchor: 'first' });
    await bench.clock.pass(9_000);
    await bench.take(policy, 'alice', 3);
    await bench.clock.pass(9_999.999);
    refuses(await bench.take(policy, 'alice'), 0);
    await bench.clock.pass(0.001);
    grants(await bench.take(policy, 'alice'), 2);
  });

  timed('fixed-window: units of a past window are not given back to the present one', async (bench) => {
    const policy = policyOf({ algorithm: 'fixed-window', limit: 5, window: '10s' });
    const past = await bench.take(policy, 'alice', 3);
    await bench.clock.pass(10_000);
    const present = await bench.take(policy, 'alice', 4);
    await bench.release(policy, 'alice', 3, past.at);
    assert.equal(await bench.remaining(policy, 'alice'), 1);
    await bench.release(policy, 'alice', 4, present.at);
    assert.equal(await bench.remaining(policy, 'alice'), 5);
  });

  timed('sliding-window-counter: units of the window before are given back to that one', async (bench) => {
    const policy = policyOf({ algorithm: 'sliding-window-counter', limit: 8, window: '10s' });
    const past = await bench.take(policy, 'alice', 4);
    await bench.clock.pass(15_000);
    await bench.take(policy, 'alice', 3);
    assert.equal(await bench.remaining(policy, 'alice'), 3);
    await bench.release(policy, 'alice', 4, past.at);
    assert.equal(await bench.remaining(policy, 'alice'), 5);
  });

  timed('sliding-window-log: never more than the limit in any window', async (bench) => {
    const policy = policyOf({ algorithm: 'sliding-window-log', limit: 4, window: '10s' });
    await bench.clock.pass(9_000);
    grants(await bench.take(policy, 'alice', 3), 1);
    await bench.clock.pass(2_000);
    grants(await bench.take(policy, 'alice', 1), 0);
    await bench.clock.pass(7_999.999);
    refuses(await bench.take(policy, 'alice'), 0);
    await bench.clock.pass(0.001);
    grants(await bench.take(policy, 'alice', 3), 0);
  });
}
