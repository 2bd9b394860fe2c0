import { describe, expect, it } from 'vitest';
import { instantOf } from '../src/instants.ts';

describe('an instant', () => {
  it.each([
    ['2026-11-21T18:00:00Z', Date.UTC(2026, 10, 21, 18)],
    ['2026-11-21T18:00:00.5+01:00', Date.UTC(2026, 10, 21, 17, 0, 0, 500)],
    ['9999-12-31T23:59:59Z', Date.UTC(9999, 11, 31, 23, 59, 59)],
  ])('%s is one', (text, ms) => {
    expect(instantOf(text)).toBe(ms);
  });

  it.each([
    ['the 31st of a month of 30 days', '2026-11-31T18:00:00Z'],
    ['what is in the year 10000 in UTC', '9999-12-31T23:59:59-00:01'],
    ['what is before the year 0 in UTC', '0000-01-01T00:00:00+00:01'],
    ['a year of five digits', '10000-01-01T00:00:00Z'],
  ])('%s is none', (_what, text) => {
    expect(instantOf(text)).toBeUndefined();
  });
});
