import { compilePolicies, SluiceError } from '@sluice/core';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Problem } from '../../src/problem.ts';
import { limitFields, limitsPolicy, parseLimits, policyLimits } from '../../src/users/limits.ts';
import { nearestRate, rateOf, ratioOf } from '../../src/users/rate.ts';
import type { UserLimits } from '../../src/users/user.ts';

const tokens = (max_tokens: number, refill_rate: number): UserLimits => ({
  algorithm: 'token-bucket',
  max_tokens,
  refill_rate,
});

describe('a rate per second', () => {
  test.each([
    [2, 2, 1_000],
    [1_000_000_000, 1_000_000_000, 1_000],
    [0.5, 1, 2_000],
    [2.5, 5, 2_000],
    [0.001, 1, 1_000_000],
    [0.000001, 1, 1_000_000_000],
    [16.0625, 257, 16_000],
    [1_000_000_000_000, 1_000_000_000, 1],
    [123456.789, 123_456_789, 1_000_000],
  ])('of %d is %d units per %d ms', (rate, limit, window) => {
    expect(ratioOf(rate)).toEqual({ limit, window });
  });

  test.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY, 1e-7, 0.1234567, 1234567.123457, 1e21, 1_000_000_001_000.5])(
    'of %d is none, and is not rounded',
    (rate) => {
      expect(ratioOf(rate)).toBeUndefined();
    },
  );

  test('is exactly the ratio, which a policy can have, and comes back from it', () => {
    const rates = fc.tuple(fc.integer({ min: 1, max: 2 ** 53 - 1 }), fc.integer({ min: 0, max: 6 }));
    let found = 0;
    fc.assert(
      fc.property(rates, ([digits, decimals]) => {
        const rate = Number(`${digits}e-${decimals}`);
        const ratio = ratioOf(rate);
        if (ratio === undefined) return;
        found++;
        const { limit, window } = ratio;
        expect(limit).toBeLessThanOrEqual(1_000_000_000);
        const [, whole, rest = ''] = /^(\d+)\.?(\d*)$/.exec(String(rate))!;
        expect(BigInt(limit) * 1_000n * 10n ** BigInt(rest.length)).toBe(BigInt(whole + rest) * BigInt(window));
        expect(rateOf(ratio)).toBe(rate);
        compilePolicies([{ limit, window, algorithm: 'token-bucket' }], 'here');
      }),
      { numRuns: 5_000 },
    );
    expect(found).toBeGreaterThan(500);
  });

  test('that cannot be had has a neighbour that can', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, minExcluded: true, noNaN: true }), (rate) => {
        expect(ratioOf(nearestRate(rate))).toBeDefined();
      }),
    );
    expect(nearestRate(1234567.123457)).toBe(1234567.12);
    expect(nearestRate(1e-9)).toBe(0.000001);
  });
});

describe('the limits of a user', () => {
  test('become a policy of the same bucket', () => {
    expect(limitsPolicy(tokens(10, 0.5))).toEqual({ algorithm: 'token-bucket', limit: 1, window: 2_000, burst: 10 });
    expect(limitsPolicy({ algorithm: 'leaky-bucket', capacity: 5, leak_rate: 2 })).toEqual({
      algorithm: 'leaky-bucket',
      limit: 2,
      window: 1_000,
      burst: 5,
    });
  });

  test('come back from their policy, and from any bucket whose rate six decimals can tell', () => {
    for (const limits of [tokens(10, 0.5), tokens(1, 2), tokens(7, 0.1)] as const) {
      expect(policyLimits(limitsPolicy(limits))).toEqual(limits);
    }
    expect(policyLimits({ algorithm: 'leaky-bucket', limit: 90, window: '1m' })).toEqual({
      algorithm: 'leaky-bucket',
      capacity: 90,
      leak_rate: 1.5,
    });
    expect(policyLimits({ algorithm: 'token-bucket', limit: 1000, window: '1h' })).toBeUndefined();
    expect(policyLimits({ algorithm: 'fixed-window', limit: 10, window: '1s' })).toBeUndefined();
  });

  test('that core would refuse are refused in their own words', () => {
    expect(() => limitsPolicy(tokens(1_000_000_000, 0.000001))).toThrow(
      new SluiceError(
        'INVALID_POLICY',
        "At a 'refill_rate' of 0.000001 per second, a 'max_tokens' of 1000000000 takes over a century to come back. " +
          'Choose one of at most 3162, or a higher rate.',
      ),
    );
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1_000_000_000 }),
        fc.integer({ min: 1, max: 10_000_000_000 }),
        (holds, digits) => {
          let policy: ReturnType<typeof limitsPolicy>;
          try {
            policy = limitsPolicy(tokens(holds, digits / 1_000_000));
          } catch (error) {
            expect((error as SluiceError).code).toBe('INVALID_POLICY');
            return;
          }
          expect(compilePolicies([policy], 'here')[0]).toMatchObject({ capacity: holds });
        },
      ),
    );
  });

  test.each([
    [tokens(0, 1), "'max_tokens' is an integer from 1 to 1000000000; got 0."],
    [tokens(1.5, 1), "'max_tokens' is an integer from 1 to 1000000000; got 1.5."],
    [tokens(10, Number.NaN), "'refill_rate' is a number above 0, in units per second; got NaN."],
    [
      { algorithm: 'leaky-bucket', capacity: 1, leak_rate: -1 },
      "'leak_rate' is a number above 0, in units per second; got -1.",
    ],
    [
      tokens(10, 0.1234567),
      "'refill_rate' has too many digits to be counted exactly: 0.1234567 per second. Rates have up to six decimals, and " +
        'about nine digits in all. Write 0.123457.',
    ],
  ] as [UserLimits, string][])('that cannot be are refused: %j', (limits, message) => {
    expect(() => limitsPolicy(limits)).toThrow(new SluiceError('INVALID_POLICY', message));
  });
});

describe('the limits in a query', () => {
  test.each([
    [{ max_tokens: '10', refill_rate: '2' }, tokens(10, 2)],
    [{ user_id: 'alice', max_tokens: '1000000000', refill_rate: '100.50' }, tokens(1_000_000_000, 100.5)],
    [{ max_tokens: '1', refill_rate: '2.000' }, tokens(1, 2)],
    [
      { capacity: '10', leak_rate: '2.5' },
      { algorithm: 'leaky-bucket', capacity: 10, leak_rate: 2.5 },
    ],
  ])('%j are read', (query, limits) => {
    expect(parseLimits(query)).toEqual(limits);
  });

  const whole = [
    '0',
    '-1',
    '',
    ' 10',
    '10 ',
    '1e3',
    '0x10',
    '1_000',
    '1.0',
    '010',
    '+1',
    'NaN',
    'Infinity',
    '1000000001',
    '١',
  ];
  test.each(whole)('a max_tokens of %j is refused', (max_tokens) => {
    expect(parametersOf({ max_tokens, refill_rate: '1' })).toEqual(['max_tokens']);
  });

  const decimal = [
    '0',
    '0.0',
    '-1',
    '',
    ' 1',
    '1 ',
    '1e400',
    '1e3',
    '0x1',
    '1_000',
    '.5',
    '5.',
    '1,5',
    '+1',
    'NaN',
    'Infinity',
    '00.5',
  ];
  test.each([...decimal, '0.0000001', '1234567.123457', '9007199254740993'])(
    'a leak_rate of %j is refused',
    (leak_rate) => {
      expect(parametersOf({ capacity: '10', leak_rate })).toEqual(['leak_rate']);
    },
  );

  test.each([
    [{}, ['max_tokens']],
    [{ max_tokens: '10' }, ['refill_rate']],
    [{ leak_rate: '10' }, ['capacity']],
    [{ max_tokens: '10', leak_rate: '1' }, ['max_tokens', 'leak_rate']],
    [
      { max_tokens: '1', refill_rate: '1', capacity: '1', leak_rate: '1' },
      ['max_tokens', 'refill_rate', 'capacity', 'leak_rate'],
    ],
    [{ max_tokens: ['1', '2'], refill_rate: '1' }, ['max_tokens']],
    [{ max_tokens: 'x', refill_rate: 'y' }, ['max_tokens', 'refill_rate']],
    [{ max_tokens: '1000000000', refill_rate: '0.000001' }, ['max_tokens']],
  ])('%j are refused, naming what is wrong', (query, parameters) => {
    expect(parametersOf(query)).toEqual(parameters);
  });

  test('are refused however many digits they have', () => {
    for (const leak_rate of ['9'.repeat(400), `0.${'3'.repeat(400)}`]) {
      expect(parametersOf({ capacity: '10', leak_rate })).toEqual(['leak_rate']);
    }
  });

  test('say how to write a rate that has too many digits', () => {
    expect(() => parseLimits({ max_tokens: '1', refill_rate: '0.1234567' })).toThrow(/Write 0\.123457\.$/);
  });

  test('are the texts that are kept of them', () => {
    const rates = fc.integer({ min: 1, max: 1_000_000_000 }).map((millionths) => millionths / 1_000_000);
    fc.assert(
      fc.property(rates, (rate) => {
        const [holdsWord, holds, rateWord, text] = limitFields(tokens(1, rate));
        expect(parseLimits({ [holdsWord]: holds, [rateWord]: text })).toEqual(tokens(1, rate));
      }),
    );
  });
});

function parametersOf(query: Record<string, unknown>): readonly (string | undefined)[] {
  try {
    parseLimits(query);
  } catch (error) {
    expect(error).toBeInstanceOf(Problem);
    const problem = error as Problem;
    expect(problem.status).toBe(400);
    for (const { parameter, detail } of problem.errors!) expect(detail).toContain(parameter);
    return problem.errors!.map(({ parameter }) => parameter);
  }
  throw new Error('was not refused');
}
