import { type Attempt, limit } from './attack.ts';

const strict = { limit, window: '1h', algorithm: 'fixed-window' } as const;

/** A gateway that grants plenty to whatever is not seen to be the login. */
const limits = {
  limit: 1_000,
  rules: [
    { match: 'POST /api/login', ...strict },
    { match: '/api/users/:id', ...strict },
  ],
};

/** Request targets that a framework may take for the login below `/api`. */
const spellings: Readonly<Record<string, string>> = {
  'as an absolute target': 'http://api.example/api/login',
  'as an absolute target, in capitals': 'HTTP://API.EXAMPLE/api/LOGIN',
  'as an absolute target with another scheme': 'x://y/api/login',
  'as an absolute target with a port': 'http://api.example:8080/api/login',
  'as an absolute target of an IPv6 address': 'http://[::1]:80/api/login',
  'as an absolute target with credentials': 'http://user:secret@api.example/api/login',
  'as an absolute target without a host': 'http:///api/login',
  'as an absolute target with a query': 'http://api.example/api/login?x=http://y',
  'as an absolute target with many slashes': 'http://api.example/api//login//',
  'as an absolute target with a backslash behind the host': 'http://api.example\\api/login',
  'as an absolute target with the mount in backslashes': 'http:\\\\api.example\\api\\login',
  'as an absolute target with a port that is none': 'http://api.example:api/api/login',
  'with a scheme alone': 'x:/api/login',
  'with another URL in its query': '/api/login?x=http://y/z',
  // Not the mount: koa-mount tells capitals apart, so that there the limiter is elsewhere.
  'in capitals': '/api/LOGIN',
  'with two slashes below the mount': '/api//login',
  'with a dot segment below the mount': '/api/./login',
  'above the mount and back': '/api/../api/login',
  'with an escaped letter of the mount': '/%61pi/login',
};

const places = { limiter: 'of a limiter mounted under a path', app: 'of an app mounted under a path' } as const;

function attemptsOf(mount: keyof typeof places): readonly Attempt[] {
  const spelled = Object.entries(spellings).map(
    ([spelling, path]): Attempt => ({
      title: `the path ${places[mount]}, ${spelling}: ${JSON.stringify(path)}`,
      most: limit * 2,
      mount,
      limits,
      async run(target) {
        await target.exhaust({ path: '/api/login' });
        await target.repeat(3, { path });
        // And in an hour in which nobody has spelled it out yet.
        await target.clock.pass(3_600_000);
        await target.repeat(limit + 1, { path });
        await target.repeat(limit + 1, { path: '/api/login' });
      },
    }),
  );
  return [
    ...spelled,
    {
      title: `another value of a parameter in the path ${places[mount]}, as an absolute target`,
      route: 'GET /users/:id',
      mount,
      limits,
      async run(target) {
        await target.repeat(6, (i) => ({ method: 'GET', path: `http://api.example/api/users/${i}` }));
        await target.repeat(6, (i) => ({ method: 'GET', path: `http://api.example\\api\\users/abcd${i}` }));
      },
    },
    {
      title: `the path ${places[mount]}, which the app has taken for another before`,
      rewrites: true,
      mount,
      limits,
      async run(target) {
        await target.exhaust({ path: '/api/login' });
        await target.repeat(4, { path: '/log-in' });
        await target.repeat(4, { path: 'http://api.example/log-in?x' });
      },
    },
  ];
}

export const mounts: readonly Attempt[] = [...attemptsOf('limiter'), ...attemptsOf('app')];
