import { describe, expect, it } from 'vitest';
import { contract } from './scenario.ts';
import { simulate } from './simulation.ts';

describe('a fleet with leases that is asked for two to five times the contract', () => {
  it('uses at least 99 % of it where nothing goes wrong', async () => {
    const wasted: string[] = [];
    for (let seed = 0; seed < 30; seed++) {
      const { scenario, units, leased } = await simulate(seed, { faultless: true, saturated: true });
      const policy = scenario.policies[0]!;
      const used = (units.store + units.lease) / contract(policy);
      if (used < 0.99) {
        wasted.push(
          `${seed}: ${(100 * used).toFixed(1)} % of ${policy.id}; ${leased} units leased, ${units.lease} granted of them`,
        );
      }
    }
    expect(wasted).toStrictEqual([]);
  });
});
