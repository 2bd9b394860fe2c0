import assert from 'node:assert/strict';
import {
  type Charge,
  type CompiledPolicy,
  compilePolicies,
  type Decision,
  type Policy,
  type Store,
} from '@sluice/core';
import type { ManualClock } from './manual-clock.js';

export const algorithmNames = [
  'fixed-window',
  'sliding-window-log',
  'sliding-window-counter',
  'token-bucket',
  'leaky-bucket',
] as const;

/** One rule that a store keeps, and a program that fails where it does not. */
export interface StoreCase {
  readonly title: string;
  /** Whether the case advances the clock. */
  readonly needsTime: boolean;
  run(bench: StoreBench): Promise<void>;
}

/** A StoreBench puts questions to the store under test. */
export class StoreBench {
  readonly store: Store;
  readonly clock: ManualClock;

  constructor(store: Store, clock: ManualClock) {
    this.store = store;
    this.clock = clock;
  }

  async take(policy: CompiledPolicy, key: string, cost = 1): Promise<Decision> {
    return only(await this.store.consume([{ policy, key, cost }]));
  }

  async takeAll(...charges: readonly Charge[]): Promise<readonly Decision[]> {
    return this.store.consume(charges);
  }

  async peek(policy: CompiledPolicy, key: string, cost = 1): Promise<Decision> {
    return only(await this.store.peek([{ policy, key, cost }]));
  }

  async remaining(policy: CompiledPolicy, key: string): Promise<number> {
    return (await this.peek(policy, key)).remaining;
  }

  async release(policy: CompiledPolicy, key: string, cost: number, at?: number): Promise<void> {
    await this.store.release([{ policy, key, cost, at }]);
  }
}

/** Compiles one policy. The window is so long that cases on real time see nothing come back. */
export function policyOf(policy: Omit<Policy, 'window'> & Partial<Policy>): CompiledPolicy {
  return compilePolicies([{ window: '300d', ...policy }], 'storeSuite')[0]!;
}

function only(decisions: readonly Decision[]): Decision {
  assert.equal(decisions.length, 1, 'one charge has one decision');
  return decisions[0]!;
}

function grants(decision: Decision, remaining: number): void {
  assert.equal(decision.allowed, true, 'granted');
  assert.equal(decision.remaining, remaining, 'remaining');
  assert.equal(decision.retryAfter, 0, 'retryAfter of a grant');
}

function refuses(decision: Decision, remaining: number): void {
  assert.equal(decision.allowed, false, 'refused');
  assert.equal(decision.remaining, remaining, 'remaining');
  assert.ok(decision.retryAfter > 0, 'retryAfter of a refusal is greater than 0');
  assert.equal(decision.delay, 0, 'a refusal carries no delay');
}

const never = Number.POSITIVE_INFINITY;

/** What an algorithm answers after 1 of 4 units per 10 s at an aligned instant, and 3 more a second later. */
const exact: Readonly<Record<(typeof algorithmNames)[number], { retryAfter: number; resetAfter: number }>> = {
  'fixed-window': { retryAfter: 9_000, resetAfter: 9_000 },
  'sliding-window-log': { retryAfter: 9_000, resetAfter: 10_000 },
  'sliding-window-counter': { retryAfter: 9_000.001, resetAfter: 16_500.001 },
  'token-bucket': { retryAfter: 1_500, resetAfter: 9_000 },
  'leaky-bucket': { retryAfter: 1_500, resetAfter: 9_000 },
};

const cases: StoreCase[] = [];
const always = (title: string, run: StoreCase['run']) => cases.push({ title, needsTime: false, run });
const timed = (title: string, run: StoreCase['run']) => cases.push({ title, needsTime: true, run });

for (const algorithm of algorithmNames) {
  always(`${algorithm}: grants exactly the limit, then refuses`, async (bench) => {
    const policy = policyOf({ name: 'calls', algorithm, limit: 5 });
    for (let left = 4; left >= 0; left--) {
      const decision = await bench.take(policy, 'alice');
      grants(decision, left);
      assert.equal(decision.policy, 'calls');
      assert.equal(decision.limit, 5);
      assert.ok(decision.resetAfter > 0, 'a key that has taken units is not fresh');
    }
    for (let i = 0; i < 3; i++) {
      const decision = await bench.take(policy, 'alice');
      refuses(decision, 0);
      assert.notEqual(decision.retryAfter, never);
    }
  });

  always(`${algorithm}: a cost takes that many units, or none`, async (bench) => {
    const policy = policyOf({ algorithm, limit: 10 });
    grants(await bench.take(policy, 'alice', 3), 7);
    refuses(await bench.take(policy, 'alice', 8), 7);
    grants(await bench.take(policy, 'alice', 7), 0);
    refuses(await bench.take(policy, 'alice', 1), 0);
  });

  always(`${algorithm}: a refusal changes nothing`, async (bench) => {
    const policy = policyOf({ algorithm, limit: 5 });
    await bench.take(policy, 'alice', 2);
    for (let i = 0; i < 20; i++) refuses(await bench.take(policy, 'alice', 4), 3);
    grants(await bench.take(policy, 'alice', 3), 0);
  });

  always(`${algorithm}: cost 0 looks without taking`, async (bench) => {
    const policy = policyOf({ algorithm, limit: 2 });
    const fresh = await bench.take(policy, 'alice', 0);
    grants(fresh, 2);
    assert.equal(fresh.resetAfter, 0, 'a fresh key stays fresh');
    await bench.take(policy, 'alice', 2);
    grants(await bench.take(policy, 'alice', 0), 0);
  });

  always(`${algorithm}: a cost above the capacity can never pass, and takes nothing`, async (bench) => {
    const policy = policyOf({ algorithm, limit: 5 });
    const decision = await bench.take(policy, 'alice', 6);
    refuses(decision, 5);
    assert.equal(decision.retryAfter, never);
    grants(await bench.take(policy, 'alice', 5), 0);
  });

  always(`${algorithm}: a limit of 0 refuses everything for ever`, async (bench) => {
    const decision = await bench.take(policyOf({ algorithm, limit: 0 }), 'alice');
    refuses(decision, 0);
    assert.equal(decision.retryAfter, never);
  });

  always(`${algorithm}: peek answers as consume would, and takes nothing`, async (bench) => {
    const policy = policyOf({ algorithm, limit: 5 });
    for (let i = 0; i < 10; i++) grants(await bench.peek(policy, 'alice', 5), 5);
    await bench.take(policy, 'alice', 3);
    for (let i = 0; i < 10; i++) refuses(await bench.peek(policy, 'alice', 3), 2);
    grants(await bench.peek(policy, 'alice', 2), 2);
    grants(await bench.take(policy, 'alice', 2), 0);
  });

  always(`${algorithm}: release gives units back, never above the capacity`, async (bench) => {
    const policy = policyOf({ algorithm, limit: 5 });
    await bench.take(policy, 'alice', 4);
    await bench.release(policy, 'alice', 2);
    assert.equal(await bench.remaining(policy, 'alice'), 3);
    await bench.release(policy, 'alice', 100);
    await bench.release(policy, 'stranger', 100);
    for (const key of ['alice', 'stranger']) {
      grants(await bench.take(policy, key, 5), 0);
      refuses(await bench.take(policy, key), 0);
    }
  });

  always(`${algorithm}: release with the instant of the grant gives those units back`, async (bench) => {
    const policy = policyOf({ algorithm, limit: 5 });
    const granted = await bench.take(policy, 'alice', 5);
    await bench.release(policy, 'alice', 5, granted.at);
    grants(await bench.take(policy, 'alice', 5), 0);
  });

  always(`${algorithm}: reset forgets one key of the given policies, and nothing else`, async (bench) => {
    const policy = policyOf({ name: 'one', algorithm, limit: 2 });
    const other = policyOf({ name: 'two', algorithm, limit: 2 });
    for (const key of ['alice', 'bob']) {
      await bench.take(policy, key, 2);
      await bench.take(other, key, 2);
    }
    await bench.store.reset('alice', [policy]);
    await bench.store.reset('stranger', [policy]);
    assert.equal(await bench.remaining(policy, 'alice'), 2);
    assert.equal(await bench.remaining(other, 'alice'), 0);
    assert.equal(await bench.remaining(policy, 'bob'), 0);
  });

  always(`${algorithm}: countRefused charges what is refused, up to the capacity`, async (bench) => {
    const policy = policyOf({ algorithm, limit: 5, countRefused: true });
    await bench.take(policy, 'alice', 3);
    refuses(await bench.take(policy, 'alice', 3), 0);
    refuses(await bench.take(policy, 'alice', 1), 0);
    await bench.release(policy, 'alice', 5);
    grants(await bench.take(policy, 'alice', 5), 0);
  });

  always(`${algorithm}: a limit that is raised or lowered keeps what was taken`, async (bench) => {
    const limited = (limit: number) => policyOf({ algorithm, limit });
    await bench.take(limited(5), 'alice', 5);
    assert.equal(await bench.remaining(limited(8), 'alice'), 3);
    grants(await bench.take(limited(8), 'alice', 3), 0);
    refuses(await bench.take(limited(8), 'alice'), 0);

    await bench.take(limited(10), 'bob', 3);
    grants(await bench.take(limited(4), 'bob'), 0);
    refuses(await bench.take(limited(4), 'bob'), 0);
    const lowered = await bench.take(limited(2), 'bob');
    refuses(lowered, 0);
    assert.notEqual(lowered.retryAfter, never);
  });

  always(`${algorithm}: parallel requests are granted exactly the limit`, async (bench) => {
    const policy = policyOf({ algorithm, limit: 10 });
    const decisions = await Promise.all(Array.from({ length: 50 }, () => bench.take(policy, 'alice')));
    assert.equal(decisions.filter(({ allowed }) => allowed).length, 10);
    assert.deepEqual(
      decisions
        .filter(({ allowed }) => allowed)
        .map(({ remaining }) => remaining)
        .sort((a, b) => a - b),
      [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    );
  });

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

always('several policies: a refusal by one charges none', async (bench) => {
  for (const algorithm of algorithmNames) {
    const second = policyOf({ name: `second-${algorithm}`, algorithm, limit: 2 });
    const day = policyOf({ name: `day-${algorithm}`, algorithm, limit: 10 });
    const key = 'alice';
    for (let i = 0; i < 6; i++) {
      const decisions = await bench.takeAll({ policy: second, key, cost: 1 }, { policy: day, key, cost: 1 });
      assert.equal(
        decisions.every(({ allowed }) => allowed),
        i < 2,
      );
    }
    assert.equal(await bench.remaining(second, key), 0);
    assert.equal(await bench.remaining(day, key), 8);
  }
});

always('several policies: each decision is its own policy’s, in the order of the charges', async (bench) => {
  const large = policyOf({ name: 'large', algorithm: 'token-bucket', limit: 10 });
  const small = policyOf({ name: 'small', algorithm: 'fixed-window', limit: 3 });
  const charges = [large, small].map((policy) => ({ policy, key: 'alice', cost: 2 }));
  const [first, second] = await bench.takeAll(...charges);
  grants(first!, 8);
  grants(second!, 1);
  const answers = [await bench.takeAll(...charges), await bench.store.peek(charges)];
  for (const [largeAnswer, smallAnswer] of answers) {
    grants(largeAnswer!, 8);
    refuses(smallAnswer!, 1);
    assert.deepEqual([largeAnswer!.policy, largeAnswer!.limit], ['large', 10]);
    assert.deepEqual([smallAnswer!.policy, smallAnswer!.limit], ['small', 3]);
  }
});

always('several keys: a refusal of one charges none', async (bench) => {
  const policy = policyOf({ algorithm: 'sliding-window-counter', limit: 3 });
  await bench.take(policy, 'alice', 3);
  const [bob, alice] = await bench.takeAll({ policy, key: 'bob', cost: 1 }, { policy, key: 'alice', cost: 1 });
  grants(bob!, 3);
  refuses(alice!, 0);
  assert.equal(await bench.remaining(policy, 'bob'), 3);
  await bench.takeAll({ policy, key: 'bob', cost: 1 }, { policy, key: 'carol', cost: 2 });
  assert.equal(await bench.remaining(policy, 'bob'), 2);
  assert.equal(await bench.remaining(policy, 'carol'), 1);
});

always('several policies: parallel requests are granted exactly the tightest limit', async (bench) => {
  const policies = [7, 5, 9].map((limit, i) => policyOf({ name: `p${i}`, algorithm: algorithmNames[i]!, limit }));
  const charges = policies.map((policy) => ({ policy, key: 'alice', cost: 1 }));
  const answers = await Promise.all(Array.from({ length: 30 }, () => bench.takeAll(...charges)));
  assert.equal(answers.filter((decisions) => decisions.every(({ allowed }) => allowed)).length, 5);
  const left = await Promise.all(policies.map((policy) => bench.remaining(policy, 'alice')));
  assert.deepEqual(left, [2, 0, 4]);
});

always('several policies: release gives back to each', async (bench) => {
  const policies = algorithmNames.map((algorithm) => policyOf({ name: 'all', algorithm, limit: 4 }));
  const charges = policies.map((policy) => ({ policy, key: 'alice', cost: 3 }));
  const granted = await bench.takeAll(...charges);
  await bench.store.release(charges.map((charge, i) => ({ ...charge, at: granted[i]!.at })));
  for (const policy of policies) assert.equal(await bench.remaining(policy, 'alice'), 4);
});

always('countRefused of one policy does not charge another', async (bench) => {
  const counting = policyOf({ name: 'counting', algorithm: 'fixed-window', limit: 2, countRefused: true });
  const plain = policyOf({ name: 'plain', algorithm: 'fixed-window', limit: 9 });
  const charges = [counting, plain].map((policy) => ({ policy, key: 'alice', cost: 2 }));
  for (let i = 0; i < 3; i++) await bench.takeAll(...charges);
  assert.equal(await bench.remaining(counting, 'alice'), 0);
  assert.equal(await bench.remaining(plain, 'alice'), 7);
});

always('policies of different names or algorithms do not share a key’s units', async (bench) => {
  const policies = algorithmNames.flatMap((algorithm) => [
    policyOf({ algorithm, limit: 3 }),
    policyOf({ name: 'other', algorithm, limit: 3 }),
  ]);
  for (const policy of policies) grants(await bench.take(policy, 'alice', 3), 0);
});

always('keys of any characters and length are kept apart', async (bench) => {
  const policy = policyOf({ algorithm: 'fixed-window', limit: 3 });
  const named = policyOf({ name: 'b', algorithm: 'fixed-window', limit: 3 });
  const keys = [
    'a',
    'a:b',
    'b:a',
    'a:',
    ':a',
    ':',
    'a b',
    ' a',
    'a ',
    'A',
    'ä',
    'a\u0308',
    '{a}',
    '{a',
    'a}',
    '{}',
    '{}a',
  ];
  keys.push(
    'a\n',
    '\na',
    'a\r\nb',
    'a\0',
    '\0',
    '\0a',
    'a\tb',
    '*',
    '?',
    '%',
    '%00',
    '../a',
    '"a"',
    "'a'",
    '__proto__',
  );
  keys.push('constructor', 'toString', '[object Promise]', 'undefined', '😀', '😁', '中文', 'x'.repeat(10_000));
  keys.push(`${'x'.repeat(9_999)}y`, `y${'x'.repeat(9_999)}`);
  for (const key of keys) {
    grants(await bench.take(policy, key), 2);
    grants(await bench.take(named, key, 2), 1);
  }
  for (const key of keys) {
    assert.equal(await bench.remaining(policy, key), 2, JSON.stringify(key.slice(0, 20)));
    assert.equal(await bench.remaining(named, key), 1, JSON.stringify(key.slice(0, 20)));
  }
});

always('ten thousand keys each have a budget of their own', async (bench) => {
  const policy = policyOf({ algorithm: 'token-bucket', limit: 3 });
  const keys = Array.from({ length: 10_000 }, (_, i) => `user:${i}`);
  const takeAt = (i: number) => bench.take(policy, keys[i]!, (i % 3) + 1);
  for (let i = 0; i < keys.length; i += 500) {
    const decisions = await Promise.all(keys.slice(i, i + 500).map((_, j) => takeAt(i + j)));
    for (const [j, decision] of decisions.entries()) grants(decision, 2 - ((i + j) % 3));
  }
  for (let i = 0; i < keys.length; i += 97) assert.equal(await bench.remaining(policy, keys[i]!), 2 - (i % 3));
});

/** Every case, in order. */
export const storeCases: readonly StoreCase[] = cases;
