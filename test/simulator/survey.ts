import { setImmediate } from 'node:timers/promises';
import type { Worst } from './contract.ts';
import { type Run, type SimulationOptions, simulate } from './simulation.ts';

/** A Survey sums up many runs. */
export interface Survey {
  readonly runs: number;
  /** Runs in which leases were handed out, and how many grants came from them, of all. */
  readonly leasing: number;
  readonly grants: { readonly store: number; readonly lease: number };
  /** Runs that came to more than 99 % of a contract. */
  readonly near: number;
  /** The run that came nearest to a contract, or the first to go beyond it. */
  readonly nearest: Run | undefined;
  readonly failed: Run | undefined;
}

/** Plays the seeds from 0 on, until one fails. */
export async function survey(runs: number, options: SimulationOptions = {}): Promise<Survey> {
  let leasing = 0;
  let near = 0;
  let nearest: Run | undefined;
  let most = 0;
  const grants = { store: 0, lease: 0 };
  for (let seed = 0; seed < runs; seed++) {
    const run = await simulate(seed, options);
    grants.store += run.grants.store;
    grants.lease += run.grants.lease;
    if (run.leased > 0) leasing++;
    const load = worstOf(run)?.load ?? 0;
    if (load > 0.99) near++;
    if (load > most) {
      most = load;
      nearest = run;
    }
    if (run.violations.length > 0) return { runs: seed + 1, leasing, grants, near, nearest, failed: run };
    // A run lets nothing else happen in this process: whoever watches over a test is to hear of it.
    await setImmediate();
  }
  return { runs, leasing, grants, near, nearest, failed: undefined };
}

/** Where a run came nearest to a contract, of whichever policy. */
export function worstOf({ worst }: Run): Worst | undefined {
  return worst.reduce((worse, one) => ((one?.load ?? 0) > (worse?.load ?? 0) ? one : worse), undefined);
}

/** What somebody wants to read of a run that went wrong: how to see it again, and what happened in it. */
export async function account({ seed }: Run, options: SimulationOptions = {}): Promise<string> {
  const { scenario, violations, trace } = await simulate(seed, { ...options, isTraced: true });
  const policies = scenario.policies.map(({ id, limit, capacity, windowMs, anchor }) =>
    JSON.stringify({ id, limit, capacity, windowMs, anchor }),
  );
  return [
    ...violations,
    `SIMULATOR_SEED=${seed} npx vitest run test/simulator plays this run again.`,
    ...policies,
    ...trace,
  ].join('\n');
}
