import { ManualClock } from '@sluice/testing';
import { expect, test } from 'vitest';
import type { Verdict } from '../../src/index.ts';
import { Memo } from '../../src/memo.ts';
import { passing, type Refused } from './exchange.ts';

const nobody = { ip: '192.0.2.1' };
const refused = (verdict: Verdict) => verdict as Refused;

test('the body is JSON that names every policy that refused', () => {
  const clock = new ManualClock();
  const pass = passing({ name: 'api', limits: ['1/1s', '1/1m', '5/1h', '1/1d'], algorithm: 'fixed-window', clock });
  pass(nobody);
  expect(JSON.parse(refused(pass(nobody)).body)).toEqual({
    type: 'https://iana.org/assignments/http-problem-types#quota-exceeded',
    title: 'Too many requests: the assigned quota is used up',
    status: 429,
    detail: "Policy 'api-1d' grants 1 unit per 1d. Try again in 86400 seconds.",
    'violated-policies': ['api-1s', 'api-1m', 'api-1d'],
  });
});

test.each([
  [1, 1],
  [999, 1],
  [1_000, 1],
  [1_001, 2],
  [59_999, 60],
  [60_000, 60],
])('a wait of %d ms is told as %d whole seconds', (wait, seconds) => {
  const clock = new ManualClock();
  const pass = passing({ limit: 1, window: '2m', algorithm: 'fixed-window', clock });
  clock.advance(120_000 - wait);
  pass(nobody);
  const { headers, body } = refused(pass(nobody));
  expect(headers['Retry-After']).toBe(String(seconds));
  expect(JSON.parse(body).detail).toContain(`Try again in ${seconds} ${seconds === 1 ? 'second' : 'seconds'}.`);
});

test('a wait of a microsecond is told as a second', () => {
  const clock = new ManualClock();
  const pass = passing({ limit: 1, window: '1s', algorithm: 'fixed-window', clock });
  clock.advance(999.999);
  pass(nobody);
  expect(refused(pass(nobody)).headers['Retry-After']).toBe('1');
});

test('a wait of a year is told in full', () => {
  const pass = passing({
    limit: 1,
    window: '366d',
    algorithm: 'fixed-window',
    anchor: 'first',
    clock: new ManualClock(),
  });
  pass(nobody);
  expect(refused(pass(nobody)).headers['Retry-After']).toBe(String(366 * 86_400));
});

test('a long Accept is read as one, and remembered by nobody', () => {
  const pass = passing({ limit: 0 });
  const accept = `${'image/x, '.repeat(1_000)}text/html`;
  expect(refused(pass({ ...nobody, headers: { accept } })).headers['Content-Type']).toBe('text/html; charset=utf-8');
});

test('a Memo computes once, and keeps neither too many results nor those of long texts', () => {
  const asked: string[] = [];
  const memo = new Memo((text) => {
    asked.push(text);
    return text.length;
  }, 2);
  expect(['a', 'a', 'b', 'a'].map((text) => memo.get(text))).toEqual([1, 1, 1, 1]);
  expect(asked).toEqual(['a', 'b']);
  memo.get('c');
  memo.get('a');
  expect(asked).toEqual(['a', 'b', 'c', 'a']);
  const long = 'x'.repeat(1_000);
  expect([memo.get(long), memo.get(long)]).toEqual([1_000, 1_000]);
  expect(asked.slice(4)).toEqual([long, long]);
});
