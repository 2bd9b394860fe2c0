import { parseDictionary, parseItem, parseList } from 'structured-headers';
import { expect, test } from 'vitest';
import { combine } from '../../src/decision.ts';
import { exposeHeaders, HeaderWriter, retryAfterSeconds } from '../../src/http/headers.ts';
import { decision, line, written } from './headers-lines.ts';

const burst = line('burst', 100, 60_000, { remaining: 50, resetAfter: 4_001 });
const daily = line('daily', 1_000, 86_400_000, { remaining: 800, resetAfter: 86_399_001 });
const granted = combine([burst.decision, daily.decision]);
const spent = line('burst', 100, 60_000, { allowed: false, remaining: 0, resetAfter: 60_000, retryAfter: 2_001 });
const refused = combine([spent.decision, daily.decision]);

test.each([
  ['legacy', { 'X-RateLimit-Limit': '100', 'X-RateLimit-Remaining': '50', 'X-RateLimit-Reset': '1700000005' }],
  [
    'draft-6',
    {
      'RateLimit-Limit': '100',
      'RateLimit-Remaining': '50',
      'RateLimit-Reset': '5',
      'RateLimit-Policy': '100;w=60, 1000;w=86400',
    },
  ],
  ['draft-7', { RateLimit: 'limit=100, remaining=50, reset=5', 'RateLimit-Policy': '100;w=60, 1000;w=86400' }],
  [
    'draft-8',
    {
      'RateLimit-Policy': '"burst";q=100;w=60, "daily";q=1000;w=86400',
      RateLimit: '"burst";r=50;t=5, "daily";r=800;t=86400',
    },
  ],
  [
    'draft-11',
    {
      'RateLimit-Policy': '"burst";q=100;w=60, "daily";q=1000;w=86400',
      RateLimit: '"burst";r=50;t=5, "daily";r=800;t=86400',
    },
  ],
] as const)('%s tells a granted request its limits', (style, fields) => {
  expect(written(style, granted, [burst, daily])).toEqual(fields);
});

test.each([
  ['legacy', { 'X-RateLimit-Limit': '100', 'X-RateLimit-Remaining': '0', 'X-RateLimit-Reset': '1700000060' }],
  [
    'draft-6',
    {
      'RateLimit-Limit': '100',
      'RateLimit-Remaining': '0',
      'RateLimit-Reset': '3',
      'RateLimit-Policy': '100;w=60, 1000;w=86400',
    },
  ],
  ['draft-7', { RateLimit: 'limit=100, remaining=0, reset=3', 'RateLimit-Policy': '100;w=60, 1000;w=86400' }],
  ['draft-8', { 'RateLimit-Policy': '"burst";q=100;w=60, "daily";q=1000;w=86400', RateLimit: '"burst";r=0;t=3' }],
  ['draft-11', { 'RateLimit-Policy': '"burst";q=100;w=60, "daily";q=1000;w=86400', RateLimit: '"burst";r=0;t=3' }],
] as const)(
  '%s tells a refused request when it would pass, and draft-8 and draft-11 of violated policies only',
  (style, fields) => {
    expect(written(style, refused, [spent, daily])).toEqual(fields);
  },
);

test('legacy and a draft, or no style at all, can be sent together', () => {
  expect(Object.keys(written(['legacy', 'draft-11'], granted, [burst]))).toEqual([
    'X-RateLimit-Limit',
    'X-RateLimit-Remaining',
    'X-RateLimit-Reset',
    'RateLimit-Policy',
    'RateLimit',
  ]);
  expect(written(false, granted, [burst])).toEqual({});
});

test('a unit other than requests is told with the quota', () => {
  const bytes = { ...line('upload', 1_000_000, 10_000), unit: 'content-bytes' as const };
  expect(written('draft-11', bytes.decision, [bytes])['RateLimit-Policy']).toBe(
    '"upload";q=1000000;qu="content-bytes";w=10',
  );
});

test('a limit on concurrency has neither window nor time, granted or refused', () => {
  const free = line('work', 20, undefined, { remaining: 3, resetAfter: 600_000 });
  expect(written('draft-11', free.decision, [free])).toEqual({
    'RateLimit-Policy': '"work";q=20;qu="concurrent-requests"',
    RateLimit: '"work";r=3',
  });
  const full = line('work', 20, undefined, { allowed: false, retryAfter: 600_000 });
  expect(written('draft-8', full.decision, [full]).RateLimit).toBe('"work";r=0');
  expect(written('draft-7', free.decision, [free, burst])['RateLimit-Policy']).toBe('100;w=60');
  expect(written('draft-6', free.decision, [free])).not.toHaveProperty('RateLimit-Policy');
});

test('a partition key is a byte sequence on every item', () => {
  const fields = written('draft-11', granted, [burst, daily], 'cHsdsRa894A=');
  expect(fields).toEqual({
    'RateLimit-Policy': '"burst";q=100;w=60;pk=:cHsdsRa894A=:, "daily";q=1000;w=86400;pk=:cHsdsRa894A=:',
    RateLimit: '"burst";r=50;t=5;pk=:cHsdsRa894A=:, "daily";r=800;t=86400;pk=:cHsdsRa894A=:',
  });
  for (const [, parameters] of parseList(fields.RateLimit!)) {
    expect(Buffer.from(parameters.get('pk') as ArrayBuffer).toString('base64')).toBe('cHsdsRa894A=');
  }
  expect(written('draft-7', granted, [burst], 'cHsdsRa894A=').RateLimit).not.toContain('pk');
});

test.each([
  [1, 1],
  [500, 1],
  [999, 1],
  [1_000, 1],
  [1_001, 2],
  [60_000, 60],
  [366 * 86_400_000, 366 * 86_400],
])('a window of %d ms is told as %d whole seconds', (windowMs, seconds) => {
  const one = line('one', 10, windowMs);
  expect(written('draft-11', one.decision, [one])['RateLimit-Policy']).toBe(`"one";q=10;w=${seconds}`);
  expect(written('draft-7', one.decision, [one])['RateLimit-Policy']).toBe(`10;w=${seconds}`);
});

test('of policies with the same quota drafts 6 and 7 tell the one with the longest window, once', () => {
  const lines = [line('a', 10, 1_000), line('b', 10, 60_000), line('c', 5, 1_000), line('d', 10, 60_000)];
  for (const style of ['draft-6', 'draft-7'] as const) {
    expect(written(style, lines[0]!.decision, lines)['RateLimit-Policy']).toBe('10;w=60, 5;w=1');
  }
});

test('a cost that can never pass has no time to come back, but drafts 6 and 7 require a reset', () => {
  const never = line('never', 10, 60_000, { allowed: false, remaining: 4, resetAfter: 9_500, retryAfter: Infinity });
  expect(written('draft-11', never.decision, [never]).RateLimit).toBe('"never";r=4');
  expect(written('draft-7', never.decision, [never]).RateLimit).toBe('limit=10, remaining=4, reset=10');
  expect(written('draft-6', never.decision, [never])['RateLimit-Reset']).toBe('10');
  const closed = line('closed', 0, 60_000, { allowed: false, remaining: 0, resetAfter: 0, retryAfter: Infinity });
  expect(written('draft-7', closed.decision, [closed]).RateLimit).toBe('limit=0, remaining=0, reset=1');
});

test('a wait of a microsecond is told as a second, and a key that is as fresh as new as none', () => {
  const soon = line('soon', 1, 1_000, { allowed: false, retryAfter: 0.001 });
  expect(written('draft-11', soon.decision, [soon]).RateLimit).toBe('"soon";r=0;t=1');
  const fresh = line('fresh', 1, 1_000, { remaining: 1, resetAfter: 0 });
  expect(written('draft-11', fresh.decision, [fresh]).RateLimit).toBe('"fresh";r=1;t=0');
});

test('a refusal that no policy of the lines gave has no RateLimit field, nor has a request without lines', () => {
  expect(written('draft-11', refused, [daily])).toEqual({ 'RateLimit-Policy': '"daily";q=1000;w=86400' });
  expect(written('draft-8', granted, [])).toEqual({});
});

test('numbers that no field can carry are left out', () => {
  const odd = line('odd', Number.NaN, 60_000, { remaining: Number.NaN, resetAfter: Infinity });
  expect(written(['legacy', 'draft-11'], odd.decision, [odd])).toEqual({});
  expect(written('draft-6', odd.decision, [odd])).toEqual({});
  expect(written('draft-7', odd.decision, [odd])).toEqual({});
  const huge = line('huge', 1e300, 1e300, { remaining: 1e300, resetAfter: 1e300 });
  const most = '999999999999999';
  expect(written('draft-11', huge.decision, [huge])).toEqual({
    'RateLimit-Policy': `"huge";q=${most};w=${most}`,
    RateLimit: `"huge";r=${most};t=${most}`,
  });
});

test('a policy whose numbers change from request to request is told with the present ones', () => {
  const writer = new HeaderWriter('draft-11');
  const texts = [
    line('plan', 10, 1_000),
    line('plan', 20, 1_000),
    line('plan', 20, 2_000),
    line('plan', 10, 1_000),
  ].map((one) => {
    const fields: Record<string, string> = {};
    writer.write(fields, one.decision, [one]);
    return fields['RateLimit-Policy'];
  });
  expect(texts).toEqual(['"plan";q=10;w=1', '"plan";q=20;w=1', '"plan";q=20;w=2', '"plan";q=10;w=1']);
});

test('policies of one name and limit in different units are told apart', () => {
  const requests = line('api', 10, 1_000);
  const bytes = { ...requests, unit: 'content-bytes' as const };
  expect(written('draft-11', requests.decision, [requests, bytes])['RateLimit-Policy']).toBe(
    '"api";q=10;w=1, "api";q=10;qu="content-bytes";w=1',
  );
});

test('every field of a draft reads as the structured field that the draft says it is', () => {
  const six = written('draft-6', refused, [spent, daily]);
  expect(['RateLimit-Limit', 'RateLimit-Remaining', 'RateLimit-Reset'].map((name) => parseItem(six[name]!)[0])).toEqual(
    [100, 0, 3],
  );
  const seven = written('draft-7', granted, [burst, daily]);
  expect([...parseDictionary(seven.RateLimit!)].map(([key, [value]]) => [key, value])).toEqual([
    ['limit', 100],
    ['remaining', 50],
    ['reset', 5],
  ]);
  expect(parseList(seven['RateLimit-Policy']!).map(([quota, parameters]) => [quota, ...parameters])).toEqual([
    [100, ['w', 60]],
    [1_000, ['w', 86_400]],
  ]);
  const eleven = written('draft-11', granted, [burst, daily]);
  expect(parseList(eleven['RateLimit-Policy']!).map(([name, parameters]) => [name, ...parameters])).toEqual([
    ['burst', ['q', 100], ['w', 60]],
    ['daily', ['q', 1_000], ['w', 86_400]],
  ]);
  expect(parseList(eleven.RateLimit!).map(([name, parameters]) => [name, ...parameters])).toEqual([
    ['burst', ['r', 50], ['t', 5]],
    ['daily', ['r', 800], ['t', 86_400]],
  ]);
});

test('Retry-After is the longest wait of the policies that refused, and absent if one can never pass', () => {
  const short = decision('short', { allowed: false, retryAfter: 1_500 });
  const long = decision('long', { allowed: false, retryAfter: 70_001 });
  const never = decision('never', { allowed: false, retryAfter: Infinity });
  expect(retryAfterSeconds(combine([short, long, granted]))).toBe(71);
  expect(retryAfterSeconds(combine([short, never, long]))).toBeUndefined();
  expect(retryAfterSeconds(decision('now', { allowed: false, retryAfter: 0 }))).toBe(1);
  expect(retryAfterSeconds(decision('odd', { allowed: false, retryAfter: Number.NaN }))).toBeUndefined();
});

test.each([
  ['nothing', undefined, 'RateLimit, Retry-After'],
  ['an empty text', '', 'RateLimit, Retry-After'],
  ['other fields', 'ETag , X-Total', 'ETag, X-Total, RateLimit, Retry-After'],
  ['a list', ['ETag', 'X-Total'], 'ETag, X-Total, RateLimit, Retry-After'],
  ['one of the fields in other letters', 'retry-after,ETag', 'retry-after, ETag, RateLimit'],
  // A wildcard to requests without credentials only.
  ['a wildcard', '*', '*, RateLimit, Retry-After'],
])('fields are exposed beside %s', (_, present, exposed) => {
  expect(exposeHeaders(present, ['RateLimit', 'Retry-After'])).toBe(exposed);
});
