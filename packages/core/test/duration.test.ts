import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatDuration, longestWindow, parseDuration } from '../src/duration.ts';
import { SluiceError } from '../src/index.ts';

describe('a duration', () => {
  it.each([
    [1, 1],
    [60_000, 60_000],
    ['500ms', 500],
    ['10s', 10_000],
    ['1m', 60_000],
    ['1h', 3_600_000],
    ['1d', 86_400_000],
    ['1.5s', 1_500],
    ['0.1s', 100],
    ['0.29s', 290],
    ['366d', 366 * 86_400_000],
  ])('reads %j as %i ms', (duration, ms) => {
    expect(parseDuration(duration, 'window')).toBe(ms);
  });

  it.each([
    '1 minute',
    '1min',
    '60',
    '1M',
    ' 1m',
    '1m ',
    '',
    'm',
    '1e3ms',
    '-1m',
    '+1m',
    '.5s',
    '0s',
    '0.5ms',
    '0.0001s',
    '367d',
    '1y',
    '1m30s',
    '1\n',
    0,
    -1,
    0.5,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    longestWindow + 1,
    2 ** 53,
    null,
    undefined,
    true,
    60_000n,
    {},
    ['1m'],
  ])('is not %s', (duration) => {
    const read = () => parseDuration(duration, "policies: 'window'");
    expect(read).toThrow(SluiceError);
    expect(read).toThrow(
      expect.objectContaining({
        code: 'INVALID_WINDOW',
        message: expect.stringMatching(
          /^policies: 'window' must be whole milliseconds or .*'1m'.* from 1 ms to 366 days/,
        ),
      }),
    );
  });

  it('shows in the message what it got instead', () => {
    expect(() => parseDuration('1 minute', 'window')).toThrow('got "1 minute"');
    expect(() => parseDuration(Number.NaN, 'window')).toThrow('got NaN');
  });

  it('is written in the largest unit that divides it, and read back the same', () => {
    expect([500, 1_000, 90_000, 3_600_000, 86_400_000].map(formatDuration)).toEqual(['500ms', '1s', '90s', '1h', '1d']);
    fc.assert(
      fc.property(fc.integer({ min: 1, max: longestWindow }), (ms) => {
        expect(parseDuration(formatDuration(ms), 'window')).toBe(ms);
      }),
    );
  });
});
