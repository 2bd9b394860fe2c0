import assert from 'node:assert/strict';
import { MemoryStore } from '@sluice/core';
import type { App, Limits } from './apps.ts';
import { type Attempt, limit, otherwise } from './attack.ts';

/** Headers in which a client may name an address; `i` is another number with each request. */
const claims: Readonly<Record<string, (i: number) => readonly string[]>> = {
  'X-Forwarded-For': (i) => [`X-Forwarded-For: 198.51.100.${i}`],
  'X-Forwarded-For with a list': (i) => [`X-Forwarded-For: 198.51.100.${i}, 192.0.2.${i}`],
  'X-Forwarded-For of two lines': (i) => [`X-Forwarded-For: 198.51.100.${i}`, `X-Forwarded-For: 192.0.2.${i}`],
  'X-Forwarded-For with garbage': (i) => [`X-Forwarded-For: nobody-${i}`],
  'X-Forwarded-For with empty entries': (i) => [`X-Forwarded-For: ,, 198.51.100.${i},,`],
  'x-forwarded-for in lower case': (i) => [`x-forwarded-for: 198.51.100.${i}`],
  X_Forwarded_For: (i) => [`X_Forwarded_For: 198.51.100.${i}`],
  'X-Real-IP': (i) => [`X-Real-IP: 198.51.100.${i}`],
  Forwarded: (i) => [`Forwarded: for=198.51.100.${i}`],
  'Forwarded with a quoted IPv6 address': (i) => [`Forwarded: for="[2001:db8:${i}::1]:80"`],
  'True-Client-IP': (i) => [`True-Client-IP: 198.51.100.${i}`],
  'CF-Connecting-IP': (i) => [`CF-Connecting-IP: 198.51.100.${i}`],
  'X-Client-IP': (i) => [`X-Client-IP: 198.51.100.${i}`, `Client-IP: 198.51.100.${i}`],
  'X-Cluster-Client-IP and others': (i) => [
    `X-Cluster-Client-IP: 198.51.100.${i}`,
    `Fastly-Client-IP: 198.51.100.${i}`,
    `X-Originating-IP: 198.51.100.${i}`,
    `X-Remote-Addr: 198.51.100.${i}`,
    `Via: 1.1 198.51.100.${i}`,
  ],
};

const client = '203.0.113.7';
type Setting = Pick<Attempt, 'proxies'> & { readonly limits?: Partial<Limits> };
const trusting = (trustedProxies: NonNullable<Limits['identity']>['trustedProxies']): Setting => ({
  limits: { identity: { trustedProxies } },
});

/** Without a proxy, none of the headers may count. */
const alone: Readonly<Record<string, Setting>> = {
  'an app that trusts nobody': { proxies: 'none' },
  'a limiter that trusts nobody': { ...trusting([]), proxies: 'all' },
  'a limiter with other proxies': trusting(['10.0.0.0/8']),
};

/** One proxy on this machine, that adds the address of its client to what it received. */
const behindOne: Readonly<Record<string, Setting>> = {
  'an app that trusts one proxy': { proxies: 'one' },
  'an app that trusts everybody': { proxies: 'all' },
  'a limiter that counts one proxy': trusting(1),
  'a limiter that knows its proxy': trusting(['loopback']),
  'a limiter that reads X-Forwarded-For alone': trusting({ proxies: ['127.0.0.1'], header: 'x-forwarded-for' }),
};

/** What the proxy receives, and how it adds to it. */
const received: Readonly<Record<string, (i: number) => readonly string[]>> = {
  'an address': (i) => [`X-Forwarded-For: 198.51.100.${i}, ${client}`],
  'an address on a line of its own': (i) => [`X-Forwarded-For: 198.51.100.${i}`, `X-Forwarded-For: ${client}`],
  garbage: (i) => [`X-Forwarded-For: "${i}", ${client}`],
  'the address of a proxy in front': (i) => [`X-Forwarded-For: 198.51.100.${i}, 10.0.0.${i}, ${client}`],
  'a list longer than anybody reads': (i) => [`X-Forwarded-For: ${`198.51.100.${i}, `.repeat(60)}${client}`],
  'X-Real-IP beside it': (i) => [`X-Real-IP: 198.51.100.${i}`, `X-Forwarded-For: ${client}`],
};

const claimed = (entries: Readonly<Record<string, Setting>>, headers: typeof claims): Attempt[] =>
  Object.entries(entries).flatMap(([setting, options]) =>
    Object.entries(headers).map(([what, headersOf]) => ({
      ...options,
      title: `${what}, to ${setting}`,
      async run(target) {
        // Whatever the client adds, it is the one that it was without.
        await target.exhaust(headers === received ? { headers: [`X-Forwarded-For: ${client}`] } : {});
        await target.repeat(4, (i) => ({ headers: headersOf(i + 1) }));
      },
    })),
  );

/** One client, as its proxy may write it. */
const spelled = (title: string, addresses: readonly string[], most = limit): Attempt[] =>
  (['one', undefined] as const).map((proxies: App['proxies'] | undefined) => ({
    ...(proxies === undefined ? trusting(['loopback']) : { proxies }),
    title: `${title}, to ${proxies === undefined ? 'a limiter that knows its proxy' : 'an app that trusts one'}`,
    most,
    async run(target) {
      await target.repeat(addresses.length, (i) => ({ headers: [`X-Forwarded-For: ${addresses[i]}`] }));
      assert.equal(target.reached('POST /login'), most, 'what is granted is granted');
    },
  }));

const count = <T>(times: number, make: (i: number) => T) => Array.from({ length: times }, (_, i) => make(i + 1));

export const addresses: readonly Attempt[] = [
  ...claimed(alone, claims),
  ...claimed(behindOne, received),
  ...spelled(
    'every address of a /64',
    count(8, (i) => `2001:db8:1:2:${i}::${i}`),
  ),
  ...spelled(
    'every /64 of a /48',
    count(20, (i) => `2001:db8:1:${i.toString(16)}::1`),
    3 * limit,
  ),
  ...spelled(
    'addresses at random in a /48',
    count(20, (i) => `2001:db8:1:${(i * 977).toString(16)}:${i}::${i}`),
    3 * limit,
  ),
  ...spelled('the spellings of an IPv6 address', [
    '2001:db8::1',
    '2001:DB8::1',
    '2001:0db8:0000:0000:0000:0000:0000:0001',
    '2001:db8:0:0::1',
  ]),
  ...spelled('the spellings of an IPv4 address in IPv6', [
    '203.0.113.7',
    '::ffff:203.0.113.7',
    '::FFFF:203.0.113.7',
    '::ffff:cb00:7107',
    '0:0:0:0:0:ffff:203.0.113.7',
  ]),
  ...spelled('an IPv4 address behind NAT64', ['203.0.113.7', '64:ff9b::203.0.113.7', '64:ff9b::cb00:7107']),
  ...spelled(
    'zones of a link',
    count(4, (i) => `fe80::1%eth${i}`),
  ),
  {
    title: 'the port of the client in X-Forwarded-For, to a limiter that knows its proxy',
    ...trusting(['loopback']),
    async run(target) {
      await target.repeat(4, (i) => ({ headers: [`X-Forwarded-For: 203.0.113.7:${i + 4_000}`] }));
      assert.equal(target.reached('POST /login'), limit);
    },
  },
  {
    title: 'Forwarded with entries and parameters of its own, to a limiter that reads it',
    ...trusting({ proxies: 1, header: 'forwarded' }),
    async run(target) {
      await target.repeat(4, (i) => ({ headers: [`Forwarded: for=198.51.100.${i};by=x, for=${client}`] }));
      await target.repeat(4, (i) => ({
        headers: [`Forwarded: for="x\\",for=198.51.100.${i}", for="${client}:${i + 1}"`],
      }));
      await target.repeat(4, (i) => ({ headers: [`X-Forwarded-For: 198.51.100.${i}`, `Forwarded: for=${client}`] }));
      assert.equal(target.reached('POST /login'), limit);
    },
  },
  {
    title: 'so many other clients that the store has to forget some',
    most: limit + 60,
    proxies: 'one',
    limits: (clock) => ({ clock, store: new MemoryStore({ maxKeys: 16, clock }) }),
    async run(target) {
      const headers = [`X-Forwarded-For: ${client}`];
      await target.exhaust({ headers });
      await target.repeat(60, (i) => ({ headers: [`X-Forwarded-For: 198.51.100.${i}`] }));
      assert.deepEqual(await target.repeat(4, { headers }), [429, 429, 429, 429]);
    },
  },
  {
    title: 'X-Forwarded-For and Forwarded that contradict each other',
    ...trusting(['loopback']),
    async run(target) {
      await target.repeat(8, (i) => ({ headers: [`X-Forwarded-For: ${client}`, `Forwarded: for=198.51.100.${i}`] }));
      await target.repeat(8, (i) => ({ headers: [`X-Forwarded-For: 198.51.100.${i}`, `Forwarded: for=${client}`] }));
      assert.equal(target.reached('POST /login'), limit);
    },
  },
  {
    title: 'another address on a path that no rule knows',
    route: 'GET /search',
    most: otherwise,
    limits: { rules: [] },
    async run(target) {
      await target.repeat(8, (i) => ({ method: 'GET', path: '/search', headers: claims['X-Forwarded-For']!(i) }));
    },
  },
];
