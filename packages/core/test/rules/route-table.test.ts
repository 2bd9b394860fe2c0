import { describe, expect, it, test } from 'vitest';
import { SluiceError } from '../../src/errors.ts';
import { RouteTable } from '../../src/rules/route-table.ts';

/** A table whose values are the matches themselves. */
function table(...matches: string[]): RouteTable<string> {
  return new RouteTable(matches.map((match, i) => ({ match, where: `rules[${i}]`, value: match })));
}

describe('a table of routes', () => {
  it.each([
    ['GET', '/', '/'],
    ['GET', '/login', '/login'],
    ['DELETE', '/login?next=/', '/login'],
    ['GET', '/users/42', '/users/:id'],
    ['GET', '/users/', undefined],
    ['GET', '/users/42/posts', undefined],
    ['GET', '/uploads', '/uploads/*'],
    ['GET', '/uploads/', '/uploads/*'],
    ['GET', '/uploads/a/b/c/d/e/f', '/uploads/*'],
    ['GET', '/uploadsa', undefined],
    ['GET', '/a/x/b', '/a/*/b'],
    ['GET', '/a/b', undefined],
    ['GET', '/a/x/y/b', undefined],
    ['GET', '/shop/x/cart', 'GET /shop/:shop/cart'],
    ['POST', '/shop/x/cart', undefined],
    ['GET', '/nothing', undefined],
    ['GET', '/login/more', undefined],
    ['GET', `/login${'/x'.repeat(5_000)}`, undefined],
    ['GET', `/uploads${'/x'.repeat(5_000)}`, '/uploads/*'],
  ] as const)('finds for %s %j the rule %j', (method, target, rule) => {
    const routes = table('/', '/login', '/users/:id', '/uploads/*', '/a/*/b', 'GET /shop/:shop/cart');
    expect(routes.find(method, target)).toEqual([rule]);
  });

  it('without rules finds none', () => {
    const routes = new RouteTable<number>([]);
    expect(routes.find('GET', '/')).toEqual([undefined]);
    expect(routes.find('GET', '/a/b')).toEqual([undefined]);
    expect(routes.find('GET', '/%61//b;c', '/a/b')).toEqual([undefined]);
  });

  it.each(['/*', '*', 'GET *'])('with %j has a rule for every path', (match) => {
    const routes = table(match);
    for (const target of ['/', '/a', '/a/b/c', '//', '/%61', '*', '', 'http://host']) {
      expect(routes.find('GET', target)).toEqual([match]);
    }
  });

  it('gives the same array for every request that finds a rule alone', () => {
    const routes = table('/users/:id', '/*');
    expect(routes.find('GET', '/users/1')).toBe(routes.find('POST', '/Users/2/?x', '/users/:name'));
    expect(routes.find('GET', '/users/1')).toBe(routes.find('GET', '/users/%31'));
  });

  it('gives a value that several readings find only once', () => {
    const value = {};
    const routes = new RouteTable([
      { match: '/a%', where: 'rules[0]', value },
      { match: '/:x', where: 'rules[1]', value },
    ]);
    expect(routes.find('GET', '/a%25')).toEqual([value]);
  });
});

describe('of several rules that match', () => {
  it.each([
    [['/users/:id', '/users/me'], 'GET', '/users/me', '/users/me'],
    [['/users/*', '/users/:id'], 'GET', '/users/me', '/users/:id'],
    [['/users/*', '/users'], 'GET', '/users', '/users'],
    [['/*', '/:a', '/'], 'GET', '/', '/'],
    [['/:a/b', '/a/:b'], 'GET', '/a/b', '/a/:b'],
    [['/:a/b', '/a/*'], 'GET', '/a/b', '/a/*'],
    [['/a/:b/*', '/a/*'], 'GET', '/a', '/a/*'],
    [['/a/:b/*', '/a/*'], 'GET', '/a/b', '/a/:b/*'],
    [['/a/:b/c', '/a/b/:c', '/a/*'], 'GET', '/a/b/c', '/a/b/:c'],
    [['/login', 'POST /login'], 'POST', '/login', 'POST /login'],
    [['/login', 'POST /login'], 'GET', '/login', '/login'],
    [['/login/*', 'POST /login/*'], 'POST', '/login', 'POST /login/*'],
    [['/users/:id', 'POST /users/:name'], 'POST', '/users/1', 'POST /users/:name'],
    [['/login', 'POST /:any'], 'POST', '/login', '/login'],
  ] as const)('%j, for %s %s goes %j', (matches, method, target, rule) => {
    expect(table(...matches).find(method, target)).toEqual([rule]);
    expect(table(...[...matches].reverse()).find(method, target)).toEqual([rule]);
  });

  it('one whose method is another stands back for the next', () => {
    const routes = table('POST /users/me', 'GET /users/:id', 'PUT /users/*', '/:a/:b', 'DELETE *');
    expect(routes.find('POST', '/users/me')).toEqual(['POST /users/me']);
    expect(routes.find('GET', '/users/me')).toEqual(['GET /users/:id']);
    expect(routes.find('PUT', '/users/me')).toEqual(['PUT /users/*']);
    expect(routes.find('PATCH', '/users/me')).toEqual(['/:a/:b']);
    expect(routes.find('DELETE', '/users/me')).toEqual(['/:a/:b']);
    expect(routes.find('DELETE', '/users/me/x')).toEqual(['DELETE *']);
    expect(routes.find('PATCH', '/users/me/x')).toEqual([undefined]);
  });
});

describe('a method', () => {
  const routes = table('GET,PUT /x', 'POST /x', '/y');

  it.each([
    ['GET', 'GET,PUT /x'],
    ['PUT', 'GET,PUT /x'],
    ['HEAD', 'GET,PUT /x'],
    ['POST', 'POST /x'],
    ['OPTIONS', undefined],
    ['FROBNICATE', undefined],
    ['', undefined],
    ['__proto__', undefined],
    ['constructor', undefined],
    // Over HTTP/2 nothing keeps a client from lower case.
    ['post', 'POST /x'],
    ['Head', 'GET,PUT /x'],
  ])('%j finds %j', (method, rule) => {
    expect(routes.find(method, '/x')).toEqual([rule]);
    expect(routes.find(method, '/y')).toEqual(['/y']);
  });

  it('HEAD beside others is absorbed, even where GET has a rule of its own', () => {
    const both = table('HEAD,POST /x', 'GET /x');
    expect(both.find('HEAD', '/x')).toEqual(['GET /x']);
  });
});

describe('static text', () => {
  it.each([
    '/caf\u00e9',
    '/\u20ac/\u{1f600}',
    '/a b',
    '/100%',
    '/__proto__',
    '/constructor/toString',
    '/a|b^c',
    '/[x]',
    '/"x"<y>',
    '/x`',
    "/a!$&',=@~_-.",
    '/...',
    '/tab\there',
    '/\ufffd\ufffe',
  ])('of any characters is found: %j', (match) => {
    const routes = table('/x0', '/:any', match, '/:a/:b');
    expect(routes.find('GET', match.split('/').map(encodeURIComponent).join('/'))).toContain(match);
  });

  it('with unusual characters is not taken for other text', () => {
    const routes = table('/caf\u00e9', '/x0', '/:any');
    expect(routes.find('GET', '/x0')).toEqual(['/x0']);
    expect(routes.find('GET', '/X0')).toEqual(['/x0']);
    expect(routes.find('GET', '/cafe')).toEqual(['/:any']);
    expect(routes.find('GET', '/x0;')).toEqual(['/:any', '/x0']);
  });

  it('is not matched by names that objects have', () => {
    const routes = table('/a', '/b/:c');
    for (const target of ['/__proto__', '/constructor', '/b', '/a/__proto__', '/hasOwnProperty']) {
      expect(routes.find('GET', target)).toEqual([undefined]);
    }
  });

  it('in a request is not taken for pattern syntax', () => {
    const routes = table('/users/:id', '/files/*');
    expect(routes.find('GET', '/:users/1')).toEqual([undefined]);
    expect(routes.find('GET', '/*')).toEqual([undefined]);
    expect(routes.find('GET', '/**')).toEqual([undefined]);
    expect(routes.find('GET', '/users/*')).toEqual(['/users/:id']);
  });
});

describe('a spelling of a route', () => {
  const routes = table('POST /api/login', '/health', '/api/*', '/users/:id');

  it.each([
    '/API/Login',
    '/api/login/',
    '//api//login',
    '/api///login//',
    '/%61pi/login',
    '/api/%6cogin',
    '/api/%4Cogin',
    '/api/%256cogin',
    '/api/%25256cogin',
    '/api%2flogin',
    '/api%252flogin',
    '/api%5clogin',
    '/api\\login',
    '/x/../api/login',
    '/api/x/../login',
    '/api/./login',
    '/./api/login/.',
    '/api/x/%2e%2e/login',
    '/api/x/.%2e/login',
    '/api/x/%252e%252e/login',
    '/api/x/..%2flogin',
    '/api/x\\..\\login',
    '/../api/login',
    '/api/login/x/..',
    '/api/login//..',
    '/api/login;x',
    '/api;x/login;y=1',
    '/api/login;x/y',
    '/api/x/..;/login',
    '/api/login%3bx',
    '/api/login?x',
    '/api/login#x',
    '/api/login%3fx',
    '/api/login%23x',
    '/api/login?/../../health',
    'http://host/api/login',
    'HTTPS://user@host:8080/api/login?x',
    '//host/api/login',
    '/\\host/api/login',
    '/api/login\u00a0',
    '/api/lo\tgin',
    '/%61%70%69/%6c%6f%67%69%6e',
    '/X/..//%2E/Api;a/%256Cogin;b/',
  ])('finds the rule: %j', (target) => {
    expect(routes.find('POST', target)).toContain('POST /api/login');
  });

  it.each([
    ['/api/login/../../health', ['/api/*', '/health']],
    ['/health/../api/login', ['POST /api/login', undefined]],
    ['/health;/../api/login', [undefined, '/health', 'POST /api/login']],
    ['/health%2f..%2fapi%2flogin', [undefined, 'POST /api/login']],
    ['/users/..%2fhealth', ['/users/:id', undefined, '/health']],
    ['/nothing;x', [undefined]],
  ] as const)('that could be routed by several finds them all: %j', (target, rules) => {
    expect(new Set(routes.find('POST', target))).toEqual(new Set(rules));
  });

  it('says so where no server could tell it', () => {
    expect(() => routes.find('GET', `/${'a%2f;b%253b/..\\%40//'.repeat(800)}`)).toThrow(SluiceError);
  });
});

describe("the framework's route", () => {
  const routes = table('GET /users/:id', '/users/:id', '/users/me', 'POST /login', '/files/*');

  it.each([
    // It may be other than the path tells: mounted, rewritten, of another host.
    ['GET', '/v1/u/7', '/users/:userId', [undefined, 'GET /users/:id']],
    ['PUT', '/v1/u/7', '/users/:userId', [undefined, '/users/:id']],
    ['HEAD', '/v1/u/7', '/Users/:userId/', [undefined, 'GET /users/:id']],
    ['GET', '/users/7', '/users/:id', ['GET /users/:id']],
    ['GET', '/x', '/users/:id(^\\d+$)', [undefined, 'GET /users/:id']],
    ['GET', '/x', '/files/*path', [undefined, '/files/*']],
    ['POST', '/x', '/login', [undefined, 'POST /login']],
    ['GET', '/x', '/login', [undefined]],
    ['GET', '/x', '/users/7', [undefined]],
    ['GET', '/users/7', '/:a/:b', ['GET /users/:id']],
    ['GET', '/users/7', '', ['GET /users/:id']],
    ['GET', '/users/7', '/:a-:b', ['GET /users/:id']],
    ['GET', '/users/7;x', '/users/:id', ['GET /users/:id']],
  ] as const)('of %s %j, if it is %j, adds its rule: %j', (method, target, route, rules) => {
    expect(routes.find(method, target, route)).toEqual(rules);
    expect(routes.find(method, target, route)).toEqual(rules);
  });
});

test('a route may serve paths that have a more specific rule of their own', () => {
  const routes = table('/users/:id', '/users/me', '/*');
  expect(routes.find('GET', '/users/me?x', '/users/:id')).toEqual(['/users/me']);
  expect(routes.find('GET', '/users/me', '/*')).toEqual(['/users/me']);
  // Spelled otherwise, it may be the other.
  expect(routes.find('GET', '/users//me', '/users/:id')).toEqual(['/users/me', '/users/:id']);
});

describe('a route that tells case or empty segments apart', () => {
  it.each([
    // The path looks like /health, and the router took it for /:page.
    ['/HEALTH', '/:page', ['/health', '/*']],
    ['/health/', '/:page/:empty', ['/health', '/*']],
    ['/%48ealth', '/:page', ['/*', '/health']],
    ['/HEALTH', '/health', ['/health']],
    ['/Users/Bob', '/users/:id', ['/users/*']],
    // As written it can be nothing else.
    ['/health', '/:page', ['/health']],
    ['/health?X', '/:page', ['/health']],
    ['/HEALTH', '/:a-:b', ['/health']],
  ] as const)('is charged by its own rule too: %j at %j', (target, route, rules) => {
    const found = table('/health', '/users/*', '/*').find('GET', target, route);
    expect(new Set(found)).toEqual(new Set(rules));
  });

  it('and has no rule, is charged as any that none matches', () => {
    expect(table('/health').find('GET', '/HEALTH', '/:page')).toEqual(['/health', undefined]);
  });
});

describe('two rules', () => {
  it.each([
    ['/login', '/login/'],
    ['/Login', '/login'],
    ['/users/:id', '/users/:name'],
    ['/a/*/b', '/a/:x/b'],
    ['POST /login', 'post /LOGIN'],
    ['GET,POST /x', 'PUT,POST /x'],
    ['GET,HEAD /x', 'GET /x'],
    ['* /x', '/x'],
    ['*', '/*'],
    ['/a//b', '/a/b'],
    ['/Caf\u00c9', '/caf\u00e9'],
  ])('%j and %j conflict, and the error names both', (first, second) => {
    let error: unknown;
    try {
      table('/other', first, '/another', second);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(SluiceError);
    const { message } = error as SluiceError;
    for (const part of ['rules[1]', 'rules[3]', JSON.stringify(first), JSON.stringify(second)]) {
      expect(message).toContain(part);
    }
  });

  it.each([
    ['/login', 'POST /login'],
    ['GET /x', 'POST /x'],
    ['/users/:id', '/users/me'],
    ['/files', '/files/*'],
    ['/a/:b/*', '/a/:b'],
  ])('%j and %j do not conflict', (first, second) => {
    expect(() => table(first, second)).not.toThrow();
  });

  it('of which one is no pattern are refused by its name', () => {
    expect(() => table('/x', 'HEAD /y')).toThrow(/^rules\[1\]: "HEAD \/y" would never match/);
  });
});
