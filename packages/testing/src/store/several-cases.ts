import assert from 'node:assert/strict';
import { algorithmNames, type Declare, grants, policyOf, refuses } from './bench.js';

/** Several policies, or several keys, in one step. */
export function severalCases(always: Declare): void {
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
}
