import { ManualClock } from '@sluice/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Analytics, CountedDecision, Dimension, Series, SeriesQuery } from '../../src/analytics/analytics.ts';
import { decision } from './decision.ts';

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;
const start = Date.UTC(2026, 0, 10, 12);

/** Allowed, refused and shadow-refused of each name, over all points. */
export function totals(series: readonly Series[]): Record<string, readonly [number, number, number]> {
  const sums: [string, readonly [number, number, number]][] = series.map(({ name, points }) => {
    const sum: [number, number, number] = [0, 0, 0];
    for (const { allowed, refused, shadow_refused } of points) {
      sum[0] += allowed;
      sum[1] += refused;
      sum[2] += shadow_refused;
    }
    return [name, sum];
  });
  return Object.fromEntries(sums);
}

/** What all analytics do. `open` is given a clock that the tests advance. */
export function analyticsSuite(open: (clock: ManualClock) => Promise<Analytics>): void {
  describe('analytics', () => {
    let clock: ManualClock;
    let analytics: Analytics;

    beforeEach(async () => {
      clock = new ManualClock(start);
      analytics = await open(clock);
    });
    afterEach(() => analytics.close());

    function count(times: number, fields: Partial<CountedDecision> = {}): void {
      for (let i = 0; i < times; i++) analytics.count(decision(fields));
    }

    function series(by: Dimension, fields: Partial<SeriesQuery> = {}): Promise<readonly Series[]> {
      return analytics.series({ from: start, to: start + hour, step: hour, by, ...fields });
    }

    it('are empty before anything was counted', async () => {
      expect(await series('rule')).toEqual([]);
      expect(await analytics.top({ by: 'requests', n: 10, window: hour })).toEqual([]);
    });

    it('tell at once what was counted, by rule, endpoint, tier and decision', async () => {
      count(3, { rule: 'login', endpoint: '/login', tier: 'free' });
      count(2, { rule: 'login', endpoint: '/login', tier: 'pro', outcome: 'refused', source: 'deny-cache' });
      count(1, { outcome: 'shadow-refused', source: 'fallback' });
      expect(totals(await series('rule'))).toEqual({ login: [3, 2, 0], '(none)': [0, 0, 1] });
      expect(totals(await series('endpoint'))).toEqual({ '/login': [3, 2, 0], '(none)': [0, 0, 1] });
      expect(totals(await series('tier'))).toEqual({ free: [3, 0, 0], pro: [0, 2, 0], '(none)': [0, 0, 1] });
      const decisions = await series('decision');
      expect(totals(decisions)).toEqual({ allowed: [3, 0, 0], refused: [0, 2, 0], 'shadow-refused': [0, 0, 1] });
      expect(decisions.map(({ points }) => points[0]!.sources)).toEqual([
        { store: 3 },
        { 'deny-cache': 2 },
        { fallback: 1 },
      ]);
    });

    it('keep each minute apart, and add minutes up to longer steps', async () => {
      for (let i = 0; i < 10; i++) {
        count(i, { rule: 'a' });
        clock.advance(minute);
      }
      const allowed = async (step: number) =>
        (await series('rule', { to: start + 10 * minute, step }))[0]!.points.map((point) => point.allowed);
      expect(await allowed(minute)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
      expect(await allowed(5 * minute)).toEqual([10, 35]);
    });

    it('count the decision at a minute’s first microsecond to it, and that before to the one before', async () => {
      clock.advance(minute - 0.001);
      count(1, { rule: 'a' });
      clock.advance(0.001);
      count(1, { rule: 'a' });
      const [line] = await series('rule', { to: start + 2 * minute, step: minute });
      expect(line!.points.map(({ allowed }) => allowed)).toEqual([1, 1]);
    });

    it('count into the time that the clock tells, also where it was set back', async () => {
      count(1, { rule: 'a' });
      clock.advance(minute);
      count(2, { rule: 'a' });
      clock.jump(-minute);
      count(4, { rule: 'a' });
      clock.advance(minute);
      const [line] = await series('rule', { to: start + 2 * minute, step: minute });
      expect(line!.points.map(({ allowed }) => allowed)).toEqual([5, 2]);
    });

    it('answer from hours what lies further back than a day', async () => {
      for (let i = 0; i < 4; i++) {
        count(i + 1, { rule: 'a' });
        clock.advance(20 * minute);
      }
      clock.advance(3 * day);
      const [line] = await series('rule', { to: start + 2 * hour });
      expect(line!.points.map(({ allowed }) => allowed)).toEqual([6, 4]);
    });

    it('answer from hours up to the minute that it is', async () => {
      count(1, { rule: 'a' });
      clock.advance(2 * day + 5 * minute);
      count(2, { rule: 'a' });
      clock.advance(minute);
      count(4, { rule: 'a' });
      const [line] = await series('rule', { to: start + 2 * day + hour, step: day });
      expect(line!.points.map(({ allowed }) => allowed)).toEqual([1, 0, 6]);
    });

    it('leave out what is before the beginning of a query, or from its end on', async () => {
      for (let i = 0; i < 4; i++) {
        count(1, { rule: 'a' });
        clock.advance(minute);
      }
      const part = await series('rule', { from: start + minute, to: start + 3 * minute, step: minute });
      expect(totals(part)).toEqual({ a: [2, 0, 0] });
    });

    it('keep sums whole when clients invent names', async () => {
      for (let i = 0; i < 3_000; i++) count(1, { endpoint: `/${i}` });
      const invented = totals(await series('endpoint'));
      expect(Object.keys(invented).length).toBeLessThanOrEqual(101);
      expect(Object.values(invented).reduce((sum, [allowed]) => sum + allowed, 0)).toBe(3_000);
    });

    it.each(['__proto__', 'constructor', '', ' ', '/ü/\u{1f30a}', '"\\\n', '{}', '(other)'])(
      'take %j for a name like any other',
      async (name) => {
        count(2, { endpoint: name });
        expect(await series('endpoint')).toMatchObject([{ name, points: [{ allowed: 2 }] }]);
      },
    );

    it('name the clients with the most requests, and those refused most', async () => {
      count(5, { key: 'user:a' });
      count(3, { key: 'user:b', outcome: 'refused' });
      count(4, { key: 'user:c', outcome: 'shadow-refused' });
      clock.advance(minute);
      count(9, { key: 'user:c' });
      const top = (by: 'requests' | 'refused', n: number) => analytics.top({ by, n, window: 5 * minute });
      expect(await top('requests', 2)).toEqual([
        { key: 'user:c', count: 13, error: 0 },
        { key: 'user:a', count: 5, error: 0 },
      ]);
      expect(await top('refused', 10)).toEqual([{ key: 'user:b', count: 3, error: 0 }]);
    });

    it('look for heavy hitters in the window, and no further back than to the minute in which it begins', async () => {
      count(5, { key: 'user:old' });
      clock.advance(5 * minute);
      count(1, { key: 'user:new' });
      const keys = async (window: number) =>
        (await analytics.top({ by: 'requests', n: 10, window })).map(({ key }) => key);
      expect(await keys(5 * minute)).toEqual(['user:old', 'user:new']);
      expect(await keys(4 * minute)).toEqual(['user:new']);
      clock.advance(60 * minute);
      expect(await keys(hour)).toEqual(['user:new']);
      clock.advance(minute);
      expect(await keys(hour)).toEqual([]);
    });

    it('find a heavy hitter among a flood of clients, within the bounds they tell', async () => {
      for (let i = 0; i < 20_000; i++) {
        count(1, { key: `ip:${i}` });
        if (i % 20 === 0) count(1, { key: 'user:heavy' });
        if (i % 5_000 === 4_999) clock.advance(minute);
      }
      const [first] = await analytics.top({ by: 'requests', n: 1, window: hour });
      expect(first!.key).toBe('user:heavy');
      expect(first!.count).toBeGreaterThanOrEqual(1_000);
      expect(first!.count - first!.error).toBeLessThanOrEqual(1_000);
    });

    it('refuse a query of more points than anybody can look at', async () => {
      await expect(series('rule', { from: 0, step: minute })).rejects.toMatchObject({ code: 'INVALID_OPTION' });
    });
  });
}
