import { connect } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { ManualClock } from '@sluice/testing';
import Fastify from 'fastify';
import { expect, test } from 'vitest';
import { rateLimit } from '../src/index.ts';

/** What is to happen later, and the promise of it. */
function later(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve = () => {};
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

test('over HTTP/2, a client that leaves before it is known who it is takes no place among those at work', async () => {
  const app = Fastify({ http2: true });
  const asked = [later(), later(), later()];
  const known = later();
  const gone = [later(), later()];
  let streams = 0;
  app.addHook('onRequest', async (_request, { raw }) => {
    const left = gone[streams++];
    if (left !== undefined) raw.once('close', left.resolve);
  });
  let keys = 0;
  const key = async () => {
    asked[keys++]!.resolve();
    await known.promise;
    return 'one';
  };
  await app.register(rateLimit, { limit: 100, window: '1h', concurrency: 2, key, clock: new ManualClock() });
  app.get('/', async () => 'done');
  await app.listen({ port: 0, host: '127.0.0.1' });
  const client = connect(`http://127.0.0.1:${(app.server.address() as AddressInfo).port}`);
  try {
    for (let i = 0; i < 2; i++) {
      const stream = client.request({ ':path': '/' });
      stream.on('error', () => {});
      await asked[i]!.promise;
      stream.close(8);
    }
    await Promise.all(gone.map(({ promise }) => promise));
    known.resolve();
    const third = client.request({ ':path': '/' });
    const status = await new Promise((resolve) => third.once('response', (headers) => resolve(headers[':status'])));
    expect(status).toBe(200);
    third.resume();
  } finally {
    client.destroy();
    await app.close();
  }
});

test.each(['before', 'while'])(
  'over HTTP/2, a request whose client leaves %s it is held does not run',
  async (when) => {
    const app = Fastify({ http2: true });
    const clock = new ManualClock();
    const [asked, known, held, closed] = [later(), later(), later(), later()];
    await app.register(rateLimit, {
      limit: 2,
      window: '2s',
      algorithm: 'leaky-bucket',
      clock,
      async key({ url }) {
        if (url !== '/left') return 'one';
        asked.resolve();
        await known.promise;
        return 'one';
      },
      onDecision: ({ decision }) => decision.delay > 0 && held.resolve(),
    });
    const ran: string[] = [];
    app.get('/:name', async ({ url }) => {
      ran.push(url);
      return url;
    });
    app.server.on('request', ({ url }, response) => {
      if (url === '/left') response.once('close', closed.resolve);
    });
    await app.listen({ port: 0, host: '127.0.0.1' });
    const client = connect(`http://127.0.0.1:${(app.server.address() as AddressInfo).port}`);
    const ask = (path: string) => {
      const stream = client.request({ ':path': path });
      stream.on('error', () => {});
      stream.resume();
      return { stream, answered: new Promise<void>((resolve) => stream.once('response', () => resolve())) };
    };
    try {
      await ask('/first').answered;
      const { stream } = ask('/left');
      await asked.promise;
      if (when === 'while') {
        known.resolve();
        await held.promise;
      }
      stream.close(8);
      await closed.promise;
      known.resolve();
      await held.promise;
      await clock.pass(10_000);
      await ask('/last').answered;
      expect(ran).toEqual(['/first', '/last']);
    } finally {
      client.destroy();
      await app.close();
    }
  },
);

test('over HTTP/2, a client that resets its stream after the handler began has paid', async () => {
  const app = Fastify({ http2: true });
  await app.register(rateLimit, { limit: 2, window: '1h', skipSuccessful: true, clock: new ManualClock() });
  const begun: (() => void)[] = [];
  const closed: Promise<void>[] = [];
  app.get('/', (_request, reply) => {
    closed.push(new Promise((resolve) => reply.raw.once('close', () => resolve())));
    begun.shift()?.();
    return new Promise(() => {});
  });
  await app.listen({ port: 0, host: '127.0.0.1' });
  const client = connect(`http://127.0.0.1:${(app.server.address() as AddressInfo).port}`);
  try {
    for (let i = 0; i < 2; i++) {
      const stream = client.request({ ':path': '/' });
      stream.on('error', () => {});
      await new Promise<void>((resolve) => begun.push(resolve));
      stream.close(8);
      await closed[i];
    }
    const third = client.request({ ':path': '/' });
    const status = await new Promise((resolve) => third.once('response', (headers) => resolve(headers[':status'])));
    expect(status).toBe(429);
    third.resume();
  } finally {
    client.destroy();
    await app.close();
  }
});

test('over HTTP/2, a client that resets its stream in the middle of the body has paid', async () => {
  const app = Fastify({ http2: true });
  await app.register(rateLimit, { limit: 2, window: '1h', skipSuccessful: true, clock: new ManualClock() });
  const closed: Promise<void>[] = [];
  app.get('/', async (_request, reply) => {
    closed.push(new Promise((resolve) => reply.raw.once('close', () => resolve())));
    // More than a client takes unless it reads.
    return Buffer.alloc(1_000_000);
  });
  await app.listen({ port: 0, host: '127.0.0.1' });
  const client = connect(`http://127.0.0.1:${(app.server.address() as AddressInfo).port}`);
  const begin = async () => {
    const stream = client.request({ ':path': '/' });
    stream.on('error', () => {});
    const status = await new Promise((resolve) => stream.once('response', (headers) => resolve(headers[':status'])));
    return { stream, status };
  };
  try {
    const whole = await begin();
    whole.stream.resume();
    await closed[0];
    for (const i of [1, 2]) {
      const { stream, status } = await begin();
      expect(status).toBe(200);
      stream.close(8);
      await closed[i];
    }
    expect((await begin()).status).toBe(429);
  } finally {
    client.destroy();
    await app.close();
  }
});
