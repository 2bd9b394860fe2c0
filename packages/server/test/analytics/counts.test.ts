import { describe, expect, it } from 'vitest';
import type { Dimension } from '../../src/analytics/analytics.ts';
import { Counts } from '../../src/analytics/counts.ts';
import { Frame } from '../../src/analytics/frame.ts';
import { places, type Tallies } from '../../src/analytics/tally.ts';
import { decision } from './decision.ts';

/** Decisions by name: what was allowed and what was refused. */
function decisionsOf(tallies: Tallies, by: Dimension): Record<string, number> {
  const sums: [string, number][] = [];
  tallies.each(by, (name, numbers, start) => sums.push([name, numbers[start]! + numbers[start + 1]!]));
  return Object.fromEntries(sums);
}

function sum(tallies: Tallies, by: Dimension): number {
  return Object.values(decisionsOf(tallies, by)).reduce((a, b) => a + b, 0);
}

describe('counts', () => {
  it('count each decision once in every dimension', () => {
    const counts = new Counts();
    counts.count(decision({ rule: 'login', endpoint: '/login', tier: 'free' }));
    counts.count(decision({ rule: 'login', endpoint: '/login', outcome: 'refused', source: 'fallback' }));
    counts.count(decision());
    expect(decisionsOf(counts, 'rule')).toEqual({ login: 2, '(none)': 1 });
    expect(decisionsOf(counts, 'endpoint')).toEqual({ '/login': 2, '(none)': 1 });
    expect(decisionsOf(counts, 'tier')).toEqual({ free: 1, '(none)': 2 });
    expect(decisionsOf(counts, 'decision')).toEqual({ allowed: 2, refused: 1 });
    expect(counts.take().rule).toEqual(['login', '1 1 0 1 0 0 1 0 0', '(none)', '1 0 0 1 0 0 0 0 0']);
  });

  it('have room for a bounded number of names, and count the rest together', () => {
    const counts = new Counts();
    for (let i = 0; i < 10_000; i++) counts.count(decision({ endpoint: `/${i}`, rule: `rule${i}`, tier: `tier${i}` }));
    for (const by of ['rule', 'endpoint', 'tier'] as const) {
      const decisions = decisionsOf(counts, by);
      expect(Object.keys(decisions)).toHaveLength(places[by] + 1);
      expect(decisions['(other)']).toBe(10_000 - places[by]);
    }
  });

  it('cut names to 200 characters, and count all that begin alike together', () => {
    const counts = new Counts();
    const long = 'x'.repeat(199);
    for (const end of ['a', 'ab', 'abc']) counts.count(decision({ endpoint: long + end }));
    expect(decisionsOf(counts, 'endpoint')).toEqual({ [`${long}a`]: 3 });
  });

  it('find a cut name again when there is no more room', () => {
    const counts = new Counts();
    const long = 'x'.repeat(300);
    counts.count(decision({ endpoint: long }));
    for (let i = 0; i < 200; i++) counts.count(decision({ endpoint: `/${i}` }));
    counts.count(decision({ endpoint: long }));
    expect(decisionsOf(counts, 'endpoint')[long.slice(0, 200)]).toBe(2);
  });

  it('take half a surrogate pair for one and the same unknown character', () => {
    const counts = new Counts();
    counts.count(decision({ endpoint: '/\ud83d' }));
    counts.count(decision({ endpoint: '/\ude00' }));
    expect(decisionsOf(counts, 'endpoint')).toEqual({ '/\ufffd': 2 });
  });

  it('hold half of the room for the most frequent names of an interval in which it was scarce', () => {
    const before = new Counts();
    for (let i = 0; i < 99; i++) before.count(decision({ endpoint: `/once/${i}` }));
    for (let i = 0; i < 20; i++) before.count(decision({ endpoint: '/orders' }));
    const [without, after] = [new Counts(), new Counts(before)];
    for (const counts of [without, after]) {
      for (let i = 0; i < 500; i++) counts.count(decision({ endpoint: `/again/${i}` }));
      counts.count(decision({ endpoint: '/orders' }));
    }
    expect(decisionsOf(without, 'endpoint')).not.toHaveProperty('/orders');
    expect(decisionsOf(after, 'endpoint')).toMatchObject({ '/orders': 1 });
    expect(sum(after, 'endpoint')).toBe(501);
  });

  it('give out what was counted since, and keep the names', () => {
    const counts = new Counts();
    counts.count(decision({ rule: 'a' }));
    expect(counts.take().rule).toEqual(['a', '1 0 0 1 0 0 0 0 0']);
    expect(counts.isEmpty).toBe(true);
    expect(counts.take().rule).toEqual([]);
    counts.count(decision({ rule: 'b' }));
    counts.count(decision({ rule: 'a', outcome: 'shadow-refused', source: 'lease' }));
    expect(counts.take().rule).toEqual(['a', '0 0 1 0 1 0 0 0 0', 'b', '1 0 0 1 0 0 0 0 0']);
  });

  it('are the same in a frame', () => {
    const counts = new Counts();
    for (const endpoint of ['/a', '/b', '/a', '__proto__']) counts.count(decision({ endpoint }));
    expect(new Counts().add(new Frame(counts)).take()).toEqual(counts.take());
  });
});
