import { describe, expect, it } from 'vitest';
import { SluiceError } from '../../src/errors.ts';
import { parsePattern, parseRoute } from '../../src/rules/pattern.ts';

describe('a pattern', () => {
  it.each([
    ['/login', [], ['login']],
    ['/', [], []],
    ['*', [], ['*']],
    ['/*', [], ['*']],
    ['* /login', [], ['login']],
    ['POST /login', ['POST'], ['login']],
    ['GET *', ['GET'], ['*']],
    ['GET,PUT /x', ['GET', 'PUT'], ['x']],
    ['GET, put  /x', ['GET', 'PUT'], ['x']],
    ['get /x', ['GET'], ['x']],
    ['GET,HEAD /x', ['GET'], ['x']],
    ['HEAD,POST /x', ['POST'], ['x']],
    ['GET,GET /x', ['GET'], ['x']],
    ['M-SEARCH /x', ['M-SEARCH'], ['x']],
    ['/Api//Login/', [], ['api', 'login']],
    ['/users/:id/posts/:post_2', [], ['users', ':', 'posts', ':']],
    ['/uploads/*', [], ['uploads', '*']],
    ['/a/*/b', [], ['a', ':', 'b']],
    ['/.well-known/@me/a-b_c~d', [], ['.well-known', '@me', 'a-b_c~d']],
    ['/a b', [], ['a b']],
    ['/Caf\u00c9', [], ['caf\u00e9']],
    ['/100%', [], ['100%']],
  ])('%j is read', (match, methods, segments) => {
    expect(parsePattern(match, 'rules[0]')).toEqual({ methods, segments });
  });

  it.each([
    ['', '"match" must be a route like "POST /login"'],
    [undefined, 'not undefined'],
    [/x/, 'not [object RegExp]'],
    ['login', 'Write the method, if any, one space, and a path that begins with a slash: "/login"'],
    ['POST login', '"POST /login"'],
    ['POST', 'is no route'],
    [' /x', '"/x"'],
    ['/x ', '"/x"'],
    ['POST/x', 'is no route'],
    ['HEAD /x', 'HEAD counts as GET. Write "GET /x"'],
    ['head,HEAD /x', 'HEAD counts as GET. Write "GET /x"'],
    ['PSOT /x', 'Did you mean "POST"?'],
    ['FROBNICATE /x', 'there is no method "FROBNICATE"'],
    ['ALL /x', 'leave the method out: "/x"'],
    ['any /x', 'leave the method out: "/x"'],
    ['GET|PUT /x', 'put commas between methods: "GET,PUT /x"'],
    ['GET PUT /x', 'put commas between methods: "GET,PUT /x"'],
    ['GET, /x', 'a method is missing beside the comma'],
    [',GET /x', 'a method is missing beside the comma'],
    ['/users/:id?', 'write two rules, with the segment and without'],
    ['/files/*path', 'write "*"'],
    ['/files/**', 'write "*"'],
    ['/files/:path*', 'write "*"'],
    ['/files/:path+', 'write "*"'],
    ['/files/(.*)', 'write "*"'],
    ['/user-:id', 'write ":name" or "*" in its place'],
    ['/:id.json', 'write ":name" or "*" in its place'],
    ['/:from-:to', 'write ":name" or "*" in its place'],
    ['/:', 'write ":name" or "*" in its place'],
    ['/:1', 'write ":name" or "*" in its place'],
    ['/*.js', 'write ":name" or "*" in its place'],
    ['/:id(\\d+)', 'write ":name" or "*" in its place'],
    ['/a{b}', 'write ":name" or "*" in its place'],
    ['/{*rest}', 'write ":name" or "*" in its place'],
    ['/colou?r+', 'write ":name" or "*" in its place'],
    ['POST /login?x=1', 'Write "POST /login"'],
    ['/login#top', 'Write "/login"'],
    ['/login;v=1', 'Write "/login"'],
    ['/%6cogin', 'Write "/login"'],
    ['/%256cogin', 'Write "/login"'],
    ['/caf%C3%A9', 'Write "/caf\u00e9"'],
    ['/a/../login', 'Write "/login"'],
    ['/./login', 'Write "/login"'],
    ['/a\\b', 'Write "/a/b"'],
    ['/a%3ab', 'Write ":name" for a segment'],
  ])('%j is refused with the remedy', (match, remedy) => {
    let error: unknown;
    try {
      parsePattern(match as string, 'rules[3]');
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(SluiceError);
    expect((error as SluiceError).code).toBe('INVALID_OPTION');
    expect((error as SluiceError).message).toMatch(/^rules\[3\]: /);
    expect((error as SluiceError).message).toContain(remedy);
  });
});

describe("the pattern of a framework's route", () => {
  it.each([
    ['/users/:id', ['users', ':']],
    ['/Users/:other/', ['users', ':']],
    ['/users/:id(^\\d+$)', ['users', ':']],
    ['/files/*', ['files', '*']],
    ['/files/*path', ['files', '*']],
    ['*', ['*']],
    ['/', []],
    ['', undefined],
    ['/:a-:b', undefined],
    ['/:id?', undefined],
    ['/files{/*rest}', undefined],
  ])('%j is read as %j', (route, segments) => {
    expect(parseRoute(route)).toEqual(segments);
  });
});
