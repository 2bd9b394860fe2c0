import { expect } from 'vitest';
import { type Ask, type FaultLoad, now, type Phase } from './fault-load.js';

/** Milliseconds: the deadline of a RedisStore, and how much longer a request may wait at the most. */
const deadline = 50;
const grace = 50;
/** Milliseconds from when Redis is back to the first decision that it makes. */
const recovery = 2_000;

export interface Fault {
  readonly name: string;
  readonly algorithm: Phase['algorithm'];
  /** Resolves when Redis fails. */
  begin(): unknown;
  /** Resolves when Redis answers again. */
  end(): unknown;
  /** Who decides meanwhile. @default 'fallback' */
  readonly during?: 'store' | 'fallback';
  /** Whether the fault lasts until it is ended, so that the limits are used up meanwhile. @default true */
  readonly lasts?: boolean;
}

/** The keys of a phase. Each process has its own, unless several share a `scope`. */
export function phaseOf({ name, algorithm }: Pick<Fault, 'name' | 'algorithm'>, scope: string): Phase {
  // Characters that stand for themselves in the names of a server.
  const prefix = `${scope}-${name}`.replaceAll(/[^\w-]/g, '-');
  const keys = Array.from({ length: 20 }, (_, i) => `${prefix}-${i}`);
  return { name, algorithm, hot: `${prefix}-hot`, hotLimit: 200, keys, limit: 10 };
}

/** Lets Redis fail while the loads ask, each for keys of its own, and holds each to what it is promised. */
export async function survives(loads: readonly FaultLoad[], fault: Fault): Promise<void> {
  const { during = 'fallback', lasts = true } = fault;
  const phases = new Map(loads.map((load) => [load, phaseOf(fault, load.name)]));
  const each = (see: (load: FaultLoad, phase: Phase) => Promise<unknown>) =>
    Promise.all([...phases].map(([load, phase]) => see(load, phase)));

  for (const [load, phase] of phases) load.begin(phase);
  await each(async (load, { keys }) => {
    await load.sees('a grant of Redis', ({ source, allowed }) => source === 'store' && allowed);
    await load.sees('a decision on the last key', ({ source, key }) => source === 'store' && key === keys.at(-1));
  });
  const begun = now();
  await fault.begin();
  await each(async (load, { hot }) => {
    const isMeanwhile = ({ at, source }: Ask) => at > begun - deadline && source === during;
    await load.sees(`a decision of '${during}'`, isMeanwhile);
    if (lasts) await load.sees('a refusal', (ask) => isMeanwhile(ask) && ask.key === hot && !ask.allowed);
  });
  await fault.end();
  const back = now();
  await each(async (load, { hot }) => {
    const first = await load.sees('a decision of Redis', ({ at, source }) => at > back && source === 'store');
    expect(first.at + first.took - back, `${load.name}: ms until Redis decides again`).toBeLessThanOrEqual(recovery);
    const isRefusal = ({ at, source, key, allowed }: Ask) => at > back && source === 'store' && key === hot && !allowed;
    await load.sees('a refusal of Redis', isRefusal);
  });
  for (const [load, phase] of phases) {
    isBounded(load);
    expect(excess([load], phase), `${load.name}: keys that were granted more than their limit`).toEqual([]);
  }
}

/** No request waited too long or failed, and the process is well. */
export function isBounded(load: FaultLoad): void {
  expect([load.isAlive, load.crashes], `${load.name}: whether it lives, and what nobody caught`).toEqual([true, []]);
  // Of a wait, that part is not counted in which the machine let the process do nothing.
  const late = load.asks.filter(({ took, stall }) => took - stall > deadline + grace);
  expect(late, `${load.name}: requests that waited for more than ${deadline + grace} ms`).toEqual([]);
  const failed = load.asks.filter(({ source }) => source === 'error');
  expect(failed, `${load.name}: requests that failed`).toEqual([]);
}

/** The keys that were granted more than they may be: their limit, and `beyond`. */
export function excess(loads: readonly FaultLoad[], phase: Phase, beyond = 0): readonly string[] {
  const limitOf = (key: string) => (key === phase.hot ? phase.hotLimit : phase.limit);
  const over: string[] = [];
  for (const key of [phase.hot, ...phase.keys]) {
    const granted = loads.reduce(
      (sum, { asks }) => sum + asks.filter((ask) => ask.key === key && ask.allowed).length,
      0,
    );
    if (granted > limitOf(key) + beyond) over.push(`${key}: ${granted}`);
  }
  return over;
}
