import { once } from 'node:events';
import { request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createLimiter, type StoreErrorMode } from '@sluice/core';
import { rateLimit } from '@sluice/express';
import { RedisStore, type RedisStoreOptions } from '@sluice/redis';
import express from 'express';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FaultProxy } from '../support/redis/fault-proxy.js';
import { RedisServer } from '../support/redis/server.js';
import { recommended } from './support/fault-clients.js';
import { StallMeter } from './support/fault-stall.js';

/** Milliseconds. */
const deadline = 50;
const grace = 50;

let server: RedisServer;
let proxy: FaultProxy;
let stalls: StallMeter;
const clients: Redis[] = [];

beforeAll(async () => {
  server = await RedisServer.start();
  proxy = await FaultProxy.to(server.port);
  stalls = new StallMeter();
});
afterAll(async () => {
  stalls.stop();
  for (const client of clients) client.disconnect();
  await proxy?.close();
  await server?.stop();
});

const makers = {
  recommended: () => new Redis({ ...recommended, port: proxy.port }),
  default: () => new Redis(proxy.port),
};

/** A store whose Redis accepts connections and never answers: from the first call on, or from the first answer on. */
async function silentStore(make: () => Redis, onError: StoreErrorMode, isConnected: boolean): Promise<RedisStore> {
  proxy.pass();
  if (!isConnected) proxy.hang();
  const client = make().on('error', () => {});
  clients.push(client);
  if (isConnected) await once(client, 'ready');
  const options = { instances: 1, onError, logger: { warn() {} } };
  const store = new RedisStore(client, options as RedisStoreOptions);
  if (isConnected) proxy.hang();
  return store;
}

/** Runs `ask` again and again for so long that calls time out, and then the circuit is open, and probes fail. */
async function longestWait(ask: () => Promise<void>): Promise<number> {
  let longest = 0;
  const waits: Promise<void>[] = [];
  for (const end = performance.now() + 500; performance.now() < end; ) {
    const from = performance.now();
    const wait = ask().then(async () => {
      const to = performance.now();
      // Only the next tick shows for how long the machine kept this process from running.
      await new Promise((resolve) => setTimeout(resolve, 5));
      longest = Math.max(longest, to - from - stalls.between(from, to));
    });
    waits.push(wait);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await Promise.all(waits);
  return longest;
}

const modes = [
  ['throw', 'an error'],
  ['allow', 'open'],
  ['deny', 'closed'],
  ['fallback', 'fallback'],
] as const;

for (const [name, make] of Object.entries(makers)) {
  describe(`a Redis that accepts the connections of a ${name} client and never answers`, () => {
    for (const [mode, source] of modes) {
      for (const isConnected of [true, false]) {
        const since = isConnected ? 'once connected' : 'from the beginning';
        it(`leaves no request without an answer beyond the deadline: ${source} where '${mode}' is set, ${since}`, async () => {
          const store = await silentStore(make, mode, isConnected);
          const limiter = createLimiter({ policies: '1000/1h', store });
          const seen = new Set<string>();
          const wait = await longestWait(async () => {
            seen.add(
              await limiter.consume('key').then(
                (decision) => decision.source,
                () => 'an error',
              ),
            );
          });
          expect([...seen]).toEqual([source]);
          expect(wait).toBeLessThanOrEqual(deadline + grace);
          await store.close();
        });
      }
    }
  });
}

describe('an Express app whose Redis accepts connections and never answers', () => {
  const statuses = { throw: 500, allow: 200, deny: 503, fallback: 200 } as const;

  for (const [mode, status] of Object.entries(statuses) as [StoreErrorMode, number][]) {
    it(`answers every request in time, with ${status} where '${mode}' is set`, async () => {
      const store = await silentStore(makers.recommended, mode, true);
      const app = express().set('env', 'test');
      app.use(rateLimit({ limit: 1_000, window: '1h', store, logger: { warn() {} } }));
      app.get('/', (_request, response) => void response.send('hello'));
      const listener = app.listen(0, '127.0.0.1');
      await once(listener, 'listening');
      const seen = new Set<number>();
      const wait = await longestWait(async () => {
        seen.add(await statusOf(listener));
      });
      expect([...seen]).toEqual([status]);
      expect(wait).toBeLessThanOrEqual(deadline + grace);
      listener.close();
      await store.close();
    });
  }
});

async function statusOf(server: Server): Promise<number> {
  const sent = request({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', agent: false }).end();
  const [response] = await once(sent, 'response');
  response.resume();
  return response.statusCode;
}
