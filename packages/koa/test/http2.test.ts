import { type ClientHttp2Session, connect, createServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { ManualClock } from '@sluice/testing';
import Koa from 'koa';
import { expect, test } from 'vitest';
import { type KoaRateLimitOptions, rateLimit } from '../src/index.ts';

/** What is to happen later, and the promise of it. */
function later(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve = () => {};
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

interface Served {
  /** One more request; the promise is of its status. */
  ask(path: string): { close(): void; readonly status: Promise<unknown> };
  /** Resolves when the server has seen the client of a path leave. */
  left(path: string): Promise<void>;
  /** The paths whose handler has run. */
  readonly ran: readonly string[];
}

async function served(options: KoaRateLimitOptions, use: (served: Served) => Promise<void>): Promise<void> {
  const app = new Koa();
  const ran: string[] = [];
  app.use(rateLimit(options));
  app.use((ctx) => {
    ran.push(ctx.path);
    ctx.body = 'done';
  });
  const closings = new Map<string, ReturnType<typeof later>>();
  const closing = (path: string) => closings.get(path) ?? closings.set(path, later()).get(path)!;
  const server = createServer();
  server.on('request', (request, response) => response.once('close', closing(request.url).resolve));
  server.on('request', app.callback());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const client: ClientHttp2Session = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const ask = (path: string) => {
    const stream = client.request({ ':path': path });
    stream.on('error', () => {});
    stream.resume();
    const status = new Promise((resolve) => stream.once('response', (headers) => resolve(headers[':status'])));
    return { close: () => stream.close(8), status };
  };
  try {
    await use({ ask, left: (path) => closing(path).promise, ran });
  } finally {
    client.destroy();
    server.close();
  }
}

/** A key that takes its time for paths that begin with `/left`. */
function slowly() {
  const known = later();
  const asked = new Map(['/left', '/left-too'].map((path) => [path, later()]));
  const key = async ({ path }: { path: string }) => {
    const one = asked.get(path);
    one?.resolve();
    if (one !== undefined) await known.promise;
    return 'one';
  };
  return { key, known, asked: (path: string) => asked.get(path)!.promise };
}

test('over HTTP/2, clients that leave before it is known who they are take no place among those at work', async () => {
  const { key, known, asked } = slowly();
  const limits = { limit: 100, window: '1h', concurrency: 2, key, clock: new ManualClock() } as const;
  await served(limits, async ({ ask, left }) => {
    for (const path of ['/left', '/left-too']) {
      const { close } = ask(path);
      await asked(path);
      close();
      await left(path);
    }
    known.resolve();
    expect(await ask('/').status).toBe(200);
  });
});

test.each(['before', 'while'])(
  'over HTTP/2, a request whose client leaves %s it is held does not run',
  async (when) => {
    const { key, known, asked } = slowly();
    const held = later();
    const clock = new ManualClock();
    const limits: KoaRateLimitOptions = {
      limit: 2,
      window: '2s',
      algorithm: 'leaky-bucket',
      key,
      clock,
      onDecision: ({ decision }) => decision.delay > 0 && held.resolve(),
    };
    await served(limits, async ({ ask, left, ran }) => {
      await ask('/first').status;
      const { close } = ask('/left');
      await asked('/left');
      if (when === 'while') {
        known.resolve();
        await held.promise;
      }
      close();
      await left('/left');
      known.resolve();
      await held.promise;
      await clock.pass(10_000);
      await ask('/last').status;
      expect(ran).toEqual(['/first', '/last']);
    });
  },
);
