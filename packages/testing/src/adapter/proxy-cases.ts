import assert from 'node:assert/strict';
import type { RateLimitOptions } from '@sluice/core';
import { type Define, fields } from './scene.js';

type TrustedProxies = NonNullable<NonNullable<RateLimitOptions<unknown>['identity']>['trustedProxies']>;

/** Where a request comes from, behind proxies that the limiter is told of. */
export function proxyCases<R>(define: Define<R>): void {
  const cases: readonly [string, TrustedProxies, Record<string, string>, string][] = [
    ['the last hop of one proxy', 1, { 'x-forwarded-for': '198.51.100.1, 192.0.2.1' }, '192.0.2.1'],
    ['the last but one of two', 2, { 'x-forwarded-for': '198.51.100.1, 192.0.2.1, 10.0.0.2' }, '192.0.2.1'],
    ['nobody where there is no proxy', 0, { 'x-forwarded-for': '192.0.2.1' }, '127.0.0.1'],
    ['nobody of an empty list', [], { 'x-forwarded-for': '192.0.2.1', forwarded: 'for=192.0.2.2' }, '127.0.0.1'],
    ['the peer of a request without headers', ['loopback'], {}, '127.0.0.1'],
    [
      'the first that is no proxy',
      ['loopback', '10.0.0.0/8'],
      { 'x-forwarded-for': '198.51.100.1, 192.0.2.1, 10.9.9.9' },
      '192.0.2.1',
    ],
    ['the peer that is no proxy', ['10.0.0.0/8'], { 'x-forwarded-for': '192.0.2.1' }, '127.0.0.1'],
    ['a hop with a port', ['127.0.0.1'], { 'x-forwarded-for': '192.0.2.1:4711' }, '192.0.2.1'],
    ['no hop that cannot be read', ['127.0.0.1'], { 'x-forwarded-for': '192.0.2.1, unknown' }, '127.0.0.1'],
    [
      'the hop of Forwarded',
      ['127.0.0.0/8'],
      { forwarded: 'for=198.51.100.1, for=192.0.2.1;proto=https' },
      '192.0.2.1',
    ],
    ['the hop of Forwarded, quoted', 1, { forwarded: 'For="[2001:db8:1:1::5]:80"' }, '2001:db8:1:1::/64'],
    [
      'the one header that is named',
      { proxies: 1, header: 'forwarded' },
      { 'x-forwarded-for': '198.51.100.1', forwarded: 'for=192.0.2.1' },
      '192.0.2.1',
    ],
    [
      'two headers that agree',
      ['loopback'],
      { 'x-forwarded-for': '192.0.2.1', forwarded: 'for="192.0.2.1:80"' },
      '192.0.2.1',
    ],
  ];
  for (const [title, trustedProxies, headers, address] of cases) {
    define(`believes ${title}`, async ({ start }) => {
      for (const proxies of ['none', 'all'] as const) {
        const keys = new Set<string | undefined>();
        const warnings: string[] = [];
        const app = await start({
          limiters: [
            {
              identity: { trustedProxies },
              logger: { warn: (message) => void warnings.push(message) },
              onDecision: ({ key }) => void keys.add(key),
            },
          ],
          // Whatever the framework believes.
          proxies,
        });
        await app.get(headers);
        assert.deepEqual([...keys], [`ip:${address}`]);
        const stranger = title === 'the peer that is no proxy';
        assert.equal(warnings.length, stranger ? 1 : 0, warnings[0]);
      }
    });
  }

  define('gives nobody a budget for what a client writes left of the proxy, in either header', async ({ start }) => {
    const setups: [TrustedProxies, (i: number) => Record<string, string>][] = [
      [1, (i) => ({ 'x-forwarded-for': `198.51.100.${i}, 192.0.2.1` })],
      [['loopback'], (i) => ({ 'x-forwarded-for': `198.51.100.${i}, unknown-${i}, 192.0.2.1` })],
      [['loopback'], (i) => ({ forwarded: `for=198.51.100.${i}, for="_${i}", for=192.0.2.1` })],
      [['loopback'], (i) => ({ 'x-forwarded-for': `198.51.100.${i}, nonsense-${i}` })],
      [['10.0.0.0/8'], (i) => ({ 'x-forwarded-for': `198.51.100.${i}` })],
      [['loopback'], (i) => ({ 'x-forwarded-for': '192.0.2.1', forwarded: `for=198.51.100.${i}` })],
    ];
    for (const [trustedProxies, headers] of setups) {
      const logger = { warn: () => {} };
      const app = await start({ limiters: [{ limit: 2, window: '1h', identity: { trustedProxies }, logger }] });
      const statuses: number[] = [];
      for (let i = 1; i < 6; i++) statuses.push((await app.get(headers(i))).status);
      assert.deepEqual(statuses, [200, 200, 429, 429, 429], JSON.stringify(headers(0)));
    }
  });

  define('believes neither of two headers that contradict each other, and warns once', async ({ start }) => {
    const warnings: string[] = [];
    const logger = { warn: (message: string) => void warnings.push(message) };
    const app = await start({
      limiters: [{ limit: 3, window: '1h', identity: { trustedProxies: ['loopback'] }, logger }],
    });
    const ask = (client: string, other: string) => app.get({ 'x-forwarded-for': client, forwarded: `for=${other}` });
    const left: unknown[] = [];
    for (let i = 1; i < 4; i++) left.push(fields(await ask(`192.0.2.${i}`, `198.51.100.${i}`))[1]);
    assert.deepEqual(left, [2, 1, 0]);
    assert.equal((await ask('192.0.2.9', '198.51.100.9')).status, 429);
    assert.equal((await app.get({ 'x-forwarded-for': '192.0.2.9' })).status, 200);
    assert.equal((await app.get()).status, 200);
    assert.equal(warnings.length, 1);
    assert.match(
      warnings[0]!,
      /X-Forwarded-For and Forwarded.+trustedProxies: \{ proxies: …, header: 'x-forwarded-for' \}/,
    );
  });

  define('hides nobody who is blocked behind a second header', async ({ start }) => {
    const app = await start({
      limiters: [
        {
          identity: { trustedProxies: 1 },
          lists: { block: ['192.0.2.0/24'], allow: ['198.51.100.1'] },
          logger: { warn: () => {} },
        },
      ],
    });
    const ask = (client: string, other: string) => app.get({ 'x-forwarded-for': client, forwarded: `for=${other}` });
    assert.equal((await ask('192.0.2.1', '198.51.100.1')).status, 403);
    assert.equal((await ask('198.51.100.1', '192.0.2.1')).status, 403);
    const neither = await ask('198.51.100.1', '198.51.100.2');
    // Nor is anybody allowed who might not be.
    assert.deepEqual([neither.status, fields(neither)[0]], [200, 1_000]);
  });

  for (const name of ['x-forwarded-for', 'forwarded'] as const) {
    define(`warns once of a header ${name} where no proxy is trusted, and counts the peer`, async ({ start }) => {
      const warnings: string[] = [];
      const logger = { warn: (message: string) => void warnings.push(message) };
      const app = await start({ limiters: [{ limit: 2, window: '1h', logger }] });
      for (const status of [200, 200, 429]) {
        assert.equal((await app.get({ [name]: 'for=192.0.2.1' })).status, status);
      }
      assert.equal((await app.get()).status, 429);
      assert.equal(warnings.length, 1);
      const written = name === 'forwarded' ? 'Forwarded' : 'X-Forwarded-For';
      assert.match(warnings[0]!, new RegExp(`the header ${written}, but .+trusts no proxy.+trustedProxies: \\[\\]`));
      const told = await start({ limiters: [{ logger, identity: { trustedProxies: [] } }] });
      await told.get({ [name]: 'for=192.0.2.1' });
      assert.equal(warnings.length, 1);
    });
  }

  define('warns once of more proxies than a request has come through', async ({ start }) => {
    const warnings: string[] = [];
    const logger = { warn: (message: string) => void warnings.push(message) };
    const app = await start({ limiters: [{ limit: 9, identity: { trustedProxies: 2 }, logger }] });
    for (let i = 0; i < 3; i++) await app.get({ 'x-forwarded-for': '192.0.2.1' });
    assert.equal(warnings.length, 1);
    assert.match(warnings[0]!, /fewer proxies than the 2 of identity: 'trustedProxies'/);
  });
}
