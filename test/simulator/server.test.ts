import { describe, expect, it } from 'vitest';
import { LendingStore } from '../../packages/core/test/leases/support/lending-store.ts';
import { Random } from './random.ts';
import { scenarioOf } from './scenario.ts';
import { Server } from './server.ts';

const key = 'everybody';

describe('the store of the simulator', () => {
  it('is the one that the scripts for Redis are held to', () => {
    for (let seed = 0; seed < 200; seed++) {
      const random = new Random(seed);
      const { policies, start } = scenarioOf(random);
      const server = new Server(policies, {});
      let now = start;
      const model = new LendingStore({ now: () => now });
      for (let step = 0; step < 60; step++) {
        now = server.arrive(now + Math.round(random.wait(random.magnitude(1, policies[0]!.window / 10))));
        const policy = random.pick(policies);
        const cost = Math.round(random.magnitude(1, policy.capacity));
        const charges = policies.map((policy) => ({ policy, key, cost }));
        switch (random.integer(0, 5)) {
          case 0:
            expect(server.consume(charges)).toStrictEqual(model.consume(charges));
            break;
          case 1:
            expect(server.peek(charges)).toStrictEqual(model.peek(charges));
            break;
          case 2: {
            const at = random.chance(0.5) ? (now - Math.round(random.wait(100_000))) / 1_000 : undefined;
            server.release([{ policy, key, cost, at }], now);
            model.release([{ policy, key, cost, at }]);
            break;
          }
          case 3:
            if (random.chance(0.9)) break;
            server.reset(policies);
            model.reset(key, policies);
            break;
          default: {
            const request = { policy, key, demand: random.integer(0, 40), extra: cost, share: random.integer(1, 8) };
            expect(server.lease(request)).toStrictEqual(model.lease(request));
          }
        }
      }
    }
  });
});
