import { describe, expect, it } from 'vitest';
import { SluiceError } from '../../src/errors.ts';
import { cleanReading, readings } from '../../src/rules/readings.ts';

describe('the reading of a clean target', () => {
  it.each([
    ['/', '/'],
    ['/?', '/'],
    ['/login', '/login'],
    ['/login/', '/login'],
    ['/LOGIN', '/login'],
    ['/Api/Auth/Login/', '/api/auth/login'],
    ['/login?x=/../%2f;#', '/login'],
    ['/login/?x', '/login'],
    ['/.well-known/a', '/.well-known/a'],
    ['/.A/..B/c', '/.a/..b/c'],
    ['/a.b/c..d/..e/.f', '/a.b/c..d/..e/.f'],
    ["/a-_~!$&'()*+,=:@", "/a-_~!$&'()*+,=:@"],
  ])('of %j is %j and no other', (target, path) => {
    expect(cleanReading(target)).toBe(path);
    expect(readings(target)).toEqual([path]);
  });

  it.each([
    '',
    '*',
    'login',
    '//',
    '/a//b',
    '/a//',
    '/.',
    '/..',
    '/a/./b',
    '/a/..',
    '/a/../',
    '/a/..?x',
    '/%61',
    '/a;b',
    '/a\\b',
  ])('is not found by the scan for %j', (target) => {
    expect(cleanReading(target)).toBeUndefined();
  });

  it.each(['/a#b', '/a b', '/a\tb', '/\u00e9', '/a|b', '/a"b', '/...', '/\0'])(
    'is not found by the scan for %j either',
    (target) => {
      expect(cleanReading(target)).toBeUndefined();
    },
  );
});

describe('the readings of a target', () => {
  it.each([
    ['', ['/']],
    ['login', ['/login']],
    ['*', ['/*']],
    ['/...', ['/...']],
    ['/a//b', ['/a/b']],
    ['/a///', ['/a']],
    // Escapes: as written, and decoded.
    ['/%6cogin', ['/%6cogin', '/login']],
    ['/%6Cogin', ['/%6cogin', '/login']],
    ['/%256cogin', ['/%256cogin', '/%6cogin', '/login']],
    ['/%25256cogin', ['/%25256cogin', '/%256cogin', '/%6cogin', '/login']],
    ['/a%2fb', ['/a%2fb', '/a/b']],
    ['/%4c%2f%40', ['/%4c%2f%40', '/l/@', '/l%2f@', '/l%2f%40']],
    ['/a%', ['/a%']],
    ['/a%4', ['/a%4']],
    ['/a%zz%4', ['/a%zz%4']],
    ['/a%zz%41', ['/a%zz%41', '/a%zza']],
    // UTF-8, escaped or bare.
    ['/caf%C3%89', ['/caf%c3%89', '/caf\u00e9']],
    ['/caf\u00c3\u00a9', ['/caf\u00e3\u00a9', '/caf\u00e9']],
    ['/caf\u00c9', ['/caf\u00e9']],
    ['/%E2%82%AC/%F0%9F%98%80', ['/%e2%82%ac/%f0%9f%98%80', '/\u20ac/\u{1f600}']],
    ['/%c0%af', ['/%c0%af']],
    ['/%e0%80%af', ['/%e0%80%af']],
    ['/%ed%a0%80', ['/%ed%a0%80']],
    ['/%f4%90%80%80', ['/%f4%90%80%80']],
    ['/%ff', ['/%ff']],
    ['/%c3', ['/%c3']],
    ['/%c3%41', ['/%c3%41', '/%c3a']],
    // Dot segments: kept, and resolved with and without regard to empty ones.
    ['/x/../login', ['/x/../login', '/login']],
    ['/x/%2e%2E/login', ['/x/%2e%2e/login', '/login', '/x/../login']],
    ['/./login/.', ['/./login/.', '/login']],
    ['/../../login', ['/../../login', '/login']],
    ['/a/b/..', ['/a/b/..', '/a']],
    ['/a/.../..', ['/a/.../..', '/a']],
    ['/login//..', ['/login/..', '/login', '/']],
    // Parameters: kept, cut off each segment, and taken for a query.
    ['/login;x', ['/login;x', '/login']],
    ['/a;x/b;y', ['/a;x/b;y', '/a/b', '/a']],
    ['/login%3bx', ['/login%3bx', '/login;x', '/login']],
    ['/a;x#y/b', ['/a;x#y/b', '/a;x', '/a/b', '/a']],
    ['/a;x/b#y', ['/a;x/b#y', '/a;x/b', '/a/b#y', '/a/b', '/a']],
    ['/a#y;x/b', ['/a#y;x/b', '/a#y/b', '/a#y', '/a']],
    ['/a/..;/b', ['/a/..;/b', '/a/../b', '/b', '/a/..', '/']],
    // A query that comes out of an escape, and a fragment.
    ['/login%3fx', ['/login%3fx', '/login?x', '/login']],
    ['/login#x', ['/login#x', '/login']],
    ['/login#x?y', ['/login#x', '/login']],
    ['/login%23x', ['/login%23x', '/login#x', '/login']],
    // Backslashes.
    ['/a\\b', ['/a\\b', '/a/b']],
    ['/a%5cb', ['/a%5cb', '/a\\b', '/a/b']],
    // Absolute targets, and those that look as if they began with a host.
    ['http://host/login', ['/login']],
    ['HTTP://user@host:80/login/?x', ['/login']],
    ['http://host', ['/']],
    ['http://host?/x', ['/']],
    ['http:///login', ['/', '/login']],
    ['http:/login', ['/login']],
    ['//login', ['/login', '/']],
    ['//host/login', ['/host/login', '/login']],
    ['/\\host/login', ['/\\host/login', '/host/login', '/login']],
    // What URL parsers take away.
    ['/login\u00a0', ['/login\u00a0', '/login']],
    ['/log\tin', ['/log\tin', '/login']],
    ['/login\0', ['/login\0']],
  ] as const)('of %j are %j', (target, expected) => {
    expect([...readings(target)].sort()).toEqual([...expected].sort());
  });

  it.each([
    ['/a%2fb/../c/%2e%2e%2fd', ['/d', '/a/d']],
    ['/z/a%2fb%2fx//../../c%2fd', ['/z/c/d', '/c/d']],
    ['/x/%2e%2e/%6cogin', ['/%6cogin']],
  ])('resolve dots before and after the escapes beside them are decoded: %j', (target, expected) => {
    expect(readings(target)).toEqual(expect.arrayContaining(expected));
  });

  it('cut parameters before and after escapes and backslashes become slashes', () => {
    expect(readings('/a;%2fb/c%2fd')).toEqual(expect.arrayContaining(['/a/c/d', '/a/b/c/d']));
    expect(readings('/a%3bx/b%23y')).toContain('/a/b');
    expect(readings('/a;b\\c')).toEqual(expect.arrayContaining(['/a/c', '/a']));
  });

  it('decode some escapes while others stay, as servers do that route before they decode', () => {
    expect(readings('/%6ce/%40me')).toContain('/le/%40me');
    expect(readings('/%6ce%2f%40me')).toContain('/le%2f@me');
  });

  it('are all lower case, begin with a slash, and have no empty segments', () => {
    for (const reading of readings('\\A%2f%5c//b;C/../%2E%2e//D%3b//#%23?')) {
      expect(reading).toBe(reading.toLowerCase());
      expect(reading).toMatch(/^\/$|^(\/[^/]+)+$/);
    }
  });
});

describe('a target of 16 KB', () => {
  it.each([
    ['dot segments', `/${'a/../'.repeat(3_200)}login`],
    ['dots', `/${'./'.repeat(8_000)}login`],
    ['slashes', `${'/'.repeat(16_000)}x/login`],
    ['escapes', `/${'%2e/'.repeat(4)}${'%61%2e'.repeat(2_600)}/../login`],
  ])('of %s is read', (_, target) => {
    expect(readings(target)).toContain(target.includes('x/login') ? '/x/login' : '/login');
  });

  it('that can be read in hundreds of ways is refused with status 400', () => {
    const target = `/${'a%2f;b%253b/..\\%40//'.repeat(800)}`;
    let error: unknown;
    try {
      readings(target);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(SluiceError);
    expect(error).toMatchObject({ status: 400, statusCode: 400 });
    expect((error as Error).message).toMatch(/Refuse it/);
  });

  it('is refused only where it is long: any spelling of some hundred bytes is read', () => {
    expect(readings(`/a%2f;b%253b/..\\%40//%3f#/%2525${'/%2e%2e/x'.repeat(10)}`)).not.toHaveLength(0);
  });
});
