import { describe, expect, it } from 'vitest';
import type { SeriesQuery } from '../../src/analytics/analytics.ts';
import { Counts } from '../../src/analytics/counts.ts';
import { intervalsOf, SeriesBuilder, unitOf } from '../../src/analytics/series.ts';
import { decision } from './decision.ts';

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;
const noon = Date.UTC(2026, 0, 1, 12);

function query(fields: Partial<SeriesQuery> = {}): SeriesQuery {
  return { from: noon, to: noon + hour, by: 'rule', step: minute, ...fields };
}

function countsOf(rule: string, decisions = 1): Counts {
  const counts = new Counts();
  for (let i = 0; i < decisions; i++) counts.count(decision({ rule }));
  return counts;
}

describe('a series', () => {
  it('has a point for each step, and zeros where nothing was counted', () => {
    const builder = new SeriesBuilder(query({ to: noon + 3 * minute }));
    builder.add(noon + minute, countsOf('a', 2));
    const zeros = { allowed: 0, refused: 0, shadow_refused: 0, sources: {} };
    expect(builder.series()).toEqual([
      {
        name: 'a',
        points: [
          { at: '2026-01-01T12:00:00.000Z', ...zeros },
          { at: '2026-01-01T12:01:00.000Z', ...zeros, allowed: 2, sources: { store: 2 } },
          { at: '2026-01-01T12:02:00.000Z', ...zeros },
        ],
      },
    ]);
  });

  it('adds up what lies in a step', () => {
    const builder = new SeriesBuilder(query({ step: 30 * minute }));
    for (const at of [0, 29, 30, 59, 1]) builder.add(noon + at * minute, countsOf('a'));
    expect(builder.series()[0]!.points.map(({ allowed }) => allowed)).toEqual([3, 2]);
  });

  it('starts at a multiple of its step: a day is a day of UTC', () => {
    const builder = new SeriesBuilder(query({ from: noon, to: noon + day, step: day }));
    builder.add(noon, countsOf('a'));
    const starts = builder.series()[0]!.points.map(({ at }) => at);
    expect(starts).toEqual(['2026-01-01T00:00:00.000Z', '2026-01-02T00:00:00.000Z']);
  });

  it('has a line for each outcome, also for those that never were', () => {
    const series = new SeriesBuilder(query({ by: 'decision', step: hour })).series();
    expect(series.map(({ name }) => name)).toEqual(['allowed', 'refused', 'shadow-refused']);
  });

  it('tells the largest apart when there are too many, and counts the rest together', () => {
    const builder = new SeriesBuilder(query({ to: noon + 200 * minute }));
    for (let i = 0; i < 150; i++) builder.add(noon + i * minute, countsOf(`r${i}`, i === 149 ? 5 : 1));
    const series = builder.series();
    expect(series).toHaveLength(100);
    expect(series[0]!.name).toBe('r149');
    expect(series.at(-1)!.name).toBe('(other)');
    const total = series.flatMap(({ points }) => points).reduce((sum, { allowed }) => sum + allowed, 0);
    expect(total).toBe(154);
  });

  it('has 100 series at the most, and 20,000 points in all, with a sum that is whole', () => {
    for (const [minutes, most] of [
      [10, 100],
      [1_440, 13],
    ] as const) {
      const builder = new SeriesBuilder(query({ to: noon + minutes * minute }));
      for (let i = 0; i < 300; i++) builder.add(noon, countsOf(`r${i}`));
      const series = builder.series();
      expect(series).toHaveLength(most);
      expect(series.at(-1)).toMatchObject({ name: '(other)', points: { 0: { allowed: 300 - most + 1 } } });
      expect(series.length * series[0]!.points.length).toBeLessThanOrEqual(20_000);
    }
  });

  it.each([
    ['too many points', { to: noon + 2_001 * minute }],
    ['an end before its beginning', { to: noon - day }],
    ['a step of 0', { step: 0 }],
    ['a time that is no number', { from: Number.NaN }],
  ])('is refused with %s', (_what, fields) => {
    expect(() => new SeriesBuilder(query(fields))).toThrow(/from 1 to 2000 points.*Take a longer 'step', or less time/);
  });
});

describe('what a query is answered from', () => {
  it.each([
    ['minutes for the last day', { from: noon - day, step: hour }, 'minute'],
    ['hours for what lies further back', { from: noon - day - 1, step: hour }, 'hour'],
    ['minutes where hours would be too coarse', { from: noon - 2 * day, step: 30 * minute }, 'minute'],
  ])('is %s', (_what, fields, name) => {
    expect(unitOf(query({ to: noon, ...fields }), noon).name).toBe(name);
  });

  it('is no more than can be there', () => {
    const all = query({ from: 0, to: 10 * noon });
    expect(intervalsOf(all, { name: 'minute', length: minute }, noon)).toHaveLength(1_441);
    expect(intervalsOf(all, { name: 'hour', length: hour }, noon)).toHaveLength(721);
  });

  it('is from inclusive, to exclusive', () => {
    const first = noon / minute;
    const few = intervalsOf(query({ to: noon + 2 * minute }), { name: 'minute', length: minute }, noon + hour);
    expect(few).toEqual([first, first + 1]);
  });
});
