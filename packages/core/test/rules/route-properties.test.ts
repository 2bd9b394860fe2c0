import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cleanReading, readings } from '../../src/rules/readings.ts';
import { RouteTable } from '../../src/rules/route-table.ts';
import { findBySearch, matchOf, type Rule } from './route-reference.ts';

const words = ['a', 'b', 'c', 'login', 'caf\u00e9', 'x y', '@me'];
const method = fc.constantFrom('GET', 'POST', 'PUT');

const rule: fc.Arbitrary<Rule> = fc.record({
  method: fc.constantFrom('', 'GET', 'POST'),
  segments: fc.array(fc.constantFrom('a', 'a', 'b', 'b', 'c', 'login', 'caf\u00e9', 'x y', '@me', ':p', ':q', '*'), {
    maxLength: 4,
  }),
});

/** Rules without two for the same. */
const rules = fc.uniqueArray(rule, {
  maxLength: 20,
  selector: ({ method, segments }) => {
    const erased = segments.map((segment, i) =>
      segment === '*' && i === segments.length - 1 ? '*' : /^[:*]/.test(segment) ? ':' : segment,
    );
    return `${method} /${erased.join('/')}`;
  },
});

const path = fc.array(fc.constantFrom(...words), { maxLength: 5 });

function tableOf(rules: readonly Rule[]): RouteTable<Rule> {
  return new RouteTable(rules.map((value, i) => ({ match: matchOf(value), where: `rules[${i}]`, value })));
}

function targetOf(path: readonly string[]): string {
  return `/${path.map(encodeURIComponent).join('/')}`;
}

describe('a table of any rules', () => {
  it('finds what the definition says for a path as it is meant', () => {
    fc.assert(
      fc.property(rules, method, fc.array(path, { minLength: 1, maxLength: 8 }), (rules, method, paths) => {
        const table = tableOf(rules);
        for (const path of paths) {
          const found = table.find(method, targetOf(path));
          expect(found).toContain(findBySearch(rules, method, path));
          if (cleanReading(targetOf(path)) !== undefined) expect(found).toHaveLength(1);
        }
      }),
      { numRuns: 1_000 },
    );
  });

  it('finds the same whatever the order they are written in', () => {
    fc.assert(
      fc.property(
        rules.chain((rules) => fc.tuple(fc.constant(rules), fc.shuffledSubarray(rules, { minLength: rules.length }))),
        method,
        fc.array(path, { minLength: 1, maxLength: 8 }),
        ([rules, shuffled], method, paths) => {
          const table = tableOf(rules);
          const other = tableOf(shuffled);
          for (const path of paths) {
            expect(other.find(method, targetOf(path))).toEqual(table.find(method, targetOf(path)));
          }
        },
      ),
    );
  });

  it('finds for every reading of any target what the definition says, and nothing else', () => {
    const target = fc
      .array(
        fc.constantFrom('a', 'b', 'login', '/', '//', '.', '..', '%2e', '%2f', '%61', '%2561', ';', '\\', '#', '?'),
        {
          maxLength: 14,
        },
      )
      .map((parts) => `/${parts.join('')}`);
    fc.assert(
      fc.property(rules, method, target, (rules, method, target) => {
        const expected = readings(target).map((reading) =>
          findBySearch(rules, method, reading === '/' ? [] : reading.slice(1).split('/')),
        );
        expect(new Set(tableOf(rules).find(method, target))).toEqual(new Set(expected));
      }),
      { numRuns: 1_000 },
    );
  });
});

describe('a path in any spelling', () => {
  /** For each place of the path, how to spell what stands there. */
  const spelling = fc.record({
    encoded: fc.constantFrom(0, 0, 1, 2, 3),
    capital: fc.boolean(),
    before: fc.constantFrom('', '', '', '/', '/.', '/x/..', '/x/%2e%2E', '//'),
    parameter: fc.constantFrom('', '', '', ';x', ';v=1;w'),
  });
  const ending = fc.constantFrom('', '', '/', '//', '?q', '/?a/../b', '#f', '/.', '/x/..');

  function spell(
    word: string,
    { encoded, capital, parameter }: { encoded: number; capital: boolean; parameter: string },
  ) {
    let text = [...word]
      .map((character, i) => (encoded > 0 && i % 2 === 0 ? escapeAll(character) : encodeURIComponent(character)))
      .join('');
    if (capital) text = text.replace(/%..|[a-z]/g, (match) => (match.startsWith('%') ? match : match.toUpperCase()));
    for (let round = 1; round < encoded; round++) text = text.replaceAll('%', '%25');
    return text + parameter;
  }

  function escapeAll(character: string): string {
    return [...new TextEncoder().encode(character)].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');
  }

  it('finds the rule of the path, whatever else it finds', () => {
    fc.assert(
      fc.property(
        rules,
        method,
        fc.array(fc.tuple(fc.constantFrom(...words), spelling), { maxLength: 5 }),
        ending,
        (rules, method, parts, ending) => {
          // One server decodes all of a path equally often.
          const most = Math.max(0, ...parts.map(([, { encoded }]) => encoded));
          const target = parts
            .map(([word, how]) => `${how.before}/${spell(word, how.encoded > 0 ? { ...how, encoded: most } : how)}`)
            .join('');
          const wanted = findBySearch(
            rules,
            method,
            parts.map(([word]) => word),
          );
          expect(tableOf(rules).find(method, (target || '/') + ending)).toContain(wanted);
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it('of any characters never fails, and has canonical readings only', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 60 }), (target) => {
        for (const reading of readings(target)) {
          expect(reading).toMatch(/^\/$|^(\/[^/]+)+$/);
          expect(reading).toBe(reading.toLowerCase());
        }
      }),
      { numRuns: 2_000 },
    );
  });
});
