import assert from 'node:assert/strict';
import { algorithmNames, type Declare, grants, never, policyOf, refuses } from './bench.js';

/** What every algorithm does with units, whatever the time. */
export function unitCases(always: Declare): void {
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
  }
}
