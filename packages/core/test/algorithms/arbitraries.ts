import fc from 'fast-check';
import type { AlgorithmName, Policy } from '../../src/index.ts';
import { type CompiledPolicy, compilePolicies, type Decision } from '../../src/index.ts';

export const names: readonly AlgorithmName[] = [
  'fixed-window',
  'sliding-window-log',
  'sliding-window-counter',
  'token-bucket',
  'leaky-bucket',
];
export const buckets: readonly AlgorithmName[] = ['token-bucket', 'leaky-bucket'];
export const year = 366 * 86_400_000;
/** Microseconds since the epoch. */
export const newYear = Date.UTC(2026, 0, 1) * 1_000;

export function compile(policy: Policy): CompiledPolicy {
  return compilePolicies([policy], 'policies')[0]!;
}

export const limits = fc.oneof(
  fc.integer({ min: 1, max: 5 }),
  fc.integer({ min: 1, max: 1_000 }),
  fc.integer({ min: 1, max: 1_000_000_000 }),
  fc.constantFrom(1_000_000_000, 999_999_937, 2 ** 29),
);

/** Milliseconds. */
export const windows = fc.oneof(
  fc.integer({ min: 1, max: 10 }),
  fc.integer({ min: 1, max: 100_000 }),
  fc.integer({ min: 1, max: year }),
  fc.constantFrom(500, 1_000, 60_000, 3_600_000, 86_400_000, 30 * 86_400_000, year),
);

/** Policies of one algorithm: tiny and huge limits, windows from a millisecond to a year. */
export function policies(algorithm: AlgorithmName): fc.Arbitrary<CompiledPolicy> {
  const isBucket = buckets.includes(algorithm);
  return fc
    .record({
      limit: limits,
      window: windows,
      burst: isBucket ? fc.option(limits, { nil: undefined }) : fc.constant(undefined),
      anchor:
        algorithm === 'fixed-window' ? fc.constantFrom('epoch' as const, 'first' as const) : fc.constant(undefined),
      countRefused: fc.boolean(),
    })
    .map(({ burst, anchor, ...policy }) => {
      const longest = Math.floor((policy.limit * 100 * year) / policy.window);
      return compile({
        algorithm,
        ...policy,
        ...(burst === undefined ? {} : { burst: Math.min(burst, longest) }),
        ...(anchor === undefined ? {} : { anchor }),
      });
    });
}

/** One move of a trace: time passes, then something is asked. Both may refer to the answer before. */
export interface Step {
  readonly ask: 'consume' | 'peek' | 'release' | 'return';
  readonly cost: (policy: CompiledPolicy, last: Decision) => number;
  /** Microseconds. */
  readonly gap: (policy: CompiledPolicy, last: Decision) => number;
  /** Which of the earlier grants is returned. */
  readonly which: number;
}

const share = fc.integer({ min: 0, max: 1_000 }).map((n) => n / 1_000);

const costs: fc.Arbitrary<Step['cost']> = fc.oneof(
  fc.constantFrom<Step['cost'][]>(
    () => 1,
    () => 1,
    () => 0,
    ({ capacity }) => capacity,
    ({ capacity }) => capacity + 1,
    (_policy, { remaining }) => remaining,
    (_policy, { remaining }) => remaining + 1,
  ),
  share.map(
    (part): Step['cost'] =>
      ({ capacity }) =>
        Math.round(capacity * part),
  ),
  share.map(
    (part): Step['cost'] =>
      (_policy, { remaining }) =>
        Math.round(remaining * part),
  ),
);

const moments: fc.Arbitrary<Step['gap']> = fc.oneof(
  fc.constantFrom<Step['gap'][]>(
    () => 0,
    () => 0,
    () => 1,
    ({ tick }) => tick,
    ({ tick }) => tick - 1,
    ({ window }) => window,
    ({ window }) => window - 1,
    ({ window }) => 2 * window,
    (_policy, { resetAfter }) => micros(resetAfter),
    (_policy, { resetAfter }) => micros(resetAfter) - 1,
    (_policy, { retryAfter }) => micros(retryAfter),
    (_policy, { retryAfter }) => micros(retryAfter) - 1,
    ({ window }, { at }) => window - (micros(at) % window),
  ),
  fc.integer({ min: 1, max: 1_000 }).map(
    (n): Step['gap'] =>
      () =>
        n,
  ),
  share.map(
    (part): Step['gap'] =>
      ({ window }) =>
        Math.round(2 * window * part),
  ),
  share.map(
    (part): Step['gap'] =>
      ({ window, limit }) =>
        Math.round((2 * window * part) / limit),
  ),
);

/** Only so far ahead that instants stay whole numbers: a bucket may take a century to refill. */
const farthest = 3 * year * 1_000;
const gaps = moments.map((gap): Step['gap'] => (policy, last) => {
  const micros = gap(policy, last);
  return Number.isFinite(micros) ? Math.min(Math.max(0, micros), farthest) : 1;
});

export function steps(asks: readonly Step['ask'][], maxLength = 40): fc.Arbitrary<Step[]> {
  const step = fc.record({ ask: fc.constantFrom(...asks), cost: costs, gap: gaps, which: fc.nat() });
  return fc.array(step, { minLength: 1, maxLength });
}

/** As `steps`, and the clock is also set back. */
export function stepsWithSetbacks(asks: readonly Step['ask'][]): fc.Arbitrary<Step[]> {
  const back =
    (gap: Step['gap']): Step['gap'] =>
    (policy, last) =>
      -gap(policy, last);
  const step = fc.record({
    ask: fc.constantFrom(...asks),
    cost: costs,
    gap: fc.oneof({ arbitrary: gaps, weight: 3 }, { arbitrary: gaps.map(back), weight: 1 }),
    which: fc.nat(),
  });
  return fc.array(step, { minLength: 1, maxLength: 40 });
}

/** Whole microseconds of a duration in a decision. */
export function micros(ms: number): number {
  return Math.round(ms * 1_000);
}

/** Microseconds until a key that has used everything has a unit again, at the most. */
export function longestWait({ algorithm, limit, capacity, window, tick }: CompiledPolicy): number {
  const refill = buckets.includes(algorithm as AlgorithmName)
    ? Math.max(window, Math.ceil((capacity / limit) * window))
    : window;
  return refill + tick;
}
