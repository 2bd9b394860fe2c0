import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createLimiter } from '@sluice/core';
import { fromExpressRateLimitStore, rateLimit } from '@sluice/express';
import express from 'express';
import { MemoryStore } from 'express-rate-limit';
import { afterEach, describe, expect, test } from 'vitest';

const servers: Server[] = [];

afterEach(() => {
  for (const server of servers.splice(0)) server.close().closeAllConnections();
});

/** An app of one limiter over a store of express-rate-limit's own. */
async function serve(options: Parameters<typeof rateLimit>[0] & object = {}) {
  const theirs = new MemoryStore();
  const store = fromExpressRateLimitStore(theirs);
  const limiter = rateLimit({ limit: 2, window: '1h', algorithm: 'fixed-window', anchor: 'first', ...options, store });
  const app = express();
  app.use(limiter);
  app.get('/bad', (_req, res) => void res.status(400).send('bad'));
  app.get('/', (_req, res) => void res.send('done'));
  const server = app.listen(0, '127.0.0.1');
  servers.push(server);
  await once(server, 'listening');
  const ask = (path: string) => fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`);
  const statuses = async (...paths: string[]) => {
    const statuses: number[] = [];
    for (const path of paths) statuses.push((await ask(path)).status);
    return statuses;
  };
  return { theirs, limiter, ask, statuses };
}

describe("a store of express-rate-limit's", () => {
  test('counts for our middleware, over HTTP', async () => {
    const { ask, statuses, theirs } = await serve();
    const first = await ask('/');
    expect(Object.fromEntries(first.headers)).toMatchObject({ 'x-ratelimit-limit': '2', 'x-ratelimit-remaining': '1' });
    const reset = Number(first.headers.get('x-ratelimit-reset'));
    expect(reset - Date.now() / 1_000).toBeGreaterThan(3_500);
    expect(await statuses('/', '/', '/')).toEqual([200, 429, 429]);
    const refused = await ask('/');
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(3_500);
    expect(await refused.json()).toMatchObject({ status: 429, 'violated-policies': ['default'] });
    theirs.shutdown();
  });

  test('takes back what a failed request has taken', async () => {
    const { statuses, theirs } = await serve({ skipFailed: true });
    expect(await statuses('/bad', '/bad', '/bad', '/', '/', '/')).toEqual([400, 400, 400, 200, 200, 429]);
    theirs.shutdown();
  });

  test('forgets a key that is reset', async () => {
    const { limiter, statuses, theirs } = await serve();
    expect(await statuses('/', '/', '/')).toEqual([200, 200, 429]);
    await limiter.reset('127.0.0.1');
    expect(await statuses('/')).toEqual([200]);
    theirs.shutdown();
  });

  test('refuses a policy that it cannot count, when the limiter is created', () => {
    const theirs = new MemoryStore();
    const store = fromExpressRateLimitStore(theirs);
    expect(() => createLimiter({ policies: '5/1m burst 9', store })).toThrow(/fixed-window/);
    expect(() => rateLimit({ limit: 5, window: '1m', store })).toThrow(/fixed-window/);
    theirs.shutdown();
  });
});
