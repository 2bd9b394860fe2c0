import assert from 'node:assert/strict';
import { type CompiledPolicy, compilePenalty, type PenaltyOptions } from '@sluice/core';
import { type Declare, grants, policyOf, refuses } from './bench.js';

/** What a store does with the breaches of a key, and with a key that is blocked. */
export function penaltyCases(always: Declare, timed: Declare): void {
  always('penalty: a look passes until the key is blocked, and records nothing', async (bench) => {
    const policy = blockOf({ blockFor: '100d', escalate: true, longest: '300d' });
    for (let i = 0; i < 3; i++) {
      const look = await bench.take(policy, 'alice', 0);
      grants(look, 1);
      assert.equal(look.resetAfter, 0, 'a fresh key stays fresh');
    }
    refuses(await bench.take(policy, 'alice'), 0);
    for (let i = 0; i < 3; i++) refuses(await bench.take(policy, 'alice', 0), 0);
  });

  always('penalty: a breach blocks the key it is of, and no other', async (bench) => {
    const policy = blockOf({ blockFor: '100d' });
    const breach = await bench.take(policy, 'alice');
    refuses(breach, 0);
    assert.equal(breach.retryAfter, 100 * day);
    assert.deepEqual([breach.policy, breach.limit], ['suite-block', 1]);
    grants(await bench.take(policy, 'bob', 0), 1);
  });

  always('penalty: a breach that is only peeked at is not recorded', async (bench) => {
    const policy = blockOf({ blockFor: '100d' });
    for (let i = 0; i < 3; i++) grants(await bench.peek(policy, 'alice'), 1);
    refuses(await bench.take(policy, 'alice'), 0);
    refuses(await bench.peek(policy, 'alice'), 0);
  });

  always('penalty: many breaches at once are one, whatever their cost', async (bench) => {
    const policy = blockOf({ blockFor: '100d', escalate: true, longest: '300d' });
    const breaches = await Promise.all(Array.from({ length: 50 }, (_, i) => bench.take(policy, 'alice', i + 1)));
    for (const breach of breaches) {
      refuses(breach, 0);
      assert.ok(breach.retryAfter <= 100 * day, 'the block has not doubled');
    }
  });

  always('penalty: a ban begins with the last of its breaches, and counts each as one', async (bench) => {
    const policy = banOf({ banAfter: 4, banFor: '100d' });
    grants(await bench.take(policy, 'alice', 7), 3);
    grants(await bench.take(policy, 'alice'), 2);
    grants(await bench.take(policy, 'alice'), 1);
    grants(await bench.take(policy, 'alice', 0), 1);
    refuses(await bench.take(policy, 'alice'), 0);
    refuses(await bench.take(policy, 'alice', 0), 0);
  });

  always('penalty: a limit beside a block charges nothing to a key that is blocked', async (bench) => {
    const block = blockOf({ blockFor: '100d' });
    const limit = policyOf({ name: 'beside', algorithm: 'fixed-window', limit: 5 });
    const request = () =>
      bench.takeAll({ policy: block, key: 'alice', cost: 0 }, { policy: limit, key: 'alice', cost: 1 });
    const [look, granted] = await request();
    grants(look!, 1);
    grants(granted!, 4);
    await bench.take(block, 'alice');
    for (let i = 0; i < 3; i++) {
      const [blocked, beside] = await request();
      refuses(blocked!, 0);
      grants(beside!, 4);
    }
    assert.equal(await bench.remaining(limit, 'alice'), 4);
  });

  always('penalty: a block and a ban are recorded in one step, and neither while the key is blocked', async (bench) => {
    const { block, ban } = compilePenalty({ blockFor: '100d', banAfter: 3, banFor: '200d' }, 'storeSuite', 'suite');
    const charges = [block!, ban!].map((policy) => ({ policy, key: 'alice', cost: 1 }));
    for (let i = 0; i < 5; i++) {
      const [blocked, banned] = await bench.takeAll(...charges);
      refuses(blocked!, 0);
      grants(banned!, 2);
    }
    await bench.store.reset('alice', [block!]);
    const [blocked, banned] = await bench.takeAll(...charges);
    refuses(blocked!, 0);
    grants(banned!, 1);
  });

  always('penalty: a breach is not undone by giving units back', async (bench) => {
    const block = blockOf({ blockFor: '100d' });
    const ban = banOf({ banAfter: 3 });
    const { at } = await bench.take(block, 'alice');
    await bench.take(ban, 'alice');
    await bench.release(block, 'alice', 1, at);
    await bench.release(block, 'alice', 5);
    await bench.release(ban, 'alice', 1);
    refuses(await bench.take(block, 'alice', 0), 0);
    grants(await bench.take(ban, 'alice', 0), 2);
  });

  always('penalty: reset forgets the breaches of a key', async (bench) => {
    const policy = blockOf({ blockFor: '100d' });
    await bench.take(policy, 'alice');
    await bench.take(policy, 'bob');
    await bench.store.reset('alice', [policy]);
    const look = await bench.take(policy, 'alice', 0);
    grants(look, 1);
    assert.equal(look.resetAfter, 0);
    refuses(await bench.take(policy, 'bob', 0), 0);
  });

  timed('penalty: a block lasts until its retryAfter, to the microsecond', async (bench) => {
    const policy = blockOf({ blockFor: '15m' });
    await bench.take(policy, 'alice');
    await bench.clock.pass(1_234.567);
    const again = await bench.take(policy, 'alice');
    refuses(again, 0);
    assert.equal(again.retryAfter, 900_000 - 1_234.567);
    assert.equal(again.resetAfter, again.retryAfter);
    await bench.clock.pass(again.retryAfter - 0.001);
    refuses(await bench.take(policy, 'alice', 0), 0);
    await bench.clock.pass(0.001);
    const look = await bench.take(policy, 'alice', 0);
    grants(look, 1);
    assert.equal(look.resetAfter, 0);
  });

  timed('penalty: each further breach doubles the block, up to the longest', async (bench) => {
    const policy = blockOf({ blockFor: '15m', escalate: true, longest: '90m', forgetAfter: '2h' });
    for (const minutes of [15, 30, 60, 90, 90]) {
      const breach = await bench.take(policy, 'alice');
      assert.equal(breach.retryAfter, minutes * 60_000);
      assert.equal(breach.resetAfter, (minutes + 120) * 60_000);
      await bench.clock.pass(breach.retryAfter + 60_000);
      grants(await bench.take(policy, 'alice', 0), 1);
    }
  });

  timed('penalty: breaches are forgotten at resetAfter, and not one microsecond before', async (bench) => {
    const policy = blockOf({ blockFor: '15m', escalate: true, forgetAfter: '2h' });
    for (const [early, minutes] of [
      [0.001, 30],
      [0, 15],
    ] as const) {
      await bench.store.reset('alice', [policy]);
      const { resetAfter } = await bench.take(policy, 'alice');
      await bench.clock.pass(resetAfter - early);
      assert.equal((await bench.take(policy, 'alice')).retryAfter, minutes * 60_000);
    }
    const ban = banOf({ banAfter: 2, forgetAfter: '2h' });
    for (let i = 0; i < 3; i++) {
      grants(await bench.take(ban, 'alice'), 1);
      await bench.clock.pass(2 * 3_600_000);
    }
  });

  timed('penalty: with restart, each refusal while blocked starts the block anew', async (bench) => {
    const policy = blockOf({ blockFor: '10s', restart: true });
    await bench.take(policy, 'alice');
    for (let i = 0; i < 4; i++) {
      await bench.clock.pass(9_000);
      assert.equal((await bench.take(policy, 'alice', 0)).retryAfter, 1_000, 'a look starts nothing');
      assert.equal((await bench.take(policy, 'alice')).retryAfter, 10_000);
    }
    await bench.clock.pass(10_000);
    grants(await bench.take(policy, 'alice', 0), 1);
  });

  timed('penalty: a clock that steps back blocks nobody for longer than the block', async (bench) => {
    const policy = blockOf({ blockFor: '15m' });
    await bench.take(policy, 'alice');
    bench.clock.jump(-10 * 3_600_000);
    assert.equal((await bench.take(policy, 'alice')).retryAfter, 900_000);
    await bench.clock.pass(900_000 - 0.001);
    refuses(await bench.take(policy, 'alice', 0), 0);
    await bench.clock.pass(0.001);
    grants(await bench.take(policy, 'alice', 0), 1);
  });
}

const day = 86_400_000;

function blockOf(options: PenaltyOptions): CompiledPolicy {
  return compilePenalty(options, 'storeSuite', 'suite').block!;
}

function banOf(options: PenaltyOptions): CompiledPolicy {
  return compilePenalty(options, 'storeSuite', 'suite').ban!;
}
