import { expect, test } from 'vitest';
import { SluiceError } from '../../src/errors.ts';
import { type HeaderFields, HeaderWriter } from '../../src/http/headers.ts';
import { decision, line, written } from './headers-lines.ts';

const one = line('default', 100, 60_000);
const spent = line('default', 100, 60_000, { allowed: false });

test('headers may differ between requests that passed and those that did not', () => {
  const headers = { passed: false, limited: ['legacy', 'draft-7'] } as const;
  expect(written(headers, one.decision, [one])).toEqual({});
  expect(Object.keys(written(headers, spent.decision, [spent]))).toHaveLength(5);
});

test('fields are sent under other names, or not at all', () => {
  const fields: HeaderFields = {};
  const headerNames = { 'X-RateLimit-Limit': 'X-Quota', 'X-RateLimit-Reset': false, RateLimit: 'Quota' } as const;
  new HeaderWriter(['legacy', 'draft-8'], { headerNames }).write(fields, one.decision, [one]);
  expect(fields).toEqual({
    'X-Quota': '100',
    'X-RateLimit-Remaining': '99',
    'RateLimit-Policy': '"default";q=100;w=60',
    Quota: '"default";r=99;t=30',
  });
});

test.each([
  ['legacy', {}, false],
  [false, {}, false],
  ['draft-6', {}, true],
  ['draft-11', {}, true],
  [{ passed: 'legacy', limited: 'draft-8' }, {}, true],
  [['legacy', 'draft-7'], { 'RateLimit-Policy': false }, false],
  ['draft-8', { 'RateLimit-Policy': false }, true],
  ['draft-8', { 'RateLimit-Policy': false, RateLimit: false }, false],
] as const)('lines are asked for where a field is made of them: %o with %o', (headers, headerNames, needed) => {
  expect(new HeaderWriter(headers, { headerNames }).needsLines).toBe(needed);
});

test.each([
  ['a style that does not exist', 'draft-9', /'headers' must be "legacy", "draft-6".*or false; got "draft-9"/],
  ['a style every object has', 'toString', /got "toString"/],
  ['true', true, /got true/],
  ['null', null, /got null/],
  ['no style', [], /empty list. Write false/],
  ['a list of what is none', [['legacy']], /got an array of 1/],
  ['a style twice', ['legacy', 'legacy'], /lists "legacy" twice/],
  [
    'two drafts of one field',
    ['draft-6', 'draft-11'],
    /"draft-6" and "draft-11" both write RateLimit-Policy. Choose one/,
  ],
  ['two drafts of one field', ['legacy', 'draft-7', 'draft-8'], /"draft-7" and "draft-8" both write RateLimit\b/],
  ['half of the outcomes', { limited: 'legacy' }, /'limited' only. Say both/],
  ['half of the outcomes', { passed: 'legacy' }, /'passed' only. Say both/],
  ['an outcome that is none', { passed: 'legacy', refused: 'legacy' }, /"refused"/],
  ['a wrong style for an outcome', { passed: 'legacy', limited: 'modern' }, /headers\.limited must be/],
])('headers are refused for %s: %j', (_, headers, message) => {
  expect(() => new HeaderWriter(headers as never)).toThrow(SluiceError);
  expect(() => new HeaderWriter(headers as never)).toThrow(message);
});

test.each([
  ['a field in other letters', 'legacy', { 'x-ratelimit-limit': 'X' }, /Did you mean "X-RateLimit-Limit"\?/],
  ['a field of another style', 'legacy', { RateLimit: 'X' }, /field of "draft-7", which 'headers' does not choose/],
  ['a field of a style where none is sent', false, { 'X-RateLimit-Reset': false }, /field of "legacy", which/],
  ['a field that does not exist', 'legacy', { Toll: 'X' }, /no option "Toll"/],
  [
    'one name for two fields',
    'legacy',
    { 'X-RateLimit-Limit': 'X-RateLimit-RESET' },
    /both sent as "X-RateLimit-Reset"/,
  ],
  ['one name for two fields', 'legacy', { 'X-RateLimit-Limit': 'Q', 'Retry-After': 'q' }, /both sent as "q"/],
])('names of headers are refused for %s', (_, headers, headerNames, message) => {
  expect(() => new HeaderWriter(headers as never, { headerNames: headerNames as never })).toThrow(SluiceError);
  expect(() => new HeaderWriter(headers as never, { headerNames: headerNames as never })).toThrow(message);
});

test('a name that two styles share is free for both of the outcomes', () => {
  const writer = new HeaderWriter({ passed: 'draft-7', limited: 'draft-8' }, { headerNames: { RateLimit: 'Quota' } });
  const fields: HeaderFields[] = [{}, {}];
  writer.write(fields[0]!, one.decision, [one]);
  writer.write(fields[1]!, spent.decision, [spent]);
  expect(fields.map(({ Quota }) => Quota)).toEqual(['limit=100, remaining=99, reset=30', '"default";r=0;t=30']);
});

test('a secret for partition keys is refused where no field has any', () => {
  const response = { partitionKey: 'a secret of 16 ch' };
  for (const headers of ['legacy', 'draft-7', false] as const) {
    expect(() => new HeaderWriter(headers, response)).toThrow(/'partitionKey' is for the fields of 'draft-8' and/);
  }
  expect(new HeaderWriter(['legacy', 'draft-11'], response).needsLines).toBe(true);
});

test('what is on the response already stays', () => {
  const fields: HeaderFields = { Vary: 'Origin' };
  new HeaderWriter('legacy').write(fields, decision('default'), []);
  expect(fields.Vary).toBe('Origin');
});
