import { createServer, type RequestListener } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import express5, { type RequestHandler } from 'express';
import express4 from 'express4';
import { describe, expect, test } from 'vitest';
import { rateLimit } from '../src/index.ts';

/** The status of a request whose target goes over the wire as it is. */
function ask(port: number, target: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () =>
      socket.write(`GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`),
    );
    let text = '';
    socket.on('data', (part) => {
      text += part;
    });
    socket.once('error', reject);
    socket.once('close', () => resolve(Number(text.split(' ')[1])));
  });
}

/** The statuses of requests that are sent to an app one after another. */
async function statuses(listener: RequestListener, ...targets: string[]): Promise<number[]> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    const statuses: number[] = [];
    for (const target of targets) statuses.push(await ask((server.address() as AddressInfo).port, target));
    return statuses;
  } finally {
    server.close();
  }
}

const limited = (match: string) => rateLimit({ limit: 100, rules: [{ match, limit: 1, window: '1h' }] });
const done: RequestHandler = (_req, res) => void res.send('done');

describe.each([
  ['Express 5', express5],
  ['Express 4', express4],
])('%s', (_, express) => {
  test.each([
    'http://a/api/login',
    'x://y/api/login',
    'http://a:80/api/login?x=1',
    'http://user:secret@a/api/login',
    'http://[::1]/api/login',
    'http:///api/login',
    'HTTP://A/API/LOGIN',
    '/api/login?x=http://a/b',
  ])('below a mount, the target %s is the path that it is', async (target) => {
    const app = express();
    app.use('/api', limited('/api/login'));
    app.use(done);
    expect(await statuses(app, '/api/login', target)).toEqual([200, 429]);
  });

  test('in a router below a router, an absolute target is the whole path', async () => {
    const app = express();
    const [outer, inner] = [express.Router(), express.Router()];
    inner.use(limited('/api/v1/login'));
    inner.get('/login', done);
    outer.use('/v1', inner);
    app.use('/api', outer);
    expect(await statuses(app, 'http://a/api/v1/login', '/api/v1/login', 'x://y/api/v1/login')).toEqual([
      200, 429, 429,
    ]);
  });

  test('the place of the mount itself, in an absolute target, is that place', async () => {
    const app = express();
    app.use('/api', limited('/api'));
    app.use(done);
    expect(await statuses(app, 'http://a/api', 'http://a/api?x', 'http://a/api/', 'http://a/api/x')).toEqual([
      200, 429, 429, 200,
    ]);
  });

  test.each(['http://a/api/users/\\1', "http://a/api/users/'1", 'http://a:b/api/users/1'])(
    'below a mount, %s, of which Express makes another path than others, is refused',
    async (target) => {
      const app = express();
      app.use('/:place', limited('/:place/users/:id'));
      app.use(done);
      expect(await statuses(app, target)).toEqual([400]);
    },
  );

  test('what Express has made a path of in the router above is refused too', async () => {
    const app = express();
    const router = express.Router();
    let seen = '';
    router.use('/:page', (req, _res, next) => {
      seen = req.url;
      next();
    });
    router.use('/:page', limited('/:place/:page'));
    router.get('/:page', done);
    app.use('/:place', router);
    expect(await statuses(app, 'http://h/q\\api')).toEqual([400]);
    expect(seen.charAt(0)).toBe('/');
  });
});
