import fc from 'fast-check';
import { type Item, parseDictionary, parseItem, parseList } from 'structured-headers';
import { expect, test } from 'vitest';
import { combine } from '../../src/decision.ts';
import { type HeaderStyle, type QuotaLine, retryAfterSeconds } from '../../src/http/headers.ts';
import { decision, written } from './headers-lines.ts';

const number = fc.oneof(
  fc.nat(1_000_000_000),
  fc.double({ min: 1e-3, max: 1e12, noNaN: true }),
  fc.constantFrom(0, -0, 1e-3, 1e300, Infinity, -Infinity, Number.NaN, -1, 2 ** 53),
);

const lines: fc.Arbitrary<readonly QuotaLine[]> = fc
  .uniqueArray(
    fc.record({
      name: fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/),
      key: fc.string(),
      limit: number,
      windowMs: fc.option(number, { nil: undefined }),
      unit: fc.constantFrom('requests', 'content-bytes', 'concurrent-requests'),
      isPenalty: fc.boolean(),
      decision: fc.record({
        allowed: fc.boolean(),
        remaining: number,
        resetAfter: number,
        retryAfter: number,
        at: number,
      }),
    }),
    { selector: ({ name }) => name, minLength: 1, maxLength: 8 },
  )
  .map((all) => all.map((one) => ({ ...one, decision: decision(one.name, { limit: one.limit, ...one.decision }) })));

const partition = fc.option(
  fc.uint8Array({ minLength: 1, maxLength: 32 }).map((bytes) => Buffer.from(bytes).toString('base64')),
  { nil: undefined },
);

function integers(items: readonly Item[]): readonly unknown[] {
  return items.flatMap(([, parameters]) =>
    [...parameters].filter(([key]) => key.length === 1).map(([, value]) => value),
  );
}

function expectInteger(value: unknown): void {
  expect(Number.isInteger(value)).toBe(true);
  expect(value).toBeGreaterThanOrEqual(0);
  expect(value).toBeLessThanOrEqual(999_999_999_999_999);
}

test('lists of named policies are valid, in the order of the lines, and say of each what its decision says', () => {
  fc.assert(
    fc.property(lines, partition, fc.constantFrom<HeaderStyle>('draft-8', 'draft-11'), (all, pk, style) => {
      const tightest = combine(all.map((one) => one.decision));
      const fields = written(style, tightest, all, pk);
      expect(Object.values(fields)).not.toContain('');
      const policies = parseList(fields['RateLimit-Policy'] ?? '') as Item[];
      const limits = parseList(fields.RateLimit ?? '') as Item[];
      for (const value of [...integers(policies), ...integers(limits)]) expectInteger(value);

      const quotas = all.filter(({ limit, isPenalty }) => Number.isFinite(limit) && !isPenalty);
      expect(policies.map(([name]) => name)).toEqual(quotas.map(({ name }) => name));
      for (const [i, [, parameters]] of policies.entries()) {
        const { unit, windowMs } = quotas[i]!;
        expect(parameters.get('qu')).toBe(unit === 'requests' ? undefined : unit);
        expect(parameters.has('w')).toBe(Number.isFinite(windowMs));
        if (parameters.has('w')) expect(parameters.get('w')).toBeGreaterThanOrEqual(1);
      }

      const told = all.filter(({ decision: { allowed, remaining } }) => {
        return Number.isFinite(remaining) && (tightest.allowed || !allowed);
      });
      expect(limits.map(([name]) => name)).toEqual(told.map(({ name }) => name));
      for (const [i, [, parameters]] of limits.entries()) {
        const { windowMs, decision: own } = told[i]!;
        const time = own.allowed ? own.resetAfter : own.retryAfter;
        expect(parameters.has('t')).toBe(windowMs !== undefined && Number.isFinite(time));
        if (!own.allowed && parameters.has('t')) expect(parameters.get('t')).toBe(retryAfterSeconds(own));
        if (!own.allowed && parameters.has('t')) expect(parameters.get('t')).toBeGreaterThanOrEqual(1);
        // Never sooner than it is true.
        if (parameters.has('t') && time < 1e15)
          expect(Number(parameters.get('t')) * 1_000).toBeGreaterThanOrEqual(time);
      }
      for (const [, parameters] of [...policies, ...limits]) expect(parameters.has('pk')).toBe(pk !== undefined);
    }),
  );
});

test('fields of drafts 6 and 7 are valid, and no two policies have one quota', () => {
  fc.assert(
    fc.property(lines, (all) => {
      const tightest = combine(all.map((one) => one.decision));
      const seven = written('draft-7', tightest, all);
      const values = new Map([...parseDictionary(seven.RateLimit ?? '')].map(([key, [value]]) => [key, value]));
      if (values.size > 0) expect([...values.keys()]).toEqual(['limit', 'remaining', 'reset']);
      for (const value of values.values()) expectInteger(value);
      if (!tightest.allowed && values.size > 0) expect(values.get('reset')).toBeGreaterThanOrEqual(1);

      const six = written('draft-6', tightest, all);
      for (const name of ['RateLimit-Limit', 'RateLimit-Remaining', 'RateLimit-Reset']) {
        if (six[name] !== undefined) expectInteger(parseItem(six[name])[0]);
      }
      expect(six['RateLimit-Policy']).toBe(seven['RateLimit-Policy']);
      const policies = parseList(six['RateLimit-Policy'] ?? '') as Item[];
      for (const [quota, parameters] of policies) {
        expectInteger(quota);
        expect(parameters.get('w')).toBeGreaterThanOrEqual(1);
      }
      expect(new Set(policies.map(([quota]) => quota)).size).toBe(policies.length);
    }),
  );
});

test('legacy fields are decimal digits, or absent', () => {
  fc.assert(
    fc.property(lines, (all) => {
      for (const { decision: own } of all) {
        for (const text of Object.values(written('legacy', own))) expect(text).toMatch(/^\d{1,15}$/);
      }
    }),
  );
});
