import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ProxyChain, type TrustedProxies } from '../../src/identity/trusted-proxies.ts';

const chain = (setting: unknown) => new ProxyChain(setting as TrustedProxies, 'trustedProxies');
const proxies = ['10.0.0.0/8', 'loopback'];
const viaFor = (setting: TrustedProxies, header: string | string[], peer: string | undefined = '10.0.0.1') =>
  chain(setting).client(peer, header, undefined).address;
const viaForwarded = (header: string | string[], setting: TrustedProxies = proxies, peer = '10.0.0.1') =>
  chain(setting).client(peer, undefined, header).address;

describe('X-Forwarded-For, by the networks of the proxies', () => {
  test.each([
    ['203.0.113.7', '203.0.113.7'],
    ['203.0.113.7, 10.0.0.2', '203.0.113.7'],
    ['6.6.6.6, 203.0.113.7, 10.0.0.2', '203.0.113.7'],
    ['6.6.6.6,203.0.113.7,10.0.0.2,127.0.0.1', '203.0.113.7'],
    ['10.0.0.3, 10.0.0.2', '10.0.0.3'],
    ['  203.0.113.7 ', '203.0.113.7'],
    ['203.0.113.7:52100', '203.0.113.7'],
    ['::ffff:203.0.113.7', '203.0.113.7'],
    ['::ffff:cb00:7107', '203.0.113.7'],
    ['6.6.6.6, 203.0.113.7, ::ffff:10.0.0.2', '203.0.113.7'],
    ['2001:DB8::1', '2001:db8::1'],
    ['[2001:db8::1]', '2001:db8::1'],
    ['[2001:db8::1]:4711', '2001:db8::1'],
    ['6.6.6.6, unknown', '10.0.0.1'],
    ['6.6.6.6, _hidden', '10.0.0.1'],
    ['6.6.6.6, unknown, 10.0.0.2', '10.0.0.2'],
    ['6.6.6.6, , 10.0.0.2', '10.0.0.2'],
    ['6.6.6.6,', '10.0.0.1'],
    [',', '10.0.0.1'],
    ['', '10.0.0.1'],
    ['  ', '10.0.0.1'],
    ['6.6.6.6, 010.0.0.2', '10.0.0.1'],
    ['6.6.6.6, 0x0a.0.0.2', '10.0.0.1'],
    ['203.0.113.7 10.0.0.2', '10.0.0.1'],
    [`6.6.6.6, ${'1'.repeat(10_000)}`, '10.0.0.1'],
  ])('%j leads to %s', (header, client) => {
    expect(viaFor(proxies, header)).toBe(client);
  });

  test('several lines are one list', () => {
    expect(viaFor(proxies, ['6.6.6.6', '203.0.113.7', '10.0.0.2'])).toBe('203.0.113.7');
  });

  test.each(['203.0.113.9', '11.0.0.1', '::1%lo', 'garbage'])('a peer %s that is no proxy is the client', (peer) => {
    const client = chain(['10.0.0.0/8']).client(peer, '6.6.6.6', undefined);
    expect(client.address).toBe(peer.replace('%lo', ''));
    expect(client.conflict).toMatch(/none of trustedProxies.*If it is your proxy, add/s);
    expect(chain(['10.0.0.0/8']).client(peer, undefined, undefined).conflict).toBeUndefined();
  });

  test('a peer without an address, of a Unix socket, is believed only where proxies are counted', () => {
    expect(chain(proxies).client(undefined, '203.0.113.7', undefined).address).toBeUndefined();
    expect(chain(1).client(undefined, '6.6.6.6, 203.0.113.7', undefined).address).toBe('203.0.113.7');
  });

  test('a chain of more than 32 proxies is not followed to its end', () => {
    const hops = Array.from({ length: 40 }, (_, i) => `10.0.1.${i}`);
    expect(viaFor(proxies, hops.join(', '))).toBe('10.0.1.8');
  });
});

describe('named networks', () => {
  test.each([
    ['loopback', ['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1'], ['128.0.0.1', '::2']],
    ['linklocal', ['169.254.1.1', 'fe80::1', 'fe80::1%eth0'], ['169.255.0.1', 'fec0::1']],
    ['uniquelocal', ['10.0.0.1', '172.16.0.1', '172.31.9.9', '192.168.0.1', 'fd00::1'], ['172.32.0.1', '127.0.0.1']],
    ['private', ['10.0.0.1', '172.16.0.1', '192.168.0.1', 'fc00::1'], ['172.15.0.1', '169.254.1.1', '::1']],
  ])('%s', (name, inside, outside) => {
    for (const peer of inside) expect(viaFor([name], '203.0.113.7', peer)).toBe('203.0.113.7');
    for (const peer of outside) expect(viaFor([name], '203.0.113.7', peer)).toBe(peer);
  });
});

describe('X-Forwarded-For, by the number of proxies', () => {
  test.each<[number, string, string]>([
    [0, '6.6.6.6', '198.51.100.1'],
    [1, '203.0.113.7', '203.0.113.7'],
    [1, '6.6.6.6, 203.0.113.7', '203.0.113.7'],
    [2, '6.6.6.6, 203.0.113.7, 10.0.0.2', '203.0.113.7'],
    [2, '203.0.113.7', '203.0.113.7'],
    [32, '203.0.113.7, 10.0.0.2', '203.0.113.7'],
    [1, '6.6.6.6, unknown', '198.51.100.1'],
    [2, '6.6.6.6, unknown, 10.0.0.2', '10.0.0.2'],
    [3, '6.6.6.6, unknown, 10.0.0.2', '10.0.0.2'],
    [1, '', '198.51.100.1'],
  ])('of %i, %j leads to %s', (count, header, client) => {
    expect(viaFor(count, header, '198.51.100.1')).toBe(client);
  });

  test('a header that names fewer hops than there are proxies is a contradiction', () => {
    const conflict = (count: number, header: string) => chain(count).client('10.0.0.1', header, undefined).conflict;
    expect(conflict(2, '203.0.113.7')).toMatch(/fewer proxies than the 2 of trustedProxies.*set the number/s);
    expect(conflict(2, '203.0.113.7, 10.0.0.2')).toBeUndefined();
    expect(conflict(1, '203.0.113.7')).toBeUndefined();
    expect(conflict(2, '')).toBeUndefined();
  });
});

describe('Forwarded', () => {
  test.each([
    ['for=192.0.2.60;proto=http;by=203.0.113.43', '192.0.2.60'],
    ['by=203.0.113.43; FOR="192.0.2.60" ;proto=http', '192.0.2.60'],
    ['For="[2001:db8:cafe::17]:4711"', '2001:db8:cafe::17'],
    ['for="192.0.2.60:80"', '192.0.2.60'],
    ['for=192.0.2.60:80', '192.0.2.60'],
    ['for="192.0.2\\.60"', '192.0.2.60'],
    ['for=192.0.2.60;', '192.0.2.60'],
    [';;for=192.0.2.60;;', '192.0.2.60'],
    ['for=6.6.6.6, for=192.0.2.60, for=10.0.0.2', '192.0.2.60'],
    ['for=6.6.6.6,for=192.0.2.60;host="a,b;for=7.7.7.7", for=10.0.0.2', '192.0.2.60'],
    ['for=192.0.2.60;host="a\\", for=7.7.7.7;x=\\"b"', '192.0.2.60'],
    ['for=192.0.2.60;host="a\\\\"', '192.0.2.60'],
    ['for=6.6.6.6, for=unknown', '10.0.0.1'],
    ['for=6.6.6.6, for=_hidden, for=10.0.0.2', '10.0.0.2'],
    ['for=6.6.6.6, proto=http', '10.0.0.1'],
    ['for=6.6.6.6;for=7.7.7.7', '10.0.0.1'],
    ['for=6.6.6.6;FOR=6.6.6.6', '10.0.0.1'],
    ['for=6.6.6.6, for=', '10.0.0.1'],
    ['for=6.6.6.6, 192.0.2.60', '10.0.0.1'],
    ['for=6.6.6.6,', '10.0.0.1'],
    ['for = 6.6.6.6', '10.0.0.1'],
    ['for=6.6.6.6 7.7.7.7', '10.0.0.1'],
    ['for="6.6.6.6', '10.0.0.1'],
    ['for=6.6.6.6"', '10.0.0.1'],
    ['for="6.6.6.6"x', '10.0.0.1'],
    ['for="6.6.6.6\\"', '10.0.0.1'],
    ['=6.6.6.6', '10.0.0.1'],
    ['for=6.6.6.6;=x', '10.0.0.1'],
    ['for 6.6.6.6', '10.0.0.1'],
    ['x for=6.6.6.6', '10.0.0.1'],
    ['"for=6.6.6.6', '10.0.0.1'],
    ['for=6.6.6.6;host="a\\"', '10.0.0.1'],
    ['"', '10.0.0.1'],
    ['for=9.9.9.9;a=", for="[2001:db8::1]"', '2001:db8::1'],
    ['for=9.9.9.9;a="\\, for="[2001:db8::1]"', '2001:db8::1'],
    ['for="x, for=192.0.2.60', '192.0.2.60'],
  ])('%j leads to %s', (header, client) => {
    expect(viaForwarded(header)).toBe(client);
  });

  test('several lines are one list', () => {
    expect(viaForwarded(['for=6.6.6.6', 'for=192.0.2.60, for=10.0.0.2'])).toBe('192.0.2.60');
  });

  test('proxies can be counted', () => {
    expect(viaForwarded('for=6.6.6.6, for=192.0.2.60, for="[2001:db8::9]"', 2)).toBe('192.0.2.60');
  });
});

describe('two headers', () => {
  const both = (setting: TrustedProxies, forwardedFor: string, forwarded: string) =>
    chain(setting).client('10.0.0.1', forwardedFor, forwarded);

  test('that lead to the same client are believed', () => {
    const client = both(proxies, '6.6.6.6, 2001:DB8::1', 'for="[2001:db8:0::1]:80";proto=https');
    expect(client).toEqual({ address: '2001:db8::1', conflict: undefined, candidates: [] });
  });

  test('that contradict each other are no client of their choosing, and not the proxy either', () => {
    const client = both(proxies, '203.0.113.7', 'for=6.6.6.6');
    expect(client.address).toBe('contradiction');
    expect(client.candidates).toEqual(['203.0.113.7', '6.6.6.6']);
    expect(client.conflict).toMatch(
      /X-Forwarded-For and Forwarded.*Let the proxy remove the other.*header: 'x-forwarded/s,
    );
    expect(both(proxies, '203.0.113.7', 'for=unknown')).toMatchObject({
      address: 'contradiction',
      candidates: ['203.0.113.7'],
    });
    expect(both(1, 'garbage', 'for=6.6.6.6').address).toBe('contradiction');
  });

  test('are no contradiction where one of them is named', () => {
    const of = (header: 'x-forwarded-for' | 'forwarded') => both({ proxies, header }, '203.0.113.7', 'for=192.0.2.60');
    expect(of('x-forwarded-for')).toEqual({ address: '203.0.113.7', conflict: undefined, candidates: [] });
    expect(of('forwarded')).toEqual({ address: '192.0.2.60', conflict: undefined, candidates: [] });
    const named = chain({ proxies: 1, header: 'forwarded' });
    expect(named.client('10.0.0.1', '6.6.6.6', undefined).address).toBe('10.0.0.1');
  });

  test('of a peer that is no proxy are not looked at', () => {
    expect(chain(proxies).client('203.0.113.9', '1.1.1.1', 'for=2.2.2.2').address).toBe('203.0.113.9');
  });
});

test.each([[0], [[]]])('%j trusts nobody, and says nothing about headers', (setting) => {
  const client = chain(setting).client('::ffff:10.0.0.1', '6.6.6.6', 'for=7.7.7.7');
  expect(client).toEqual({ address: '10.0.0.1', conflict: undefined, candidates: [] });
});

describe('settings that cannot work', () => {
  test.each([
    [true, 'would let every client choose'],
    ['*', 'would let every client choose'],
    ['loopback', 'belongs into a list: ["loopback"]'],
    [false, '[] trusts nobody'],
    [null, '[] trusts nobody'],
    [undefined, '[] trusts nobody'],
    [-1, 'from 0 to 32'],
    [33, 'from 0 to 32'],
    [1.5, 'from 0 to 32'],
    [Number.NaN, 'from 0 to 32'],
    [Number.POSITIVE_INFINITY, 'from 0 to 32'],
    [() => true, 'the number of your proxies'],
    [['*'], 'trustedProxies[0]: "*" takes clients for proxies'],
    [['10.0.0.0/8', '0.0.0.0/0'], 'trustedProxies[1]: "0.0.0.0/0" takes clients for proxies'],
    [['::/0'], 'takes clients for proxies'],
    [['::ffff:0:0/96'], 'takes clients for proxies'],
    [['0.0.0.0/1', '128.0.0.0/1'], 'takes clients for proxies'],
    [['2000::/3'], 'takes clients for proxies'],
    [['local'], 'Known names: loopback, linklocal, uniquelocal, private'],
    [['toString'], 'there is no network "toString"'],
    [['10.0.0.5/8'], 'write the one you mean'],
    [[1], 'trustedProxies[0]: a proxy is named by a text'],
    [{ proxies: true, header: 'forwarded' }, 'trustedProxies.proxies: true would let'],
    [{ proxies: ['*'], header: 'forwarded' }, 'takes clients for proxies'],
    [{ proxies: 1 }, "'header' is 'x-forwarded-for' or 'forwarded'"],
    [{ proxies: 1, header: 'x-real-ip' }, 'got "x-real-ip"'],
  ])('%j', (setting, message) => {
    expect(() => chain(setting)).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }));
    expect(() => chain(setting)).toThrow(message as string);
  });

  test('an unknown option', () => {
    expect(() => chain({ proxies: 1, headers: 'forwarded' })).toThrow(/Did you mean "header"/);
  });
});

describe('whatever a client writes', () => {
  // Also made of the pieces that have a meaning, which random characters seldom hit.
  const pieces = fc
    .array(fc.constantFrom('"', '\\', ',', ';', '=', ' ', 'for', 'for=', '6.6.6.6', '10.0.0.9', '[', ']', '::1', ':80'))
    .map((all) => all.join(''));
  const prefix = fc.oneof(pieces, fc.string({ unit: 'binary' }));
  const hop = fc.constantFrom('203.0.113.7', '[2001:db8::1]:4711', '198.51.100.9:80');
  const address = {
    '203.0.113.7': '203.0.113.7',
    '[2001:db8::1]:4711': '2001:db8::1',
    '198.51.100.9:80': '198.51.100.9',
  };
  const settings = fc.constantFrom<TrustedProxies>(proxies, 2);

  test('left of what the proxies have added changes nothing', () => {
    fc.assert(
      fc.property(prefix, hop, settings, fc.string({ unit: 'grapheme-ascii' }), (made, client, setting, host) => {
        const quoted = host.replace(/["\\]/g, '\\$&');
        expect(viaFor(setting, `${made}, ${client}, 10.0.0.2`)).toBe(address[client]);
        expect(viaForwarded(`${made}, for="${client}";host="${quoted}", for=10.0.0.2`, setting)).toBe(address[client]);
        expect(viaForwarded(`${made},host="${quoted}";for="${client}",for="10.0.0.2:80"`, setting)).toBe(
          address[client],
        );
      }),
      { numRuns: 1_000 },
    );
  });

  test('never throws, and leads to an address or to nobody', () => {
    const texts = fc.option(fc.oneof(prefix, fc.array(prefix)), { nil: undefined });
    fc.assert(
      fc.property(texts, texts, settings, (one, other, setting) => {
        const { address } = chain(setting).client('10.0.0.1', one, other);
        expect(address).toMatch(/^(contradiction|\d+\.\d+\.\d+\.\d+|[\da-f:]+)$/);
      }),
      { numRuns: 1_000 },
    );
  });
});
