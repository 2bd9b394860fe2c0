import { describe, expect, test } from 'vitest';
import { Overrides } from '../../src/index.ts';
import { behind, create, one, refuses } from './wrong-options.ts';

describe('of the phase before authentication', () => {
  refuses([
    ['a policy nobody can read', { beforeAuth: 'lots' }, 'INVALID_POLICY', /^beforeAuth: .+'100\/1m'/],
    ['null', { beforeAuth: null }, 'INVALID_OPTION', /^beforeAuth takes an object.+got null/],
    ['no policy', { beforeAuth: [] }, 'INVALID_POLICY', /^beforeAuth takes a list of at least one/],
    ['no window', { beforeAuth: { limit: 5 } }, 'INVALID_WINDOW', /^beforeAuth: 'window' must be/],
    ['two of one name', { beforeAuth: ['1/1m', '2/1m'] }, 'DUPLICATE_POLICY', /^beforeAuth\[1\]: .+'name' of its own/],
    ['too long a name', { name: 'n'.repeat(60), beforeAuth: '1/1m' }, 'INVALID_POLICY', /^beforeAuth: 'name' must be/],
  ]);

  test('its middleware is refused where there is no such phase', () => {
    const pipeline = create({ limit: 5 })();
    expect(() => pipeline.before()).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION', message: expect.stringMatching(/beforeAuth: '300\/1m'/) }),
    );
  });
});

describe('of limits that change', () => {
  refuses([
    ['a window that is none', { limit: () => 1, window: 'soon' }, 'INVALID_WINDOW', /^rateLimit: 'window'/],
    ['a limit that is none', { limit: '5', window: () => '1m' }, 'INVALID_POLICY', /^rateLimit: 'limit'.+write Number/],
    [
      'a burst',
      { limit: () => 1, burst: 2, algorithm: 'fixed-window' },
      'INVALID_POLICY',
      /^rateLimit: 'burst' applies/,
    ],
    ['a list', { limit: () => 1, limits: ['1/1m'] }, 'INVALID_OPTION', /^rateLimit: 'limit' and 'limits'/],
    ['a name', { window: () => '1m', name: 'a b' }, 'INVALID_POLICY', /^rateLimit: 'name'/],
    ['no window', behind({ match: '/a', limit: () => 1 }), 'INVALID_OPTION', /^rules\[1\].+no 'window'/],
    ['a cost', { limit: () => 1, cost: -1 }, 'INVALID_COST', /^rateLimit: 'cost' must be an integer ≥ 0/],
    [
      'no limit, and a list',
      { limit: false, limits: ['1/1m'] },
      'INVALID_OPTION',
      /'limit: false'.+'limits' says nothing/,
    ],
    ['no limit, and a burst', { limit: false, burst: 2 }, 'INVALID_OPTION', /'limit: false'.+'burst' says nothing/],
  ]);
});

describe('of overrides', () => {
  refuses([
    ['null', { overrides: null }, 'INVALID_OPTION', /'overrides' takes limits by key.+'user:42'/],
    ['a list', { overrides: [] }, 'INVALID_OPTION', /'overrides' takes limits by key/],
    ['a policy nobody can read', { overrides: { 'user:1': 'x' } }, 'INVALID_POLICY', /"user:1": .+'100\/1m'/],
    ['no limit', { overrides: { 'user:1': false } }, 'INVALID_OPTION', /"user:1" takes an object/],
    ['an unknown option', { overrides: { a: { ...one, max: 5 } } }, 'UNKNOWN_OPTION', /"a".+it is called "limit"/],
    ['a range', { overrides: { '10.0.0.0/8': '1/1m' } }, 'INVALID_OPTION', /"10\.0\.0\.0\/8" is a range.+one by one/],
    ['no key', { overrides: { '': '1/1m' } }, 'INVALID_OPTION', /got ""/],
    ['a secret', { overrides: { 'api-key:hush': 'x' } }, 'INVALID_POLICY', /^(?!.*hush).*api-key:…/],
    [
      'a network that nobody is counted by',
      { overrides: new Overrides({ '2001:db8::/48': '1/1m' }) },
      'INVALID_OPTION',
      /is a range/,
    ],
  ]);
});

describe('of lists', () => {
  const block = (...entries: unknown[]) => ({ lists: { block: ['192.0.2.1', ...entries] } });
  refuses([
    ['null', { lists: null }, 'INVALID_OPTION', /^lists takes an object.+block: \['203/],
    ['an unknown list', { lists: { deny: [] } }, 'UNKNOWN_OPTION', /^lists has no option "deny".+allow, block/],
    ['no list', { lists: { block: '10.0.0.1' } }, 'INVALID_OPTION', /^lists\.block takes a list.+AccessList/],
    ['null for a list', { lists: { allow: null } }, 'INVALID_OPTION', /^lists\.allow takes a list/],
    ['too long a prefix', block('10.0.0.0/33'), 'INVALID_OPTION', /^lists\.block\[1\]: .+from 0 to 32/],
    [
      'too long a prefix of version 6',
      block('2001:db8::/129'),
      'INVALID_OPTION',
      /^lists\.block\[1\]: .+from 0 to 128/,
    ],
    [
      'bits behind the prefix',
      block('10.0.0.5/8'),
      'INVALID_OPTION',
      /^lists\.block\[1\]: .+10\.0\.0\.5\/32 or 10\.0\.0\.0\/8/,
    ],
    ['no address', block('10.0.0.256'), 'INVALID_OPTION', /^lists\.block\[1\]: .+write an address or a CIDR range/],
    ['a pattern', block('10.0.0.*'), 'INVALID_OPTION', /^lists\.block\[1\]: /],
    ['a zone', block('fe80::1%eth0'), 'INVALID_OPTION', /^lists\.block\[1\]: .+Write "fe80::1"/],
    ['space around', block(' user:1'), 'INVALID_OPTION', /^lists\.block\[1\] .+without space/],
    ['no text', block(null), 'INVALID_OPTION', /^lists\.block\[1\] .+got null/],
  ]);
});

describe('of proxies', () => {
  const trust = (trustedProxies: unknown) => ({ identity: { trustedProxies } });
  refuses([
    [
      'everybody',
      trust(true),
      'INVALID_OPTION',
      /'trustedProxies': true would let every client choose.+number of your/,
    ],
    ['everybody, by a star', trust('*'), 'INVALID_OPTION', /"\*" would let every client choose/],
    ['everybody of a list', trust(['*']), 'INVALID_OPTION', /\[0\]: "\*" takes clients for proxies.+trustedProxies: 1/],
    ['all of version 4', trust(['loopback', '0.0.0.0/0']), 'INVALID_OPTION', /\[1\]: "0\.0\.0\.0\/0" takes clients/],
    ['half of version 4', trust(['128.0.0.0/1']), 'INVALID_OPTION', /\[0\]: "128\.0\.0\.0\/1" takes clients/],
    ['all of version 6', trust(['::/0']), 'INVALID_OPTION', /\[0\]: "::\/0" takes clients/],
    ['too many', trust(33), 'INVALID_OPTION', /from 0 to 32/],
    ['less than none', trust(-1), 'INVALID_OPTION', /from 0 to 32/],
    ['one and a half', trust(1.5), 'INVALID_OPTION', /from 0 to 32/],
    ['null', trust(null), 'INVALID_OPTION', /from 0 to 32/],
    ['one out of a list', trust('10.0.0.0/8'), 'INVALID_OPTION', /belongs into a list: \["10\.0\.0\.0\/8"\]/],
    ['bits behind the prefix', trust(['10.0.0.1/8']), 'INVALID_OPTION', /\[0\]: .+write the one you mean/],
    ['an unknown name', trust(['local']), 'INVALID_OPTION', /\[0\]: there is no network "local".+loopback/],
    [
      'a header without a name',
      trust({ proxies: 1 }),
      'INVALID_OPTION',
      /'header' is 'x-forwarded-for' or 'forwarded'/,
    ],
    ['an unknown header', trust({ proxies: 1, header: 'x-real-ip' }), 'INVALID_OPTION', /'header' is .+"x-real-ip"/],
    [
      'everybody by one header',
      trust({ proxies: true, header: 'forwarded' }),
      'INVALID_OPTION',
      /\.proxies: true would/,
    ],
    [
      'keys that nobody looks for',
      { identity: { apiKey: false, verifyApiKey: () => true } },
      'INVALID_OPTION',
      /'verifyApiKey' would never be asked.+Leave out one/,
    ],
    [
      'a verifier that is none',
      { identity: { verifyApiKey: true } },
      'INVALID_OPTION',
      /"verifyApiKey" must be a function/,
    ],
    ['a user that is none', { identity: { user: 'id' } }, 'INVALID_OPTION', /"user" must be a function/],
  ]);
});

describe('of the rest', () => {
  refuses([
    ['a logger without warn', { logger: {} }, 'INVALID_OPTION', /'logger' needs a method warn/],
    ['a logger that is null', { logger: null }, 'INVALID_OPTION', /'logger' needs a method warn/],
    ['an onBanned that is none', { onBanned: 'no' }, 'INVALID_OPTION', /"onBanned" must be a function/],
    ['an onAllowed that is none', { onAllowed: true }, 'INVALID_OPTION', /"onAllowed" must be a function/],
    [
      'a skipSuccessful in words',
      { skipSuccessful: 'yes' },
      'INVALID_OPTION',
      /"skipSuccessful" must be a boolean, or a/,
    ],
    ['an unknown way of failing', { onStoreError: 'open' }, 'INVALID_OPTION', /'throw', 'allow', 'deny', 'fallback'/],
    ['a key that is null', { key: null }, 'INVALID_OPTION', /^rateLimit: 'key' must be a function/],
    ['places that are null', { concurrency: null }, 'INVALID_OPTION', /^rateLimit: 'concurrency' takes an object/],
    ['a penalty of nothing', { penalty: {} }, 'INVALID_OPTION', /^rateLimit: 'penalty' needs 'blockFor'/],
    [
      'a limit that is true',
      { limit: true },
      'INVALID_OPTION',
      /^rateLimit: 'limit' must be a number, a function, or false/,
    ],
    ['a unit of no kind', { limits: [{ ...one, unit: 'bits' }] }, 'INVALID_POLICY', /^limits: 'unit' is 'requests'/],
    ['a cost that is null', { cost: null }, 'INVALID_COST', /^rateLimit: 'cost' must be an integer ≥ 0; got null/],
  ]);
});
