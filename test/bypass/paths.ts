import assert from 'node:assert/strict';
import { type Attempt, otherwise } from './attack.ts';

const utf8 = (text: string) => Buffer.from(text).toString('latin1');

/** Request targets, as bytes, of which some framework might take each for `/login`, or a limiter for another path. */
const spellings: Readonly<Record<string, string>> = {
  'in capitals': '/LOGIN',
  'in mixed case': '/lOgIn',
  'with a slash at the end': '/login/',
  'with two slashes at the end': '/login//',
  'with two slashes at the beginning': '//login',
  'with many slashes': '////login////',
  'with a dot segment before it': '/./login',
  'with a dot segment behind it': '/login/.',
  'below another segment and back': '/x/../login',
  'from below and back': '/login/x/..',
  'above the root': '/../login',
  'above the root, several times': '/../../../login',
  'with escaped dots': '/%2e/login',
  'with escaped double dots': '/x/%2e%2e/login',
  'with half escaped double dots': '/x/.%2E/login',
  'with a doubly escaped dot segment': '/x/%252e%252e/login',
  'with an escaped letter': '/%6cogin',
  'with an escaped letter, in capitals': '/%4CoGiN',
  'all escaped': '/%6c%6f%67%69%6e',
  'doubly escaped': '/%256cogin',
  'triply escaped': '/%25256cogin',
  'with an escaped slash before it': '/%2flogin',
  'with an escaped slash behind it': '/login%2f',
  'with an escaped slash between': '/x%2f..%2flogin',
  'with a doubly escaped slash': '/x/..%252flogin',
  'with an escaped slash instead of the first one': '%2flogin',
  'with an overlong slash': '/x/..%c0%aflogin',
  'with overlong letters': '/%c1%acogin',
  'with an invalid escape': '/login%',
  'with an incomplete escape': '/login%2',
  'with an escape that is no UTF-8': '/login%ff',
  'with the escapes of another encoding': '/%u006cogin',
  'with a backslash': '/\\login',
  'with a backslash instead of the slash': '\\login',
  'with backslashes for dot segments': '/x\\..\\login',
  'with an escaped backslash': '/%5clogin',
  'with an escaped backslash behind it': '/login%5c',
  'with a parameter': '/login;x',
  'with a parameter that has a value': '/login;jsessionid=1',
  'with an empty parameter': '/login;',
  'with a parameter on an empty segment': '/;x/login',
  'with a parameter on the dots': '/x/..;/login',
  'with an escaped semicolon': '/login%3bx',
  'with a query': '/login?x=1',
  'with an empty query': '/login?',
  'with a query of question marks': '/login???',
  'with a path in the query': '/login?/../health',
  'with an escaped question mark': '/login%3f',
  'with an escaped query': '/login%3fx=1',
  'with a fragment': '/login#x',
  'with an empty fragment': '/login#',
  'with an escaped fragment': '/login%23',
  'with a fragment before the query': '/login#?x',
  'with an escaped space at the end': '/login%20',
  'with an escaped space before it': '/%20login',
  'with a plus sign for a space': '/login+',
  'with an escaped tab': '/login%09',
  'with an escaped tab inside': '/log%09in',
  'with an escaped newline': '/login%0a',
  'with an escaped line break': '/login%0d%0aX:%20y',
  'with a tab': '/login\t',
  'with an escaped NUL': '/login%00',
  'with an escaped NUL and an extension': '/login%00.png',
  'with a bare NUL': '/login\0',
  'with a dot at the end': '/login.',
  'with an extension': '/login.json',
  'with a soft hyphen': '/lo%c2%adgin',
  'with a zero-width space': '/login%e2%80%8b',
  'with a letter of the other case in Unicode (İ)': '/log%c4%b0n',
  'with a dotless letter (ı)': '/log%c4%b1n',
  'with full-width letters': '/%ef%bd%8cogin',
  'with a full-width slash': '/%ef%bc%8flogin',
  'with bare bytes of UTF-8': utf8('/login\u200b'),
  'with a bare byte of Latin 1': '/login\xa0',
  'with a byte order mark': '/%ef%bb%bflogin',
  'as an absolute target': 'http://api.example/login',
  'as an absolute target of another host': 'http://other.example:8080/login',
  'as an absolute target with credentials': 'http://user:secret@api.example/login',
  'as an absolute target, in capitals': 'HTTP://API.EXAMPLE/LOGIN',
  'as an absolute target with another scheme': 'ftp://api.example/login',
  'as an absolute target without a host': 'http:///login',
  'as an absolute target with dot segments': 'http://api.example/x/../login',
  'as an absolute target with many slashes': 'http://api.example//login//',
  'with a host in front': '//api.example/login',
  'with the path of a host in front': '//login/login',
  'as an asterisk': '*',
  'without a slash': 'login',
  'as a query alone': '?/login',
  'behind a segment that has no limit, and back': '/health/../login',
  'behind a directory that has no limit, and back': '/assets/../login',
  'behind such a directory, with escaped dots': '/assets/%2e%2e/login',
  'behind such a directory, with an escaped slash': '/assets/..%2flogin',
  'behind such a directory, with a backslash': '/assets/..\\login',
  'behind such a directory, with a parameter on the dots': '/assets/..;/login',
  'with a path without a limit as its parameter': '/login;/health',
  'with a path without a limit as its parameter, and back': '/login;/../health',
  'with a path without a limit as its fragment': '/login#/health',
  'with a path without a limit behind an escaped question mark': '/health%3f/../login',
  'with a path without a limit as the host': '//health/login',
  'with a path without a limit as the scheme': 'health:/login',
};

const attempts = Object.entries(spellings).map(
  ([spelling, path]): Attempt => ({
    title: `the path ${spelling}: ${JSON.stringify(path)}`,
    most: 4,
    async run(target) {
      await target.exhaust();
      // Where it is not the login, it is one of the requests that no rule knows.
      const passed = (await target.repeat(otherwise + 3, { path })).filter(
        (status) => status === 200 || status === 404,
      );
      assert.ok(passed.length <= otherwise, `${passed.length} of them passed, with status ${passed[0]}`);
      // And in an hour in which nobody has spelled it out yet.
      await target.clock.pass(3_600_000);
      await target.repeat(3, { path });
      await target.repeat(3);
    },
  }),
);

const loose = [
  { match: '/assets/*', limit: false },
  { match: '/:any', limit: false },
  { match: '/:any/*', limit: false },
] as const;

const parts = (
  'login LOGIN / // /../ /./ . .. ogin %6c %6C %256c %2f %252f %5c \\ %2e %2e%2e ; ;x ;x=/ %3b ? %3f # %23 %00 % %2 %zz ' +
  'x assets health http://a http: @ : * \xe9 %c4%b0 %e2%84%aa + %20 ~ & = | { " [ %c0%af %ef%bc%8f %25 %2525'
).split(' ');

/** Numbers from 0 to below 1 that look random, and are the same with each run. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

const tails = Array.from({ length: 6 }, (_, i) => `/login${'/'.repeat(i)}`);

export const paths: readonly Attempt[] = [
  ...attempts,
  {
    title: 'another spelling with each request',
    async run(target) {
      await target.repeat(12, (i) => ({ path: [...tails, '/LOGIN', '/%6cogin', '//login', '/x/../login'][i % 10]! }));
    },
  },
  {
    title: 'three hundred spellings, made up of what spellings are made of',
    // Of a login that nobody may reach, there is nothing to be had first.
    most: 0,
    limits: { limit: 1_000, rules: [{ match: 'POST /login', limit: 0, window: '1h' }, ...loose] },
    async run(target) {
      const next = randomFrom(2026);
      const some = (list: readonly string[]) => list[Math.floor(next() * list.length)]!;
      for (let i = 0; i < 300; i++) {
        const path = Array.from({ length: 1 + Math.floor(next() * 5) }, () => some(parts)).join('');
        await target.send({ path: some([`/${path}`, `/${path}/login`, `/login${path}`, path]) });
      }
    },
  },
  {
    title: 'a path that the app takes for another, before it limits',
    rewrites: true,
    async run(target) {
      await target.exhaust();
      await target.repeat(4, { path: '/sign-in' });
      await target.repeat(4, { path: '/sign-in/?x' });
    },
  },
  {
    title: 'another query with each request',
    async run(target) {
      await target.exhaust();
      await target.repeat(6, (i) => ({ path: `/login?n=${i}` }));
    },
  },
  {
    title: 'another value of a parameter in the path with each request',
    route: 'GET /users/:id',
    async run(target) {
      await target.repeat(8, (i) => ({ method: 'GET', path: `/users/${i}` }));
    },
  },
  {
    title: 'a path so long that nobody wants to read it',
    async run(target) {
      await target.exhaust();
      const path = `${'/x/..'.repeat(2_000)}/login`;
      await target.repeat(4, { path });
      await target.repeat(4, { path: `/${'%2e/'.repeat(2_000)}login` });
      await target.repeat(4, { path: `/login?${'x'.repeat(8_000)}` });
      await target.repeat(4, { path: `/login${'/'.repeat(8_000)}` });
    },
  },
];
