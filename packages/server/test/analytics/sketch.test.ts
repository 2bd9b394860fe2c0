import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { merge, mostFrequent, parseSummary, Sketch, type Summary } from '../../src/analytics/sketch.ts';

/** Few texts often, and many seldom. */
const texts = fc.array(
  fc.oneof(
    { weight: 2, arbitrary: fc.constantFrom('a', 'b', 'c') },
    { weight: 1, arbitrary: fc.nat(60).map((n) => `x${n}`) },
  ),
  { maxLength: 400 },
);

function summaryOf(keys: readonly string[], counters: number): Summary {
  const sketch = new Sketch(counters);
  for (const key of keys) sketch.add(key);
  return sketch.summary();
}

function occurrences(keys: readonly string[]): ReadonlyMap<string, number> {
  const exact = new Map<string, number>();
  for (const key of keys) exact.set(key, (exact.get(key) ?? 0) + 1);
  return exact;
}

/** What every summary promises of the texts it was made from. */
function expectBounds(summary: Summary, keys: readonly string[], counters: number): void {
  const exact = occurrences(keys);
  const known = new Map(summary.counters.map(([key, ...rest]) => [key, rest] as const));
  expect(known.size).toBe(summary.counters.length);
  for (const [key, [count, error]] of known) {
    const truth = exact.get(key) ?? 0;
    expect(count - error).toBeLessThanOrEqual(truth);
    expect(truth).toBeLessThanOrEqual(count);
  }
  for (const [key, truth] of exact) {
    if (known.has(key)) continue;
    expect(truth).toBeLessThanOrEqual(summary.floor);
    expect(truth).toBeLessThanOrEqual(keys.length / counters);
  }
}

describe('a sketch', () => {
  it('is never too low, too high by its error at the most, and has every text above N / k', () => {
    fc.assert(
      fc.property(texts, fc.integer({ min: 1, max: 12 }), (keys, counters) => {
        const summary = summaryOf(keys, counters);
        expect(summary.counters.length).toBeLessThanOrEqual(counters);
        expectBounds(summary, keys, counters);
      }),
      { numRuns: 1_000 },
    );
  });

  it('counts add up to the number of texts, whatever was replaced', () => {
    fc.assert(
      fc.property(texts, fc.integer({ min: 1, max: 12 }), (keys, counters) => {
        const sum = summaryOf(keys, counters).counters.reduce((total, [, count]) => total + count, 0);
        expect(sum).toBe(keys.length);
      }),
    );
  });

  it('keeps its bounds when it is merged with others, of other stretches and processes', () => {
    const parts = fc.array(texts, { maxLength: 6 });
    fc.assert(
      fc.property(parts, fc.integer({ min: 1, max: 12 }), (all, counters) => {
        expectBounds(merge(all.map((keys) => summaryOf(keys, counters))), all.flat(), counters);
      }),
      { numRuns: 1_000 },
    );
  });

  it('is exact while every text has a counter of its own', () => {
    const summary = summaryOf(['a', 'b', 'a', 'c'], 3);
    expect(summary).toEqual({
      floor: 0,
      counters: [
        ['a', 2, 0],
        ['b', 1, 0],
        ['c', 1, 0],
      ],
    });
  });

  it('finds a few hundred requests of one client among 200,000 clients that come once', () => {
    const sketch = new Sketch(512);
    for (let i = 0; i < 200_000; i++) {
      sketch.add(`ip:${i}`);
      if (i % 400 === 0) sketch.add('user:heavy');
    }
    const [first] = mostFrequent(sketch.summary(), 1);
    expect(first!.key).toBe('user:heavy');
    expect(first!.count).toBeGreaterThanOrEqual(500);
    expect(first!.count - first!.error).toBeLessThanOrEqual(500);
    expect(sketch.summary().counters).toHaveLength(512);
  });

  it('survives being written as JSON, and reads nothing that it has not written', () => {
    const summary = summaryOf(['a', 'b', 'a', 'c', 'd'], 2);
    expect(parseSummary(JSON.parse(JSON.stringify(summary)))).toEqual(summary);
    for (const wrong of [null, {}, { floor: -1, counters: [] }, { floor: 0, counters: [['a', 1, 2]] }, { floor: 0 }]) {
      expect(parseSummary(wrong)).toBeUndefined();
    }
  });
});
