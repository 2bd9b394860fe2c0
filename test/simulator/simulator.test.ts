import { describe, expect, it } from 'vitest';
import { simulate } from './simulation.ts';
import { account, survey, worstOf } from './survey.ts';
import type { Switches } from './switches.ts';

const seed = process.env.SIMULATOR_SEED;
const runs = Number(process.env.SIMULATOR_RUNS ?? 10_000);
const minutes = 60_000;

if (seed !== undefined) {
  describe('one run', () => {
    it('keeps to the contract', async () => {
      const run = await simulate(Number(seed));
      console.log(await account(run));
      expect(run.violations).toStrictEqual([]);
    });
  });
} else {
  describe('a fleet with leases', () => {
    it(
      'never admits more than the contract, whatever is lost, late, repeated, paused or dead',
      async () => {
        const { failed, leasing, grants, near, nearest } = await survey(runs);
        expect(failed && (await account(failed))).toBeUndefined();
        const worst = worstOf(nearest!);
        console.log(
          `${runs} runs, ${leasing} with leases; ${grants.lease} grants from leases, ${grants.store} by the store; ` +
            `${near} came to more than 99 % of a contract, run ${nearest!.seed} to ${worst?.units} of ${worst?.most} units ` +
            `in ${((worst?.to ?? 0) - (worst?.from ?? 0)) / 1_000} ms, by the nodes ${worst?.nodes.join(', ')}`,
        );
        // A simulator in which little happens would see nothing.
        expect(leasing).toBeGreaterThan(runs / 2);
        expect(grants.lease).toBeGreaterThan(runs * 30);
        expect(near).toBeGreaterThan(runs / 2);
      },
      Math.max(10, runs / 500) * minutes,
    );

    it(
      'admits on top what is leased of a window that is reset, or to which is given back what was spent before it',
      async () => {
        const { failed } = await survey(2_000, { isStrict: true });
        expect(failed?.violations[0]).toMatch(/window/);
        expect((await simulate(failed!.seed)).violations).toStrictEqual([]);
      },
      10 * minutes,
    );

    it('does the same again with the same seed, and something else with another', async () => {
      for (let seed = 0; seed < 50; seed++) {
        const first = await simulate(seed);
        const second = await simulate(seed, { isTraced: true });
        expect(second).toStrictEqual({ ...first, trace: second.trace });
        expect((await simulate(seed + 1)).hash).not.toBe(first.hash);
      }
    });

    const parts: readonly [without: string, switches: Switches][] = [
      ['what is leased of a bucket refilled while it may still be spent', { noFloor: true }],
      ['leases went on when the window ends in which their units were taken', { noClipping: true }],
      ['leases lasted from when they are received', { fromReceipt: true }],
      ['nothing were allowed for the drift of clocks', { noMargin: true }],
    ];
    it.each(parts)(
      'would admit too much if %s',
      async (_without, switches) => {
        const { failed, runs } = await survey(10_000, { switches, attacked: true });
        expect(failed?.violations, `of ${runs} runs`).toBeDefined();
        // It is the switch that makes the difference.
        expect((await simulate(failed!.seed, { attacked: true })).violations).toStrictEqual([]);
      },
      10 * minutes,
    );
  });
}
