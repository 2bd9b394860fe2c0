import { ManualClock } from '@sluice/testing';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isEnforced } from '../../src/engine/enforcement.ts';
import { Pipeline, type RequestEvent, type Rule } from '../../src/index.ts';
import { readings } from '../../src/rules/readings.ts';
import { findBySearch, type Rule as Pattern } from '../rules/route-reference.ts';
import { type FakeRequest, passing, reader } from './exchange.ts';
import { behind, one, refuses } from './wrong-options.ts';

/** Which policies a request is charged for, and which only count it. */
function charged(rules: readonly Rule<FakeRequest>[], ip = '192.0.2.1') {
  const events: RequestEvent<FakeRequest>[] = [];
  const onDecision = (event: RequestEvent<FakeRequest>) => void events.push(event);
  const send = passing({ limit: 1_000, rules, onDecision, clock: new ManualClock() });
  return (request: FakeRequest) => {
    events.length = 0;
    send({ ip, ...request });
    const policiesOf = (wanted: string) =>
      events
        .filter(({ mode }) => mode === wanted)
        .flatMap(({ decision }) => decision.policies ?? [decision])
        .map(({ policy }) => policy);
    return { enforced: policiesOf('enforce'), shadows: policiesOf('shadow') };
  };
}

const modes = { enforce: 100, shadow: 0, some: 50, off: undefined } as const;

interface Drawn extends Pattern {
  readonly priority: number;
  readonly mode: keyof typeof modes;
  readonly stack: boolean;
  readonly limit: false | 1_000;
}

describe('what a request is charged for', () => {
  const drawn: fc.Arbitrary<Drawn> = fc.record({
    method: fc.constantFrom('', 'GET'),
    segments: fc.array(fc.constantFrom('a', 'b', ':p', '*'), { maxLength: 2 }),
    priority: fc.constantFrom(0, 0, 2, -2),
    mode: fc.constantFrom<Drawn['mode'][]>('enforce', 'enforce', 'shadow', 'some', 'off'),
    stack: fc.boolean(),
    limit: fc.constantFrom<(false | 1_000)[]>(1_000, 1_000, false),
  });
  const list = fc.uniqueArray(drawn, {
    maxLength: 12,
    selector: ({ method, segments: [first = '', second = ''], priority }) => {
      const of = (segment: string, isLast: boolean) =>
        segment === '*' && isLast ? '*' : segment.replace(/^[:*].*/, ':');
      return [method, of(first, second === ''), of(second, true), priority].join();
    },
  });
  const target = fc
    .array(fc.constantFrom('a', 'b', 'c', '/', '/', '..', '%61', ';'), { maxLength: 6 })
    .map((parts) => `/${parts.join('')}`);

  /** By the definition, one reading at a time. */
  function expected(rules: readonly Drawn[], path: readonly string[], ip: string) {
    let left = rules.filter(({ mode }) => mode !== 'off');
    const shadows: string[] = [];
    while (left.length > 0) {
      const highest = Math.max(...left.map(({ priority }) => priority));
      const level = left.filter(({ priority }) => priority === highest);
      const best = findBySearch(level, 'GET', path) as Drawn | undefined;
      left = left.filter((rule) => (best === undefined ? !level.includes(rule) : rule !== best));
      if (best === undefined) continue;
      const name = `rule-${rules.indexOf(best)}`;
      if (isEnforced(modes[best.mode]!, `ip:${ip}`)) {
        const own = best.limit === false ? [] : [name];
        return { enforced: best.stack && best.limit !== false ? [...own, 'default'] : own, shadows };
      }
      if (best.limit !== false) shadows.push(name);
    }
    return { enforced: ['default'], shadows };
  }

  test('is for every reading of its path the rule that the definition says, and those tried out before it', () => {
    const ips = ['192.0.2.1', '192.0.2.2', '192.0.2.3', '192.0.2.4'];
    let several = 0;
    fc.assert(
      fc.property(list, target, fc.constantFrom(...ips), (drawn, url, ip) => {
        const rules = drawn.map(({ method, segments, priority, mode, stack, limit }, i): Rule<FakeRequest> => {
          return {
            match: `${method} /${segments.join('/')}`.trim(),
            name: `rule-${i}`,
            priority,
            ...(limit === false ? { limit } : { limit, window: '1h', stack }),
            ...(mode === 'some' ? { enforcePercent: 50 } : { mode }),
          };
        });
        const each = readings(url).map((path) => expected(drawn, path === '/' ? [] : path.slice(1).split('/'), ip));
        const told = charged(rules, ip)({ url });
        expect(new Set(told.enforced)).toEqual(new Set(each.flatMap(({ enforced }) => enforced)));
        expect(new Set(told.shadows)).toEqual(new Set(each.flatMap(({ shadows }) => shadows)));
        if (new Set(each.map(({ enforced }) => enforced.join())).size > 1) several++;
      }),
      { numRuns: 2_000 },
    );
    expect(several).toBeGreaterThan(20);
  });
});

describe('a rule that refuses nobody, or not everybody', () => {
  test('of a high priority hides none that does', () => {
    const rules: Rule<FakeRequest>[] = [
      { match: '/*', name: 'tried', ...one, mode: 'shadow', priority: 9 },
      { match: '/a', name: 'tenth', ...one, enforcePercent: 10, priority: 5 },
      { match: '/a', name: 'most', ...one, enforcePercent: 99 },
    ];
    const all = new Map<string, number>();
    for (let i = 0; i < 200; i++) {
      const { enforced, shadows } = charged(rules, `198.51.100.${i}`)({ url: '/a' });
      const told = `${enforced} beside ${shadows}`;
      all.set(told, (all.get(told) ?? 0) + 1);
    }
    expect([...all.keys()].sort()).toEqual([
      'default beside tried,tenth,most',
      'most beside tried,tenth',
      'tenth beside tried',
    ]);
    expect(all.get('most beside tried,tenth')).toBeGreaterThan(100);
  });

  test('does not count what a rule of a higher priority is enforced for', () => {
    const rules: Rule<FakeRequest>[] = [
      { match: '/a', name: 'tried', ...one, mode: 'shadow' },
      { match: '/*', name: 'all', ...one, priority: 1 },
    ];
    expect(charged(rules)({ url: '/a' })).toEqual({ enforced: ['all'], shadows: [] });
  });
});

test('rules of one group and several priorities count together', () => {
  const rules: Rule<FakeRequest>[] = [
    { match: '/a', group: 'both', limit: 2, window: '1h', priority: 3 },
    { match: '/b', group: 'both' },
  ];
  const send = passing({ rules, clock: new ManualClock() });
  const ip = '192.0.2.1';
  // Read as /a and as /b it counts once.
  expect(send({ ip, url: '/a/../b' })).toMatchObject({ action: 'pass' });
  expect(send({ ip, url: '/a' })).toMatchObject({ action: 'pass', decision: { remaining: 0 } });
  expect(send({ ip, url: '/b' }).action).toBe('refuse');
});

test('a rule of a high priority without limits frees what others limit, but no other reading of the path', () => {
  const rules: Rule<FakeRequest>[] = [
    { match: '/free/*', limit: false, priority: 5 },
    { match: '/free/login', limit: 0, window: '1h' },
    { match: '/login', limit: 0, window: '1h' },
  ];
  const send = passing({ rules, clock: new ManualClock() });
  const ip = '192.0.2.1';
  expect(send({ ip, url: '/free/login' }).action).toBe('skip');
  expect(send({ ip, url: '/free/../login' }).action).toBe('refuse');
  expect(send({ ip, url: '/free/%2e%2e/login' }).action).toBe('refuse');
});

test('the explanation of a request names the rule of the highest priority', async () => {
  const rules: Rule<FakeRequest>[] = [
    { match: '/a', ...one },
    { match: '/*', ...one, priority: 1 },
  ];
  const { rule, policies } = await new Pipeline(reader, { rules }).explain({ ip: '192.0.2.1', url: '/a' });
  expect([rule, policies.map(({ policy }) => policy)]).toEqual(['/*', ['all']]);
});

describe('of priorities', () => {
  const of = (priority: unknown) => behind({ match: '/a', ...one, priority });
  const message = /^rules\[1\]: 'priority' must be an integer from -1000 to 1000; got /;
  refuses([
    ['a fraction', of(0.5), 'INVALID_OPTION', message],
    ['NaN', of(Number.NaN), 'INVALID_OPTION', message],
    ['infinity', of(Number.POSITIVE_INFINITY), 'INVALID_OPTION', message],
    ['one too high', of(1_001), 'INVALID_OPTION', message],
    ['one too low', of(-1_001), 'INVALID_OPTION', message],
    ['a text', of('5'), 'INVALID_OPTION', message],
    ['null', of(null), 'INVALID_OPTION', message],
    [
      'one that two rules for the same requests have',
      {
        rules: [
          { match: '/a', name: 'x', priority: 7, ...one },
          { match: '/a', name: 'y', priority: 7, ...one },
        ],
      },
      'INVALID_OPTION',
      /^rules\[1\].+match the same requests.+make their paths, methods, tiers or priorities differ/,
    ],
  ]);

  test('-1000 and 1000 are the lowest and the highest', () => {
    const rules: Rule<FakeRequest>[] = [
      { match: '/a', name: 'lowest', ...one, priority: -1_000 },
      { match: '/a', name: 'highest', ...one, priority: 1_000 },
    ];
    expect(charged(rules)({ url: '/a' }).enforced).toEqual(['highest']);
  });
});

test('a rule that is off is checked all the same', () => {
  const rules: Rule<FakeRequest>[] = [{ match: '/a/../b', ...one, mode: 'off' }];
  expect(() => new Pipeline(reader, { rules })).toThrow(/would never match/);
});
