import { createServer, type RequestListener } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import koa3, { type Context, type Middleware, type Next } from 'koa';
import koa2 from 'koa2';
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

/** Mounts as koa-mount does, which leaves its mark on what comes behind. */
const mount =
  (prefix: string, below: Middleware): Middleware =>
  async (ctx: Context, next: Next) => {
    const whole = ctx.path;
    ctx.mountPath = prefix;
    ctx.path = whole.slice(prefix.length);
    await below(ctx, async () => {
      ctx.path = whole;
      await next();
    });
  };

const limited = () => rateLimit({ limit: 100, rules: [{ match: '/api/login', limit: 1, window: '1h' }] });
const targets = ['http://a/api/login', '/api/login', 'http://a/api/login?x', 'x://y/api/login', 'HTTP://A/api/login'];

describe.each([
  ['Koa 3', koa3],
  ['Koa 2', koa2],
])('%s', (_, Koa) => {
  test.each<[string, readonly Middleware[]]>([
    ['below', [mount('/api', limited())]],
    ['behind', [mount('/api', (_ctx, next) => next()), limited()]],
    [
      'behind a mount in',
      [
        mount(
          '/api',
          mount('/login', (_ctx, next) => next()),
        ),
        limited(),
      ],
    ],
  ])('%s a mount, an absolute target is the path that it is', async (_, middleware) => {
    const app = new Koa();
    for (const one of middleware) app.use(one);
    app.use((ctx) => {
      ctx.body = 'done';
    });
    expect(await statuses(app.callback(), ...targets)).toEqual([200, 429, 429, 429, 429]);
  });
});
