import { describe, expect, it } from 'vitest';
import { show } from '../src/errors.ts';
import { SluiceError } from '../src/index.ts';
import { checkNames, checkType } from '../src/options.ts';

describe('an error', () => {
  it('carries a code, a message and a cause', () => {
    const cause = new Error('below');
    const error = new SluiceError('CLOSED', 'This limiter has been closed.', { cause });
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({
      name: 'SluiceError',
      code: 'CLOSED',
      message: 'This limiter has been closed.',
      cause,
    });
    expect('cause' in new SluiceError('CLOSED', '')).toBe(false);
  });

  it.each([
    ['10', '"10"'],
    ['a\r\nb', String.raw`"a\r\nb"`],
    ['x'.repeat(61), `"${'x'.repeat(57)}…"`],
    [Number.NaN, 'NaN'],
    [undefined, 'undefined'],
    [null, 'null'],
    [Symbol('s'), 'Symbol(s)'],
    [[1, 2], 'an array of 2'],
    [new Map(), '[object Map]'],
    [Object.create(null), '[object Object]'],
    [() => 1, 'a function'],
    [function key() {}, 'a function (key)'],
  ])('shows what it got on one short line: %#', (value, text) => {
    expect(show(value)).toBe(text);
  });
});

describe('the options of any function', () => {
  const unknown = (message: string) => expect.objectContaining({ code: 'UNKNOWN_OPTION', message });
  const check = (options: unknown) => () => checkNames(options, ['limit', 'window', 'store'], 'rateLimit');

  it('pass where every name is known', () => {
    expect(check({ limit: 1, store: undefined })).not.toThrow();
    expect(check({})).not.toThrow();
  });

  it('are refused with our name for what others call so, with the nearest name, or with all names', () => {
    expect(check({ max: 1 })).toThrow(unknown('rateLimit has no option "max". Here it is called "limit".'));
    expect(check({ limits: 1 })).toThrow(unknown('rateLimit has no option "limits". Did you mean "limit"?'));
    expect(check({ colour: 1 })).toThrow(
      unknown('rateLimit has no option "colour". Known options: limit, window, store.'),
    );
    expect(check({ constructor: 1 })).toThrow(expect.objectContaining({ code: 'UNKNOWN_OPTION' }));
    // Ours for it, `onLimited`, is not an option here.
    expect(check({ errorResponseBuilder: 1 })).toThrow(
      unknown('rateLimit has no option "errorResponseBuilder". Known options: limit, window, store.'),
    );
  });

  it.each([null, undefined, 'limit', 5, [], () => {}])('are no %s', (options) => {
    expect(check(options)).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }));
  });

  it('have the type that is asked for, or are left out', () => {
    const of = (value: unknown) => () => checkType({ store: value }, 'store', 'object', 'rateLimit');
    expect(of({})).not.toThrow();
    expect(of(undefined)).not.toThrow();
    expect(of(null)).toThrow('rateLimit: "store" must be an object, not null.');
    expect(of('redis')).toThrow('rateLimit: "store" must be an object, not "redis".');
  });
});
