import { connect } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { ManualClock } from '@sluice/testing';
import Fastify from 'fastify';
import { expect, test } from 'vitest';
import { rateLimit } from '../src/index.ts';

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
