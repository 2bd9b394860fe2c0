import { expect, test } from 'vitest';
import { SluiceError } from '../../src/errors.ts';
import { HeaderWriter } from '../../src/http/headers.ts';
import type { RequestDecision } from '../../src/http/ledger.ts';
import { compileResponse } from '../../src/http/response.ts';
import { decision } from './headers-lines.ts';

const asked: RequestDecision = {
  ...decision('default', { allowed: false }),
  key: 'ip:192.0.2.1',
  rule: undefined,
  tier: 'free',
  used: 100,
  resetAt: new Date(0),
};

test('without options a response is as RFC 6585 has it', () => {
  expect(compileResponse()).toEqual({
    statusCode: 429,
    body: undefined,
    message: undefined,
    headerNames: {},
    retryAfterName: 'Retry-After',
    property: 'rateLimit',
    throws: false,
    partitionKey: undefined,
  });
});

test('what is given is kept', () => {
  const partitionKey = '0123456789abcdef';
  expect(compileResponse({ statusCode: 503, property: '$limit_1', throw: true, partitionKey })).toMatchObject({
    statusCode: 503,
    property: '$limit_1',
    throws: true,
    partitionKey,
  });
});

test.each([
  ['sent', {}, 'Retry-After'],
  ['renamed', { 'Retry-After': 'X-Retry' }, 'X-Retry'],
  ['left out', { 'Retry-After': false }, undefined],
] as const)('Retry-After can be %s', (_, headerNames, name) => {
  expect(compileResponse({ headerNames }).retryAfterName).toBe(name);
});

test('a message that is a function is asked each time, with request and decision', async () => {
  const { body, message } = compileResponse<{ id: number }>({
    message: ({ id }, { tier, limit }) => (id === 1 ? `${tier}: ${limit}` : Promise.resolve({ id })),
  });
  expect(body).toBeUndefined();
  expect(message?.({ id: 1 }, asked)).toBe('free: 100');
  expect(await message?.({ id: 2 }, asked)).toEqual({ id: 2 });
});

test.each([undefined, null, 42, false, () => 'text'])('a message may not turn out to be %o', async (answer) => {
  const now = compileResponse({ message: () => answer as never });
  expect(() => now.message?.(undefined, asked)).toThrow(/'message' must be a text, an object, or a function/);
  const later = compileResponse({ message: () => Promise.resolve(answer as never) });
  await expect(later.message?.(undefined, asked)).rejects.toThrow(/'message' must be a text/);
});

test('a message is put into words once, so that later changes of the object do not show', () => {
  const message = { error: 'slow' };
  const { body } = compileResponse({ message });
  message.error = 'changed';
  expect(body).toEqual({ contentType: 'application/json; charset=utf-8', text: '{"error":"slow"}' });
});

const circular: { self?: unknown } = {};
circular.self = circular;

test.each([
  ['no object', null, /response takes an object of options/],
  ['a text', 'Slow down.', /response takes an object of options/],
  ['an unknown option', { mesage: 'x' }, /Did you mean "message"\?/],
  ['an option of others', { status: 503 }, /called "statusCode"/],
  ['a status that is a text', { statusCode: '429' }, /'statusCode' must be an integer from 400 to 599; got "429"/],
  ['a status of success', { statusCode: 200 }, /from 400 to 599; got 200/],
  ['a status beyond', { statusCode: 600 }, /got 600/],
  ['half a status', { statusCode: 429.5 }, /got 429.5/],
  ['a status that is no number', { statusCode: Number.NaN }, /got NaN/],
  ['a message that is a number', { message: 429 }, /'message' must be a text/],
  ['a message that is null', { message: null }, /'message' must be a text/],
  ['a message without JSON', { message: circular }, /has no JSON text/],
  ['a message whose JSON is nothing', { message: { toJSON: () => undefined } }, /has no JSON text/],
  ['names in a list', { headerNames: ['X-Quota'] }, /'headerNames' takes names by field/],
  ['names that are true', { headerNames: true }, /'headerNames' takes names by field/],
  ['a name that is true', { headerNames: { 'Retry-After': true } }, /takes another name.*or false for none; got true/],
  ['a name that is empty', { headerNames: { 'Retry-After': '' } }, /takes another name/],
  ['a name with a space', { headerNames: { 'Retry-After': 'Try Again' } }, /got "Try Again"/],
  ['a name with a line break', { headerNames: { 'Retry-After': 'X\r\nSet-Cookie' } }, /takes another name/],
  ['a name with a letter no header has', { headerNames: { 'Retry-After': 'Später' } }, /takes another name/],
  ['a name of something else', { headerNames: { 'Retry-After': 'content-length' } }, /means something else/],
  ['the name of the wait for what is none', { headerNames: { 'X-RateLimit-Reset': 'Retry-After' } }, /means something/],
  ['a property that is empty', { property: '' }, /'property' must be the name of a property/],
  ['a property with a dot', { property: 'limits.rate' }, /got "limits.rate"/],
  ['a property that begins with a digit', { property: '1st' }, /got "1st"/],
  ['a property that changes what an object is', { property: '__proto__' }, /got "__proto__"/],
  ['a property that is false', { property: false }, /got false/],
  ['a throw that is a text', { throw: 'yes' }, /"throw" must be a boolean/],
  ['a secret that is short', { partitionKey: 'fifteen letters' }, /at least 16 characters; got one of 15/],
  ['a secret that is no text', { partitionKey: 42 }, /at least 16 characters; got number/],
])('a response is refused for %s', (_, options, message) => {
  expect(() => compileResponse(options as never)).toThrow(SluiceError);
  expect(() => compileResponse(options as never)).toThrow(message);
});

test('errors name the place in the configuration and keep secrets', () => {
  expect(() => compileResponse({ partitionKey: 'hunter2' }, 'rateLimit.response')).toThrow(/^rateLimit\.response: /);
  expect(() => compileResponse({ partitionKey: 'hunter2' })).not.toThrow(/hunter2/);
});

test('a HeaderWriter takes the response as it has been compiled', () => {
  const response = compileResponse({ headerNames: { RateLimit: false }, partitionKey: '0123456789abcdef' });
  expect(new HeaderWriter('draft-11', response).needsLines).toBe(true);
});
