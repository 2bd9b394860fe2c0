import assert from 'node:assert/strict';
import type { HeaderOptions, RateLimitOptions } from '@sluice/core';
import type { Response } from 'supertest';
import { ManualClock } from '../manual-clock.js';
import { type Define, fields } from './scene.js';

const secret = 'a secret of the test';

/** The fields of draft-ietf-httpapi-ratelimit-headers, and what a user makes of all fields. */
export function draftHeaderCases<R>(define: Define<R>): void {
  /** Two requests per minute, told by these headers. */
  function two(headers: HeaderOptions, options: RateLimitOptions<R> = {}): RateLimitOptions<R> {
    const clock = new ManualClock();
    return { name: 'api', limit: 2, window: '1m', algorithm: 'fixed-window', clock, headers, ...options };
  }

  const lists = [
    { 'ratelimit-policy': '"api";q=2;w=60', ratelimit: '"api";r=1;t=60' },
    { 'ratelimit-policy': '"api";q=2;w=60', ratelimit: '"api";r=0;t=60' },
  ];
  const expected = {
    'draft-6': [
      { 'ratelimit-limit': '2', 'ratelimit-policy': '2;w=60', 'ratelimit-remaining': '1', 'ratelimit-reset': '60' },
      { 'ratelimit-limit': '2', 'ratelimit-policy': '2;w=60', 'ratelimit-remaining': '0', 'ratelimit-reset': '60' },
    ],
    'draft-7': [
      { ratelimit: 'limit=2, remaining=1, reset=60', 'ratelimit-policy': '2;w=60' },
      { ratelimit: 'limit=2, remaining=0, reset=60', 'ratelimit-policy': '2;w=60' },
    ],
    'draft-8': lists,
    'draft-11': lists,
  } as const;

  for (const style of ['draft-6', 'draft-7', 'draft-8', 'draft-11'] as const) {
    define(`tells the limit in the fields of ${style}, and in no other`, async ({ start }) => {
      const app = await start({ limiters: [two(style)] });
      const responses = [await app.get(), await app.get(), await app.get()];
      const [first, rest] = expected[style];
      assert.deepEqual(responses.map(told), [first, rest, rest]);
      assert.deepEqual(waits(responses), [undefined, undefined, '60']);
    });

    define(`tells the limit in the fields of ${style} beside those it has always had`, async ({ start }) => {
      const limiter = two(['legacy', style]);
      const app = await start({ limiters: [limiter] });
      const response = await app.get();
      const reset = limiter.clock!.now() / 1_000_000 + 60;
      assert.deepEqual(fields(response), [2, 1, reset]);
      for (const [name, text] of Object.entries(expected[style][0])) assert.equal(response.headers[name], text);
    });
  }

  define('sends fields by the outcome', async ({ start }) => {
    const app = await start({ limiters: [two({ passed: false, limited: ['draft-11', 'legacy'] })] });
    const passed = [await app.get(), await app.get()];
    assert.deepEqual(passed.map(told), [{}, {}]);
    const refused = await app.get();
    assert.equal(refused.headers.ratelimit, '"api";r=0;t=60');
    assert.deepEqual(fields(refused).slice(0, 2), [2, 0]);
    const other = await start({ limiters: [two({ passed: 'draft-7', limited: false })] });
    assert.deepEqual((await other.get()).headers.ratelimit, 'limit=2, remaining=1, reset=60');
    await other.get();
    const silent = await other.get();
    assert.deepEqual([silent.status, told(silent)], [429, {}]);
    assert.equal(silent.headers['retry-after'], '60');
  });

  define('lists the policies of all limiters, and of a refusal those that refused', async ({ start }) => {
    const clock = new ManualClock();
    const each = { algorithm: 'fixed-window', headers: 'draft-11', clock } as const;
    const app = await start({
      limiters: [
        { ...each, name: 'api', limit: 5, window: '1m' },
        { ...each, limits: [{ name: 'burst', limit: 2, window: '1s' }, '9/1h'] },
      ],
    });
    const policies = '"api";q=5;w=60, "burst";q=2;w=1, "1h";q=9;w=3600';
    const passed = await app.get();
    assert.equal(passed.headers['ratelimit-policy'], policies);
    assert.equal(passed.headers.ratelimit, '"api";r=4;t=60, "burst";r=1;t=1, "1h";r=8;t=3600');
    await app.get();
    const refused = await app.get();
    assert.equal(refused.headers['ratelimit-policy'], policies);
    assert.equal(refused.headers.ratelimit, '"burst";r=0;t=1');
    assert.equal(refused.headers['retry-after'], '1');
  });

  define('waits for the longest of the policies that refused', async ({ start }) => {
    const clock = new ManualClock();
    const limits = ['1/1s', '1/1m', '9/1h'] as const;
    const app = await start({ limiters: [{ limits, algorithm: 'fixed-window', headers: 'draft-11', clock }] });
    await app.get();
    const refused = await app.get();
    assert.equal(refused.headers.ratelimit, '"1s";r=0;t=1, "1m";r=0;t=60');
    assert.equal(refused.headers['retry-after'], '60');
  });

  define('names the unit of what costs other than requests', async ({ start }) => {
    const limits = [{ name: 'upload', limit: 1_000, window: '1h', unit: 'content-bytes' }] as const;
    const app = await start({ limiters: [{ limits, cost: 600, headers: 'draft-11', clock: new ManualClock() }] });
    const passed = await app.get();
    assert.equal(passed.headers['ratelimit-policy'], '"upload";q=1000;qu="content-bytes";w=3600');
    assert.match(passed.headers.ratelimit!, /^"upload";r=400;t=\d+$/);
    const refused = await app.get();
    assert.equal(refused.status, 429);
    assert.match(refused.body.detail, /1000 bytes per 1h/);
  });

  define('sends fields under other names, and leaves out what is to have none', async ({ start }) => {
    const headerNames = { 'X-RateLimit-Limit': 'X-Quota', 'X-RateLimit-Reset': false, 'Retry-After': false } as const;
    const app = await start({ limiters: [two('legacy', { response: { headerNames } })] });
    const responses = [await app.get(), await app.get(), await app.get()];
    assert.deepEqual(
      responses.map(({ status, headers }) => [status, headers['x-quota'], headers['x-ratelimit-remaining']]),
      [
        [200, '2', '1'],
        [200, '2', '0'],
        [429, '2', '0'],
      ],
    );
    for (const { headers } of responses) {
      for (const name of ['x-ratelimit-limit', 'x-ratelimit-reset', 'retry-after']) assert.ok(!(name in headers), name);
    }
  });

  define('exposes what it sends, under the names it has', async ({ start }) => {
    const headerNames = { RateLimit: 'X-Rate', 'Retry-After': 'X-Wait' };
    const app = await start({ limiters: [two('draft-11', { response: { headerNames } })] });
    const exposed = async () => {
      const { headers } = await app.get({ origin: 'https://app.example' });
      return String(headers['access-control-expose-headers']).split(', ').sort();
    };
    assert.deepEqual(await exposed(), ['RateLimit-Policy', 'X-Rate']);
    await exposed();
    assert.deepEqual(await exposed(), ['RateLimit-Policy', 'X-Rate', 'X-Wait']);
    assert.equal((await app.get()).headers['x-wait'], '60');
  });

  define('exposes the fields of two limiters together', async ({ start }) => {
    const clock = new ManualClock();
    const app = await start({ limiters: [two('draft-11'), { name: 'other', limit: 9, headers: 'legacy', clock }] });
    const { headers } = await app.get({ origin: 'https://app.example' });
    const names = String(headers['access-control-expose-headers']).split(', ').sort();
    const legacy = ['X-RateLimit-Limit', 'X-RateLimit-Remaining', 'X-RateLimit-Reset'];
    assert.deepEqual(names, ['RateLimit', 'RateLimit-Policy', ...legacy]);
  });

  define('tells clients by pk which requests share a quota, and nothing else', async ({ start, header }) => {
    const key = (request: R) => header(request, 'x-who')!;
    const partitions = async (partitionKey: string) => {
      const app = await start({ limiters: [two('draft-11', { key, response: { partitionKey } })] });
      const found: string[] = [];
      for (const who of ['203.0.113.7', '203.0.113.7', '203.0.113.8']) {
        const { headers } = await app.get({ 'x-who': who });
        const pk = /;pk=:([A-Za-z0-9+/]+={0,2}):$/.exec(headers.ratelimit!)?.[1];
        assert.ok(pk !== undefined, headers.ratelimit);
        assert.ok(headers['ratelimit-policy']!.endsWith(`;pk=:${pk}:`));
        assert.equal(Buffer.from(pk, 'base64').toString('base64'), pk);
        assert.ok(!Buffer.from(pk, 'base64').toString('latin1').includes('203'));
        found.push(pk);
      }
      return found;
    };
    const [a, again, b] = await partitions(secret);
    assert.equal(a, again);
    assert.notEqual(a, b);
    // Nobody can work it out without the secret.
    const others = await partitions(`${secret}, another one`);
    assert.equal(new Set([a, b, ...others]).size, 4);
  });

  define('tells each policy by the pk of the key that it counts', async ({ start, header }) => {
    const clock = new ManualClock();
    const key = (request: R) => header(request, 'x-who')!;
    const each = { clock, headers: 'draft-11', response: { partitionKey: secret } } as const;
    const app = await start({
      limiters: [
        { ...each, name: 'all', key: () => 'all' },
        { ...each, name: 'own', key },
      ],
    });
    const found: string[][] = [];
    for (const who of ['a', 'b']) {
      const { headers } = await app.get({ 'x-who': who });
      found.push([...headers.ratelimit!.matchAll(/pk=:([^:]+):/g)].map(([, pk]) => pk!));
    }
    const [[all, a] = [], [allAgain, b] = []] = found;
    assert.equal(all, allAgain);
    assert.equal(new Set([all, a, b]).size, 3);
  });

  define('tells of every limiter in the style of each, and on a refusal of those that refused', async ({ start }) => {
    const clock = new ManualClock();
    const each = { window: '1m', algorithm: 'fixed-window', clock } as const;
    const app = await start({
      limiters: [
        { ...each, name: 'app', limit: 10, headers: 'draft-11', response: { partitionKey: secret } },
        { ...each, name: 'route', limit: 1 },
      ],
    });
    const passed = await app.get();
    assert.match(passed.headers.ratelimit!, /^"app";r=9;t=60;pk=:[^:]+:, "route";r=0;t=60;pk=:[^:]+:$/);
    assert.deepEqual(fields(passed).slice(0, 2), [1, 0]);
    const refused = await app.get();
    assert.equal(refused.status, 429);
    assert.match(refused.headers.ratelimit!, /^"route";r=0;t=60;pk=:[^:]+:$/);
  });
}

/** The fields of a response that tell of limits, by name. */
function told({ headers }: Response): Record<string, string> {
  const names = Object.keys(headers).filter((name) => name.includes('ratelimit'));
  return Object.fromEntries(names.sort().map((name) => [name, headers[name]!]));
}

function waits(responses: readonly Response[]): (string | undefined)[] {
  return responses.map(({ headers }) => headers['retry-after']);
}
