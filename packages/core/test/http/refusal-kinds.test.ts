import { expect, test } from 'vitest';
import { combine } from '../../src/decision.ts';
import type { RefusalKind } from '../../src/engine/judgement.ts';
import type { HeaderFields, QuotaLine } from '../../src/http/headers.ts';
import { customised, RefusalWriter } from '../../src/http/refusal.ts';
import { compileResponse, type ResponseOptions } from '../../src/http/response.ts';
import { decision, line } from './headers-lines.ts';

const spent = line('burst', 100, 60_000, { allowed: false, retryAfter: 2_001 });
const daily = line('daily', 1, 86_400_000, { allowed: false, retryAfter: 1_000 });
const granted = line('yearly', 9, 366 * 86_400_000);
const ban = line('ban', 5, 60_000, { allowed: false, retryAfter: 900_000 });

function refusal(
  kind: RefusalKind,
  lines: readonly QuotaLine[],
  accept?: string | string[],
  options: ResponseOptions<unknown> = {},
) {
  const fields: HeaderFields = { 'Cache-Control': 'no-store' };
  const tightest = lines.length === 0 ? decision('gone', { allowed: false, retryAfter: Infinity }) : undefined;
  const decided = tightest ?? combine(lines.map((one) => one.decision));
  return new RefusalWriter(compileResponse(options)).write(kind, fields, decided, lines, accept);
}

const registry = 'https://iana.org/assignments/http-problem-types#';

test.each([
  [
    'quota',
    [spent, granted, daily],
    {
      type: `${registry}quota-exceeded`,
      title: 'Too many requests: the assigned quota is used up',
      status: 429,
      detail: "Policy 'burst' grants 100 units per 1m. Try again in 3 seconds.",
      'violated-policies': ['burst', 'daily'],
    },
  ],
  [
    'banned',
    [ban, granted],
    {
      type: `${registry}abnormal-usage-detected`,
      title: 'Request not satisfied due to detection of abnormal request pattern',
      status: 403,
      detail: 'Too many requests have been refused. Try again in 900 seconds.',
      'violated-policies': ['ban'],
    },
  ],
  [
    'unavailable',
    [spent],
    {
      type: `${registry}temporary-reduced-capacity`,
      title: 'Request cannot be satisfied due to temporary server capacity constraints',
      status: 503,
      detail: 'The request could not be counted. Try again in 3 seconds.',
      'violated-policies': ['burst'],
    },
  ],
  [
    'blocked',
    [],
    { type: 'about:blank', title: 'Forbidden', status: 403, detail: 'Requests of this client are not accepted.' },
  ],
] as const)('a refusal of kind %s is told as problem details, HTML or text', (kind, lines, problem) => {
  const { status, title, detail } = problem;
  const json = refusal(kind, lines, 'application/json');
  expect(json.status).toBe(status);
  expect(json.headers).toEqual({ 'Cache-Control': 'no-store', 'Content-Type': 'application/problem+json' });
  expect(JSON.parse(json.body)).toEqual(problem);
  const html = refusal(kind, lines, 'text/html');
  expect(html.status).toBe(status);
  expect(html.headers['Content-Type']).toBe('text/html; charset=utf-8');
  expect(html.body).toBe(`<!doctype html><title>${status}</title><h1>${title}</h1><p>${detail}</p>\n`);
  const text = refusal(kind, lines, 'text/plain');
  expect(text.status).toBe(status);
  expect(text.headers['Content-Type']).toBe('text/plain; charset=utf-8');
  expect(text.body).toBe(`${title}. ${detail}\n`);
});

test.each([
  [
    'of one unit',
    line('one', 1, 1_000, { allowed: false, retryAfter: 1 }),
    "Policy 'one' grants 1 unit per 1s. Try again in 1 second.",
  ],
  [
    'of bytes',
    { ...line('up', 5_000, 60_000, { allowed: false, retryAfter: 60_000 }), unit: 'content-bytes' as const },
    "Policy 'up' grants 5000 bytes per 1m. Try again in 60 seconds.",
  ],
  [
    'of concurrent requests',
    line('work', 20, undefined, { allowed: false, retryAfter: 600_000 }),
    "Policy 'work' grants at most 20 requests at a time. Try again when one of them has ended.",
  ],
  [
    'of one request at a time',
    line('work', 1, undefined, { allowed: false, retryAfter: 600_000 }),
    "Policy 'work' grants at most 1 request at a time. Try again when one of them has ended.",
  ],
  [
    'of nothing',
    line('none', 0, undefined, { allowed: false, retryAfter: Infinity }),
    "Policy 'none' grants at most 0 requests at a time. A request of this cost can never pass.",
  ],
  [
    'that the cost is beyond',
    line('small', 10, 60_000, { allowed: false, retryAfter: Infinity }),
    "Policy 'small' grants 10 units per 1m. A request of this cost can never pass.",
  ],
])('the detail says what a policy %s grants and when to come back', (_, one, detail) => {
  expect(JSON.parse(refusal('quota', [one]).body).detail).toBe(detail);
});

test('the detail is that of the policy that decided, also among others that refused or have its name', () => {
  const namesake = line('burst', 7, 1_000);
  const { detail, 'violated-policies': names } = JSON.parse(refusal('quota', [namesake, daily, spent]).body);
  expect(detail).toBe("Policy 'burst' grants 100 units per 1m. Try again in 3 seconds.");
  expect(names).toEqual(['daily', 'burst']);
});

test('a policy whose numbers change is told with the present ones', () => {
  const writer = new RefusalWriter(compileResponse());
  const details = [10, 20, 10].map((limit) => {
    const one = line('plan', limit, 1_000, { allowed: false, retryAfter: 1_000 });
    return JSON.parse(writer.write('quota', {}, one.decision, [one], undefined).body).detail;
  });
  expect(details).toEqual(
    [10, 20, 10].map((limit) => `Policy 'plan' grants ${limit} units per 1s. Try again in 1 second.`),
  );
});

test('without lines, the policies are those that the decision names', () => {
  const both = combine([spent.decision, granted.decision, daily.decision]);
  const writer = new RefusalWriter(compileResponse());
  expect(JSON.parse(writer.write('quota', {}, both, [], undefined).body)).toMatchObject({
    detail: 'Try again in 3 seconds.',
    'violated-policies': ['burst', 'daily'],
  });
  const open = decision('gone');
  expect(JSON.parse(writer.write('unavailable', {}, open, [], undefined).body)['violated-policies']).toEqual([]);
});

test.each([
  ['banned', 'Too many requests have been refused. No further ones are accepted.'],
  ['unavailable', 'The request could not be counted. Try again later.'],
] as const)('a refusal of kind %s that says no time to come back names none', (kind, detail) => {
  expect(JSON.parse(refusal(kind, []).body).detail).toBe(detail);
});

test('no wait at all is no advice on when to come back to what is unavailable', () => {
  const none = line('default', 10, 60_000, { allowed: false, retryAfter: 0 });
  expect(refusal('unavailable', [none]).body).toContain('Try again later.');
});

test.each([
  ['none', undefined, 'json'],
  ['an empty one', '', 'json'],
  ['anything', '*/*', 'json'],
  ['that of a browser', 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8', 'json'],
  ['HTML only', 'text/html', 'html'],
  ['HTML before text', 'text/html, text/plain;q=0.5', 'html'],
  ['any text', 'text/*', 'html'],
  ['text only', 'text/plain', 'text'],
  ['problem details only', 'application/problem+json', 'json'],
  ['problem details or HTML', 'application/problem+json, text/html', 'json'],
  ['JSON refused', 'application/json;q=0, application/problem+json;q=0, text/plain', 'text'],
  ['nothing we have', 'image/png', 'json'],
  ['everything refused', '*/*;q=0', 'json'],
  ['several headers', ['image/png', 'text/plain'], 'text'],
  ['no list', ',,,;;;===', 'json'],
  ['an unclosed quote', 'text/html;a="', 'html'],
  ['a weight that is none', 'text/plain;q=NaN', 'json'],
  ['names of every object', '__proto__, constructor/toString', 'json'],
  ['markup', '<script>alert(1)</script>', 'json'],
  ['a line break', 'text/html\r\nX-Evil: 1', 'json'],
  ['100,000 types', 'a/b,'.repeat(100_000), 'json'],
  ['one long type', `text/${'x'.repeat(100_000)}`, 'json'],
  ['long parameters, which ours has not', `text/html;${'a=b;'.repeat(50_000)}`, 'json'],
] as const)('a client whose Accept is %s', (_, accept, format) => {
  const { headers, body } = refusal('quota', [spent], accept as string | string[] | undefined);
  const types = {
    json: 'application/problem+json',
    html: 'text/html; charset=utf-8',
    text: 'text/plain; charset=utf-8',
  };
  expect(headers['Content-Type']).toBe(types[format]);
  expect(body).toContain("Policy 'burst' grants 100 units per 1m. Try again in 3 seconds.");
  expect(body).not.toMatch(/script|Evil/);
  if (format === 'json') expect(JSON.parse(body).status).toBe(429);
});

test('another status is that of refusals for want of quota only, and told in their bodies', () => {
  const options = { statusCode: 503 };
  const quota = refusal('quota', [spent], undefined, options);
  expect(quota.status).toBe(503);
  expect(JSON.parse(quota.body).status).toBe(503);
  expect(refusal('quota', [spent], 'text/html', options).body).toContain('<title>503</title>');
  expect(refusal('banned', [ban], undefined, options).status).toBe(403);
  expect(refusal('blocked', [], undefined, options).status).toBe(403);
});

test('a message replaces the body of refusals for want of quota only, whatever the client accepts', () => {
  const text = refusal('quota', [spent], 'text/html', { message: 'Slow down.' });
  expect([text.headers['Content-Type'], text.body]).toEqual(['text/plain; charset=utf-8', 'Slow down.']);
  const object = refusal('quota', [spent], 'text/html', { message: { error: 'slow', status: 1 }, statusCode: 420 });
  expect([object.status, object.headers['Content-Type'], object.body]).toEqual([
    420,
    'application/json; charset=utf-8',
    '{"error":"slow","status":1}',
  ]);
  expect(JSON.parse(refusal('banned', [ban], undefined, { message: 'Slow down.' }).body).status).toBe(403);
});

test('a status of onLimited is told in the body that it leaves as it is', () => {
  const json = customised(refusal('quota', [spent]), { status: 503 });
  expect([json.status, JSON.parse(json.body).status]).toEqual([503, 503]);
  expect(customised(refusal('quota', [spent], 'text/html'), { status: 503 }).body).toContain('<title>503</title>');
  const own = customised(refusal('quota', [spent], undefined, { message: { status: 429, a: 1 } }), { status: 503 });
  expect(own.body).toBe('{"status":429,"a":1}');
  expect(customised(refusal('quota', [spent]), { status: 503, body: '"status":429,' }).body).toBe('"status":429,');
});
