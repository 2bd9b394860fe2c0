import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readings } from '../../src/rules/readings.ts';
import { RouteTable, type Trial } from '../../src/rules/route-table.ts';
import { findBySearch, matchOf, type Rule } from './route-reference.ts';

interface RankedRule extends Rule {
  readonly priority: number;
  readonly isTrial: boolean;
  /** Whether it applies to the request, where it is on trial. */
  readonly applies: boolean;
  /** The requests here are of the tier `x`. */
  readonly tier: 'x' | 'y' | undefined;
}

const rules = fc.uniqueArray(
  fc.record<RankedRule>({
    method: fc.constantFrom('', '', 'GET', 'POST'),
    segments: fc.array(fc.constantFrom('a', 'a', 'b', ':p', '*'), { maxLength: 3 }),
    priority: fc.constantFrom(0, 0, 1, -3, 1_000),
    isTrial: fc.constantFrom(false, false, true),
    applies: fc.boolean(),
    tier: fc.constantFrom(undefined, undefined, 'x', 'y'),
  }),
  {
    maxLength: 20,
    selector: ({ method, segments, priority, isTrial, tier }) => {
      const erased = segments.map((segment, i) => (/^[:*]/.test(segment) && !isRest(segments, i) ? ':' : segment));
      return `${method} /${erased.join('/')} ${priority} ${isTrial} ${tier}`;
    },
  },
);

function isRest(segments: readonly string[], i: number): boolean {
  return segments[i] === '*' && i === segments.length - 1;
}

const method = fc.constantFrom('GET', 'HEAD', 'POST', 'PUT');
const target = fc
  .array(fc.constantFrom('a', 'b', 'c', '/', '/', '/', '..', '%2f', '%61', ';', '\\'), { maxLength: 10 })
  .map((parts) => `/${parts.join('')}`);

function tableOf(rules: readonly RankedRule[]): RouteTable<RankedRule> {
  return new RouteTable(
    rules.map((value, i) => ({
      match: matchOf(value),
      where: `rules[${i}]`,
      value,
      priority: value.priority,
      isTrial: value.isTrial,
      tier: value.tier,
    })),
  );
}

/** Where every rule applies, and where those on trial do as they say. */
function trialOf(): Trial<RankedRule> {
  return {
    concerns: ({ tier }) => tier !== 'y',
    applies: ({ isTrial, applies }) => !isTrial || applies,
    passed: new Set(),
  };
}

/**
 * By the definition: the highest priority first, then the most specific, then the one for the tier, then the one on trial;
 * until one applies.
 */
function search(rules: readonly RankedRule[], method: string, path: readonly string[]) {
  const passed: RankedRule[] = [];
  let left = rules.filter(({ tier }) => tier !== 'y');
  for (const priority of [1_000, 1, 0, -3]) {
    for (;;) {
      const level = left.filter((rule) => rule.priority === priority);
      const rank = ({ tier, isTrial }: RankedRule) => (tier === undefined ? 2 : 0) + (isTrial ? 0 : 1);
      const ordered = level.toSorted((a, b) => rank(a) - rank(b));
      const best = findBySearch(ordered, method, path) as RankedRule | undefined;
      if (best === undefined) break;
      if (!best.isTrial || best.applies) return { applied: best, passed };
      passed.push(best);
      left = left.filter((rule) => rule !== best);
    }
  }
  return { applied: undefined, passed };
}

function segmentsOf(reading: string): readonly string[] {
  return reading === '/' ? [] : reading.slice(1).split('/');
}

describe('a table of rules of any priority', () => {
  it('finds for every reading of a target what the definition says, and nothing else', () => {
    const seen = { several: 0, passed: 0, outranked: 0 };
    fc.assert(
      fc.property(rules, method, target, (rules, method, target) => {
        const verb = method === 'HEAD' ? 'GET' : method;
        const expected = readings(target).map((reading) => search(rules, verb, segmentsOf(reading)));
        const trial = trialOf();
        const found = tableOf(rules).find(method, target, undefined, trial);
        expect(new Set(found)).toEqual(new Set(expected.map(({ applied }) => applied)));
        expect(found).toHaveLength(new Set(found).size);
        expect(trial.passed).toEqual(new Set(expected.flatMap(({ passed }) => passed)));
        if (found.length > 1) seen.several++;
        if (trial.passed.size > 1) seen.passed++;
        const byPattern = findBySearch(rules, verb, segmentsOf(readings(target)[0]!));
        if (byPattern !== undefined && !found.includes(byPattern as RankedRule)) seen.outranked++;
      }),
      { numRuns: 6_000 },
    );
    // The property is about something.
    for (const times of Object.values(seen)) expect(times).toBeGreaterThan(20);
  });

  it('finds as much, or more, where the framework tells its route too', () => {
    const route = fc
      .array(fc.constantFrom('a', 'b', ':p', '*'), { maxLength: 3 })
      .map((segments) => `/${segments.join('/')}`);
    fc.assert(
      fc.property(rules, method, target, route, (rules, method, target, route) => {
        const table = tableOf(rules);
        const [trial, other] = [trialOf(), trialOf()];
        const found = table.find(method, target, undefined, trial);
        expect(table.find(method, target, route, other)).toEqual(expect.arrayContaining([...found]));
        expect([...other.passed]).toEqual(expect.arrayContaining([...trial.passed]));
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('a rule of a higher priority', () => {
  const entry = (match: string, priority?: number) => ({
    match,
    where: `the rule for ${match} of ${priority}`,
    value: `${match} ${priority ?? 'none'}`,
    ...(priority === undefined ? {} : { priority }),
  });

  it.each([
    ['goes before one that is more specific', ['/*', 1], ['/users/me', 0], '/* 1'],
    ['goes before one for the same requests', ['/users/me', 1], ['/users/:id', 0], '/users/me 1'],
    ['goes before one that names the method', ['/users/me', 1], ['GET /users/me', 0], '/users/me 1'],
    ['goes before one of no priority', ['/*', 1], ['/users/me', undefined], '/* 1'],
    ['of none goes before one below', ['/*', undefined], ['/users/me', -1], '/* none'],
    ['that does not match hides nothing', ['/other', 1_000], ['/users/*', -1_000], '/users/* -1000'],
    ['for another method hides nothing', ['POST /users/me', 5], ['/users/me', 0], '/users/me 0'],
  ] as const)('%s', (_, first, second, expected) => {
    for (const order of [
      [first, second],
      [second, first],
    ]) {
      const table = new RouteTable(order.map(([match, priority]) => entry(match, priority)));
      expect(table.find('GET', '/users/me')).toEqual([expected]);
    }
  });

  it('may have the pattern of a lower one, but not of one of its own', () => {
    const patterns = [entry('/a/:x', 2), entry('/a/:y', 1), entry('/a/:z')];
    expect(new RouteTable(patterns).find('GET', '/a/b')).toEqual(['/a/:x 2']);
    expect(() => new RouteTable([...patterns, entry('/a/:other', 1)])).toThrow(
      /the rule for \/a\/:other of 1 .+ and the rule for \/a\/:y of 1 .+ match the same requests.+priorities differ/,
    );
    expect(() => new RouteTable([...patterns, entry('/a/:other', 0)])).toThrow(/of 0 .+ and .+ of undefined/);
  });

  it("goes before the rule with the pattern of the framework's route", () => {
    const table = new RouteTable([entry('/users/*', 1), entry('/users/:id', 0), entry('/users/me', -1)]);
    expect(table.find('GET', '/users/7', '/users/:user')).toEqual(['/users/* 1']);
    expect(table.find('GET', '/USERS/7', '/users/:user')).toEqual(['/users/* 1']);
    const reverse = new RouteTable([entry('/users/:id', 1), entry('/users/me', 0), entry('/api/*', 0)]);
    expect(reverse.find('GET', '/users/me', '/users/:user')).toEqual(['/users/:id 1']);
    // Where a router is mounted, the path and the route are two readings.
    expect(reverse.find('GET', '/api/users/7', '/users/:user')).toEqual(['/api/* 0', '/users/:id 1']);
    expect(table.find('GET', '/api/users/7', '/users/:user')).toEqual([undefined, '/users/:id 0']);
  });

  it("is found for the framework's route, where the path is spelled otherwise", () => {
    const table = new RouteTable([entry('/users/me', 2), entry('/users/:id', 1), entry('/users/:id', 0)]);
    expect(table.find('GET', '/users/ME', '/users/:user')).toEqual(['/users/me 2', '/users/:id 1']);
    expect(table.find('GET', '/users/me', '/users/:user')).toEqual(['/users/me 2']);
  });
});
