import assert from 'node:assert/strict';
import { Agent, request } from 'node:http';
import { type AlgorithmName, type Decision, type DecisionEvent, MemoryStore, type Store } from '@sluice/core';
import { ManualClock } from '../manual-clock.js';
import { type Define, remaining, type Scene } from './scene.js';

const algorithms: readonly AlgorithmName[] = [
  'fixed-window',
  'sliding-window-log',
  'sliding-window-counter',
  'token-bucket',
  'leaky-bucket',
];

/** What is granted, and what it costs. */
export function limitCases<R>(define: Define<R>): void {
  define('limits without any options', async ({ start }) => {
    const app = await start({ limiters: [undefined] });
    const { headers, status } = await app.get();
    assert.equal(status, 200);
    assert.equal(headers['x-ratelimit-limit'], '1000');
    assert.equal(headers['x-ratelimit-remaining'], '999');
  });

  define('grants 1000 requests an hour by a sliding window counter unless told otherwise', async ({ start }) => {
    const clock = new ManualClock();
    const app = await start({ limiters: [{ clock }] });
    const statuses = await flood(app, 1_001);
    assert.equal(statuses.filter((status) => status === 200).length, 1_000);
    assert.equal(statuses.filter((status) => status === 429).length, 1);
    // Half of the next hour later, half of this hour still weighs.
    clock.advance(90 * 60_000);
    assert.equal(remaining(await app.get()), 499);
  });

  for (const algorithm of algorithms) {
    define(`limits by ${algorithm}`, async ({ start }) => {
      const clock = new ManualClock();
      const app = await start({ limiters: [{ limit: 2, window: '10s', algorithm, clock, shape: false }] });
      assert.deepEqual(await app.statuses(4), [200, 200, 429, 429]);
      clock.advance(20_000);
      assert.deepEqual(await app.statuses(3), [200, 200, 429]);
    });
  }

  define('takes a policy in short form', async ({ start }) => {
    const app = await start({ limiters: ['2/1h'] });
    assert.deepEqual(await app.statuses(3), [200, 200, 429]);
  });

  define('charges several policies all or none', async ({ start }) => {
    const clock = new ManualClock();
    const app = await start({ limiters: [{ limits: ['5/1s', '10/1m'], algorithm: 'fixed-window', clock }] });
    assert.deepEqual(await app.statuses(8), [200, 200, 200, 200, 200, 429, 429, 429]);
    clock.advance(1_000);
    // Had the refused three been charged to the minute, only two were left of it.
    assert.deepEqual(await app.statuses(5), [200, 200, 200, 200, 200]);
    clock.advance(1_000);
    assert.deepEqual((await app.get()).body['violated-policies'], ['1m']);
  });

  define('gives back what the first limiter took when the second refuses', async ({ start }) => {
    const clock = new ManualClock();
    const decided: Decision[] = [];
    const first = { limit: 10, clock, onDecision: (event: DecisionEvent<R>) => void decided.push(event.decision) };
    const app = await start({ limiters: [first, { limit: 1, clock }] });
    assert.deepEqual(await app.statuses(4), [200, 429, 429, 429]);
    // Each refused request found as much as the one before.
    assert.deepEqual(
      decided.map((decision) => decision.remaining),
      [9, 8, 8, 8],
    );
  });

  define('limits one route beside the whole app', async ({ start }) => {
    const clock = new ManualClock();
    const app = await start({
      limiters: [{ limit: 100, clock }],
      login: { limit: 5, window: '1m', algorithm: 'fixed-window', clock },
    });
    const statuses: number[] = [];
    for (let i = 0; i < 6; i++) statuses.push((await app.login()).status);
    assert.deepEqual(statuses, [200, 200, 200, 200, 200, 429]);
    assert.equal(remaining(await app.get()), 94);
    clock.advance(60_000);
    assert.equal((await app.login()).status, 200);
  });

  define('limits one route alone', async ({ start }) => {
    const app = await start({ login: { limit: 1, window: '1h' } });
    assert.equal((await app.login()).status, 200);
    assert.equal((await app.login()).status, 429);
    assert.deepEqual(await app.statuses(3), [200, 200, 200]);
  });

  define('limits requests that no route matches', async ({ start }) => {
    const app = await start({ limiters: ['2/1h'] });
    const statuses: number[] = [];
    for (const path of ['/nothing', '/nowhere', '/nothing']) statuses.push((await app.get({}, path)).status);
    assert.deepEqual(statuses, [404, 404, 429]);
  });

  define('counts HEAD as GET', async ({ start }) => {
    const app = await start({ limiters: ['2/1h'] });
    assert.equal((await app.ask().head('/')).status, 200);
    assert.equal((await app.get()).status, 200);
    const refused = await app.ask().head('/');
    assert.equal(refused.status, 429);
    assert.equal(refused.headers['x-ratelimit-remaining'], '0');
    assert.ok(Number(refused.headers['retry-after']) >= 1);
  });

  define('grants exactly the limit to requests in parallel', async ({ start }) => {
    const app = await start({ limiters: ['5/1h'] });
    const statuses = await Promise.all(Array.from({ length: 50 }, async () => (await app.get()).status));
    assert.equal(statuses.filter((status) => status === 200).length, 5);
    assert.equal(statuses.filter((status) => status === 429).length, 45);
  });

  define('grants exactly the limit where the store answers later', async ({ start }) => {
    const memory = new MemoryStore();
    const store: Store = {
      consume: async (charges) => memory.consume(charges),
      peek: async (charges) => memory.peek(charges),
      release: async (refunds) => memory.release(refunds),
      reset: async (key, policies) => memory.reset(key, policies),
    };
    const app = await start({
      limiters: [
        { name: 'app', limit: 8, window: '1h', store },
        { limit: 5, window: '1h', store },
      ],
    });
    const statuses = await Promise.all(Array.from({ length: 50 }, async () => (await app.get()).status));
    assert.equal(statuses.filter((status) => status === 200).length, 5);
    assert.equal(statuses.filter((status) => status === 429).length, 45);
    const { body, headers } = await app.get();
    assert.deepEqual(body['violated-policies'], ['default']);
    assert.equal(headers['x-ratelimit-limit'], '5');
  });

  define('puts the decision on the request', async ({ start }) => {
    const seen: unknown[] = [];
    const handle = async (decision: unknown) => {
      seen.push(decision);
      return { status: 200, body: '' };
    };
    const app = await start({ limiters: [{ name: 'api', limit: 3, window: '1h' }], handle });
    await app.get();
    const [decision] = seen as [Decision];
    assert.equal(decision.allowed, true);
    assert.equal(decision.policy, 'api');
    assert.equal(decision.limit, 3);
    assert.equal(decision.remaining, 2);
  });

  define('lets no spelling of a limited route reach its handler more often than the limit', async ({ start }) => {
    let handled = 0;
    const handle = async () => ({ status: 200, body: String(++handled) });
    const app = await start({ login: { limit: 2, window: '1h', algorithm: 'fixed-window' }, handle });
    const spellings = ['/login', '/login?x', '/LOGIN', '/Login/', '/login/', '//login', '/login//', '/%6cogin'];
    spellings.push('/x/../login', '/./login', '/login;x', '/login/.', '/login%2f', '/login#x', 'http://other/login');
    for (const path of spellings) {
      const head = `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`;
      assert.match(await app.raw(head), /^HTTP\/1\.1 (?:200|400|404|405|429) /, path);
    }
    assert.equal(handled, 2);
  });

  define('shows every decision to onDecision, with the request', async ({ start, header }) => {
    const events: DecisionEvent<R>[] = [];
    const app = await start({ limiters: [{ limit: 1, window: '1h', onDecision: (event) => void events.push(event) }] });
    await app.get({ 'x-who': 'first' });
    await app.get({ 'x-who': 'second' });
    assert.deepEqual(
      events.map(({ decision, key, cost, request }) => [decision.allowed, key, cost, header(request!, 'x-who')]),
      [
        [true, 'ip:127.0.0.1', 1, 'first'],
        [false, 'ip:127.0.0.1', 1, 'second'],
      ],
    );
  });
}

/** Statuses of so many requests over a handful of connections. */
async function flood(app: Scene, times: number): Promise<number[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: 20 });
  const one = () =>
    new Promise<number>((resolve, reject) => {
      const call = request({ host: '127.0.0.1', port: app.port, agent }, (response) => {
        response.resume().once('end', () => resolve(response.statusCode!));
      });
      call.once('error', reject).end();
    });
  try {
    return await Promise.all(Array.from({ length: times }, one));
  } finally {
    agent.destroy();
  }
}
