import { ManualClock } from '@sluice/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type AlgorithmName, type CompiledPolicy, Outage, type SyncStore } from '../../src/index.ts';
import { buckets, compile, names } from '../algorithms/arbitraries.ts';
import { FlakyStore } from './flaky-store.ts';

interface Grant {
  /** Microseconds. */
  readonly time: number;
  readonly cost: number;
}

/** One request of one process, after a while; parts are of a window and of the capacity. */
interface Request {
  readonly process: number;
  readonly gap: number;
  readonly cost: number;
}

/** The store is up or down for some requests. `loses`: it has lost its counts when it comes back. */
interface Phase {
  readonly down: boolean;
  readonly loses: boolean;
  readonly requests: readonly Request[];
}

const most = 4;
const part = fc.integer({ min: 0, max: 100 }).map((n) => n / 100);
const phases = fc.array(
  fc.record({
    down: fc.boolean(),
    loses: fc.boolean(),
    requests: fc.array(
      fc.record({ process: fc.nat({ max: most - 1 }), gap: fc.oneof(fc.constant(0), part), cost: part }),
      { maxLength: 25 },
    ),
  }),
  { minLength: 1, maxLength: 6 },
);

function policies(algorithm: AlgorithmName): fc.Arbitrary<CompiledPolicy> {
  const burst = fc.integer({ min: 1, max: 300 });
  return fc
    .record({
      limit: fc.integer({ min: 1, max: 200 }),
      window: fc.constantFrom(1_000, 7_000, 60_000),
      burst: buckets.includes(algorithm) ? fc.option(burst, { nil: undefined }) : fc.constant(undefined),
    })
    .map(({ burst, ...policy }) => compile({ algorithm, ...policy, ...(burst !== undefined && { burst }) }));
}

/** Plays the phases with `instances` processes; each looks at the key whenever the store is about to fail or is back. */
function play(policy: CompiledPolicy, instances: number, script: readonly Phase[]): readonly Grant[] {
  const clock = new ManualClock();
  const shared = new FlakyStore(clock);
  const processes = Array.from({ length: instances }, () =>
    new Outage(shared, { clock, instances, report: () => {} }).answering('fallback'),
  ) as SyncStore[];
  const look = () => {
    for (const store of processes) store.peek([{ policy, key: 'alice', cost: 0 }]);
  };
  const grants: Grant[] = [];
  for (const { down, loses, requests } of script) {
    look();
    shared.down = down;
    for (const { process, gap, cost } of requests) {
      clock.advance((gap * policy.windowMs) / 2);
      const units = Math.max(1, Math.round((cost * policy.capacity) / 3));
      const store = processes[process % instances]!;
      const [decision] = store.consume([{ policy, key: 'alice', cost: units }]);
      if (decision!.allowed) grants.push({ time: clock.now(), cost: units });
    }
    if (!down) continue;
    // Whoever meets a failure suspects that counts are lost.
    look();
    if (loses) shared.lose();
    shared.down = false;
    look();
  }
  return grants;
}

function sum(grants: readonly Grant[]): number {
  return grants.reduce((units, { cost }) => units + cost, 0);
}

const bounds: Readonly<Record<AlgorithmName, (policy: CompiledPolicy, grants: readonly Grant[]) => void>> = {
  'fixed-window': ({ limit, window }, grants) => {
    const units = new Map<number, number>();
    for (const { time, cost } of grants) {
      const id = Math.floor(time / window);
      units.set(id, (units.get(id) ?? 0) + cost);
    }
    for (const granted of units.values()) expect(granted).toBeLessThanOrEqual(limit);
  },
  'sliding-window-log': ({ limit, window }, grants) => {
    for (const { time } of grants) {
      expect(sum(grants.filter((one) => one.time > time - window && one.time <= time))).toBeLessThanOrEqual(limit);
    }
  },
  'sliding-window-counter': ({ limit, window }, grants) => {
    for (const [i, { time, cost }] of grants.entries()) {
      const start = time - (time % window);
      const current = sum(grants.slice(0, i).filter((one) => one.time >= start));
      const previous = sum(grants.filter((one) => one.time >= start - window && one.time < start));
      const weighted = Math.floor((previous * (window - (time % window))) / window);
      expect(current + weighted + cost).toBeLessThanOrEqual(limit);
    }
  },
  'token-bucket': bucketBound,
  'leaky-bucket': bucketBound,
};

function bucketBound({ limit, capacity, window }: CompiledPolicy, grants: readonly Grant[]): void {
  for (let i = 0; i < grants.length; i++) {
    let units = 0;
    for (let j = i; j < grants.length; j++) {
      units += grants[j]!.cost;
      expect((units - capacity) * window).toBeLessThanOrEqual((grants[j]!.time - grants[i]!.time) * limit);
    }
  }
}

describe.each(names)('%s', (name) => {
  it('never grants more in all processes together than the policy allows, if each has seen the count before and after an outage', () => {
    fc.assert(
      fc.property(policies(name), fc.integer({ min: 1, max: most }), phases, (policy, instances, script) => {
        bounds[name](policy, play(policy, instances, script));
      }),
      { numRuns: 300 },
    );
  });

  it('grants a process its whole part', () => {
    fc.assert(
      fc.property(policies(name), fc.integer({ min: 1, max: most }), (policy, instances) => {
        const clock = new ManualClock();
        const shared = new FlakyStore(clock);
        shared.down = true;
        const outage = new Outage(shared, { clock, instances, report: () => {} });
        const store = outage.answering('fallback') as SyncStore;
        let granted = 0;
        while (store.consume([{ policy, key: 'alice', cost: 1 }])[0]!.allowed) granted++;
        expect(granted).toBe(Math.floor(policy.capacity / instances));
      }),
      { numRuns: 30 },
    );
  });
});
