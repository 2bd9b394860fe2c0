import { ManualClock } from '@sluice/testing';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type AlgorithmName, createLimiter, MemoryStore } from '../../src/index.ts';

const limit = 10;
const windowMs = 1_000;
/** Milliseconds in which one unit comes back, and in which a bucket fills. */
const perUnit = windowMs / limit;

type Action =
  | { type: 'enter'; cost: number; maxWait: number }
  | { type: 'abort'; who: number }
  | { type: 'consume' | 'release'; cost: number };

const cost = fc.integer({ min: 1, max: limit });
const enter = fc.record({ type: fc.constant('enter' as const), cost, maxWait: fc.constant(Number.POSITIVE_INFINITY) });
const abort = fc.record({ type: fc.constant('abort' as const), who: fc.nat(30) });
const outside = fc.record({ type: fc.constantFrom('consume' as const, 'release' as const), cost });

function traceOf(...actions: fc.WeightedArbitrary<Action>[]) {
  const step = fc.record({ after: fc.oneof(fc.constant(0), fc.nat(700)), action: fc.oneof(...actions) });
  return fc.array(step, { maxLength: 30 });
}
type Trace = { after: number; action: Action }[];

/** What became of each call: the millisecond of its grant, or how it was turned away. */
type Outcome = number | 'aborted' | 'hopeless' | 'waiting';

async function play(algorithm: AlgorithmName, trace: Trace) {
  const clock = new ManualClock();
  const start = clock.now();
  const store = new MemoryStore({ clock: { now: () => clock.now(), after: () => () => {} } });
  const limiter = createLimiter({ policies: { algorithm, limit, window: windowMs }, store, clock });
  const outcomes: Outcome[] = [];
  const costs: number[] = [];
  const order: number[] = [];
  const controllers: AbortController[] = [];
  for (const { after, action } of trace) {
    await clock.pass(after);
    if (action.type === 'enter') {
      const controller = new AbortController();
      const number = controllers.push(controller) - 1;
      outcomes.push('waiting');
      costs.push(action.cost);
      limiter.acquire('key', { cost: action.cost, maxWait: action.maxWait, signal: controller.signal }).then(
        () => {
          outcomes[number] = (clock.now() - start) / 1_000;
          order.push(number);
        },
        (error) => {
          outcomes[number] = error.code === 'MAX_WAIT_EXCEEDED' ? 'hopeless' : 'aborted';
        },
      );
    } else if (action.type === 'abort') {
      controllers[action.who]?.abort();
    } else if (action.type === 'consume') {
      await limiter.consume('key', action.cost);
    } else {
      await limiter.release('key', action.cost);
    }
  }
  await clock.pass(100_000);
  expect(clock.pending).toBe(0);
  expect((await limiter.peek('key', limit)).allowed).toBe(true);
  return { outcomes, costs, order };
}

/** A token bucket with a line before it, stepped a millisecond at a time. `debt` is in milliseconds of refill. */
function slowAndObvious(trace: Trace): Outcome[] {
  const outcomes: Outcome[] = [];
  const costs: number[] = [];
  let line: number[] = [];
  let debt = 0;
  let now = 0;
  const take = (units: number) => {
    if (debt + units * perUnit > windowMs) return false;
    debt += units * perUnit;
    return true;
  };
  const serve = () => {
    while (line.length > 0 && take(costs[line[0]!]!)) outcomes[line.shift()!] = now;
  };
  const pass = (ms: number) => {
    for (const end = now + ms; now < end; ) {
      now++;
      debt = Math.max(0, debt - 1);
      serve();
    }
  };
  for (const { after, action } of trace) {
    pass(after);
    if (action.type === 'enter') {
      const ahead = line.reduce((sum, number) => sum + costs[number]!, 0);
      const wait = Math.max(0, debt + (ahead + action.cost) * perUnit - windowMs);
      costs.push(action.cost);
      outcomes.push('waiting');
      if (wait <= action.maxWait) line.push(outcomes.length - 1);
      else outcomes[outcomes.length - 1] = 'hopeless';
    } else if (action.type === 'abort') {
      if (outcomes[action.who] === 'waiting') outcomes[action.who] = 'aborted';
      line = line.filter((number) => number !== action.who);
    } else if (action.type === 'consume') {
      take(action.cost);
    } else {
      debt = Math.max(0, debt - action.cost * perUnit);
    }
    serve();
  }
  pass(60_000);
  return outcomes;
}

describe('acquire', () => {
  test('grants each call at the very millisecond that a slow and obvious line would, whoever leaves or cuts in', async () => {
    await fc.assert(
      fc.asyncProperty(
        traceOf({ weight: 5, arbitrary: enter }, { weight: 2, arbitrary: abort }, { weight: 1, arbitrary: outside }),
        async (trace) => {
          const { outcomes, order } = await play('token-bucket', trace);
          expect(outcomes).toEqual(slowAndObvious(trace));
          expect(order).toEqual([...order].sort((a, b) => a - b));
        },
      ),
      { numRuns: 150 },
    );
  });

  test('turns away exactly those who cannot be served within maxWait', async () => {
    const patient = fc.record({
      type: fc.constant('enter' as const),
      cost,
      maxWait: fc.oneof(
        fc.constant(Number.POSITIVE_INFINITY),
        fc.nat(5_000),
        fc.nat(50).map((units) => units * perUnit),
      ),
    });
    await fc.assert(
      fc.asyncProperty(traceOf({ weight: 1, arbitrary: patient }), async (trace) => {
        expect((await play('token-bucket', trace)).outcomes).toEqual(slowAndObvious(trace));
      }),
      { numRuns: 150 },
    );
  });

  /** Whether the grants, as `[ms, units]`, keep to the contract of the algorithm. */
  const contracts: Record<AlgorithmName, (grants: [number, number][]) => boolean> = {
    'fixed-window': perAlignedWindow,
    'sliding-window-counter': perAlignedWindow,
    'sliding-window-log': (grants) =>
      grants.every(([end]) => unitsOf(grants.filter(([at]) => at > end - windowMs && at <= end)) <= limit),
    'token-bucket': (grants) =>
      grants.every(([from]) =>
        grants.every(
          ([to]) =>
            to < from ||
            unitsOf(grants.filter(([at]) => at >= from && at <= to)) <= limit + (to - from) / perUnit + 1e-6,
        ),
      ),
    'leaky-bucket': (grants) =>
      grants.every(([at], i) => i === 0 || at - grants[i - 1]![0] >= grants[i - 1]![1] * perUnit - 0.001),
  };

  test.each(Object.entries(contracts))('keeps order and the contract of a %s, whoever leaves', async (name, keeps) => {
    await fc.assert(
      fc.asyncProperty(traceOf({ weight: 4, arbitrary: enter }, { weight: 1, arbitrary: abort }), async (trace) => {
        const { outcomes, costs, order } = await play(name as AlgorithmName, trace);
        expect(outcomes).not.toContain('waiting');
        expect(order).toEqual([...order].sort((a, b) => a - b));
        expect(keeps(order.map((number) => [outcomes[number] as number, costs[number]!]))).toBe(true);
      }),
      { numRuns: 100 },
    );
  });
});

function unitsOf(grants: readonly [number, number][]): number {
  return grants.reduce((sum, [, units]) => sum + units, 0);
}

function perAlignedWindow(grants: [number, number][]): boolean {
  const windows = new Map<number, number>();
  for (const [at, units] of grants) {
    const window = Math.floor(at / windowMs);
    windows.set(window, (windows.get(window) ?? 0) + units);
  }
  return [...windows.values()].every((units) => units <= limit);
}
