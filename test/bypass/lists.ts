import assert from 'node:assert/strict';
import type { Limits } from './apps.ts';
import { type Ask, type Attempt, limit } from './attack.ts';

/** Where it is not the usual one. */
type Setting = Pick<Attempt, 'proxies'> & { readonly limits?: Partial<Limits> };

const partner = '198.51.100.7';
const forwarded = (...addresses: string[]) => `X-Forwarded-For: ${addresses.join(', ')}`;
const allow = { lists: { allow: [partner, 'user:42', 'api-key:secret'] } };

/** Ways to be taken for somebody on the allow list. */
const pretences: Readonly<Record<string, readonly [Ask, Setting?]>> = {
  'X-Forwarded-For': [{ headers: [forwarded(partner)] }],
  'X-Real-IP': [{ headers: [`X-Real-IP: ${partner}`, `True-Client-IP: ${partner}`] }],
  'an address in front of its own': [{ headers: [forwarded(partner, '203.0.113.9')] }, { proxies: 'one' }],
  'an address in front of its own, to an app that trusts everybody': [
    { headers: [forwarded(partner, '203.0.113.9')] },
    { proxies: 'all' },
  ],
  'one of two headers of a proxy': [
    { headers: [forwarded('203.0.113.9'), `Forwarded: for=${partner}`] },
    { limits: { ...allow, identity: { trustedProxies: 1 } } },
  ],
  'an address as user': [{ headers: [`X-User: ${partner}`] }],
  'an address as user, with its kind': [{ headers: [`X-User: ip:${partner}`] }],
  'a user as API key': [{ headers: ['X-API-Key: user:42'] }],
  'an API key as user': [{ headers: ['X-User: api-key:secret'] }],
  'an API key with the kind': [{ headers: ['X-API-Key: api-key:secret'] }],
  'an API key beside another': [{ headers: ['X-API-Key: secret', 'X-API-Key: other'] }],
  'an API key in other case': [{ headers: ['X-API-Key: SECRET'] }],
  'an API key that nobody has verified': [
    { headers: ['X-API-Key: secret'] },
    { limits: { ...allow, identity: { verifyApiKey: () => false } } },
  ],
};

/** What somebody on the block list tries to look like. */
const blocked: Readonly<Record<string, readonly [string, Ask, Setting?]>> = {
  'nothing else': ['127.0.0.1', {}],
  'a user': ['127.0.0.1', { headers: ['X-User: 7'] }],
  'an API key': ['127.0.0.1', { headers: ['X-API-Key: 7'] }],
  'an API key, as a user who is blocked': ['user:7', { headers: ['X-User: 7', 'X-API-Key: 7'] }],
  'another address': ['127.0.0.1', { headers: [forwarded(partner)] }],
  'another address, behind a proxy': [
    '203.0.113.0/24',
    { headers: [forwarded(partner, '203.0.113.9')] },
    { proxies: 'one' },
  ],
  'an IPv6 address': ['203.0.113.0/24', { headers: [forwarded('::ffff:203.0.113.9')] }, { proxies: 'one' }],
  'an IPv6 address in hexadecimal': [
    '203.0.113.0/24',
    { headers: [forwarded('::ffff:cb00:7109')] },
    { proxies: 'one' },
  ],
  'an address with a port': [
    '203.0.113.0/24',
    { headers: [forwarded('203.0.113.9:4711')] },
    { limits: { identity: { trustedProxies: 1 } } },
  ],
  'another address of the network': ['2001:db8::/32', { headers: [forwarded('2001:DB8:0:0:7::')] }, { proxies: 'one' }],
  'an address with a zone': ['fe80::/10', { headers: [forwarded('fe80::1%eth0')] }, { proxies: 'one' }],
  'a second header that names somebody else': [
    '203.0.113.0/24',
    { headers: [forwarded('203.0.113.9'), `Forwarded: for=${partner}`] },
    { limits: { identity: { trustedProxies: ['loopback'] } } },
  ],
  'the path of a route without a limit': ['127.0.0.1', { path: '/assets/../login' }],
};

export const lists: readonly Attempt[] = [
  ...Object.entries(pretences).map(
    ([what, [ask, setting]]): Attempt => ({
      title: `${what}, to be allowed like somebody else`,
      limits: allow,
      ...setting,
      async run(target) {
        await target.repeat(6, ask);
      },
    }),
  ),
  {
    title: 'a true entry of the allow list, which may pass',
    most: 2 * (limit + 1),
    limits: allow,
    async run(target) {
      for (const headers of [['X-User: 42'], ['X-API-Key: secret']]) {
        await target.repeat(limit + 1, { headers });
      }
      assert.equal(target.reached('POST /login'), 2 * (limit + 1));
    },
  },
  ...Object.entries(blocked).map(
    ([what, [entry, ask, setting]]): Attempt => ({
      title: `${what}, from the block list`,
      most: 0,
      ...setting,
      limits: { ...setting?.limits, lists: { block: [entry] } },
      async run(target) {
        assert.deepEqual(await target.repeat(2, ask), [403, 403]);
      },
    }),
  ),
];
