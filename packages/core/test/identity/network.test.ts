import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { NetworkMap, NetworkSet, parseNetwork } from '../../src/identity/network.ts';

const text = (network: string) => parseNetwork(network, 'here').text;

test.each([
  ['203.0.113.7', '203.0.113.7'],
  ['203.0.113.7/32', '203.0.113.7'],
  ['10.0.0.0/8', '10.0.0.0/8'],
  ['0.0.0.0/0', '0.0.0.0/0'],
  ['128.0.0.0/1', '128.0.0.0/1'],
  ['::ffff:10.0.0.0/104', '10.0.0.0/8'],
  ['::ffff:0:0/96', '0.0.0.0/0'],
  ['::FFFF:1.2.3.4', '1.2.3.4'],
  ['::ffff:102:304/128', '1.2.3.4'],
  ['64:ff9b::1.2.3.4', '1.2.3.4'],
  ['2001:DB8:0::/32', '2001:db8::/32'],
  ['2001:db8::1/128', '2001:db8::1'],
  ['::/0', '::/0'],
  ['::1', '::1'],
])('%s is the network %s', (written, canonical) => {
  expect(text(written)).toBe(canonical);
});

test.each([
  '',
  '/8',
  '10.0.0.0/',
  '10.0.0.0/33',
  '10.0.0.0/-1',
  '10.0.0.0/08',
  '10.0.0.0/8.0',
  '10.0.0.0/8/8',
  '10.0.0.0/ 8',
  '10.0.0.0/255.0.0.0',
  '10.0.0',
  '10',
  '010.0.0.1',
  '0x7f.0.0.1',
  '1.2.3.256',
  '1.2.3.4:80',
  '[::1]',
  '[::1]:80',
  '2001:db8::/129',
  '2001:db8::1::',
  '64:ff9b::/96',
  'fe80::1%eth0',
  'fe80::%eth0/64',
  ' 10.0.0.1',
  'localhost',
])('%j is no network', (written) => {
  expect(() => text(written)).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }));
});

test.each([
  ['10.0.0.5/8', '10.0.0.5/32 or 10.0.0.0/8: write the one you mean'],
  ['10.0.0.0/4', '10.0.0.0/32 or 0.0.0.0/4'],
  ['2001:db8::1/32', '2001:db8::1/128 or 2001:db8::/32'],
  ['2001:db8:8000::/32', '2001:db8:8000::/128 or 2001:db8::/32'],
])('%s says two things, and the message says both', (written, remedy) => {
  expect(() => text(written)).toThrow(remedy);
  expect(() => text(written)).toThrow('here: ');
});

describe('a set of networks', () => {
  test.each([
    ['10.0.0.0/8', '10.255.255.255', true],
    ['10.0.0.0/8', '11.0.0.0', false],
    ['10.0.0.0/8', '::ffff:10.1.2.3', true],
    ['10.0.0.0/8', '::ffff:a01:203', true],
    ['10.0.0.0/8', '::a01:203', false],
    ['::ffff:10.0.0.0/104', '10.1.2.3', true],
    ['1.2.3.4', '::ffff:1.2.3.4', true],
    ['1.2.3.4', '::ffff:102:304', true],
    ['255.255.255.255', '255.255.255.255', true],
    ['128.0.0.0/1', '127.255.255.255', false],
    ['128.0.0.0/1', '200.0.0.1', true],
    ['0.0.0.0/0', '8.8.8.8', true],
    ['0.0.0.0/0', '2001:db8::1', false],
    ['::/0', '2001:db8::1', true],
    ['::/0', '8.8.8.8', false],
    ['::1', '::1', true],
    ['::1', '0:0:0:0:0:0:0:1', true],
    ['::1', '::2', false],
    ['fe80::/10', 'fe80::1%eth0', true],
    ['2001:db8::/32', '2001:db9::', false],
    ['2001:db8::/32', 'garbage', false],
    ['0.0.0.0/0', '', false],
  ])('of %s: that it has %s is %s', (network, address, has) => {
    expect(new NetworkSet().add(network).has(address)).toBe(has);
  });

  test('counts each network once, and forgets it whatever the spelling', () => {
    const set = new NetworkSet().add('10.0.0.0/8').add('::ffff:10.0.0.0/104').add('10.0.0.0/9');
    expect(set.size).toBe(2);
    expect(set.delete('::ffff:10.0.0.0/104')).toBe(true);
    expect(set.delete('10.0.0.0/8')).toBe(false);
    expect([set.has('10.1.0.1'), set.has('10.200.0.1'), set.size]).toEqual([true, false, 1]);
    expect(set.delete('10.0.0.0/9')).toBe(true);
    expect([set.has('10.1.0.1'), set.size]).toEqual([false, 0]);
  });

  test('answers as a comparison bit by bit, through additions and deletions', () => {
    // Few bits vary, so that networks lie in one another and addresses in networks.
    const bits = (family: 4 | 6) =>
      fc
        .tuple(fc.constantFrom(0, 5, 30, family === 4 ? 30 : 100), fc.nat(15))
        .map(([at, nibble]) =>
          Array.from({ length: family === 4 ? 32 : 128 }, (_, i) =>
            i >= at && i < at + 4 ? (nibble >> (i - at)) & 1 : 0,
          ),
        );
    const host = fc.constantFrom<4 | 6>(4, 6).chain(bits);
    const network = fc.tuple(host, fc.nat(128)).map(([all, length]) => ({
      all: all.map((bit, i) => (i < length ? bit : 0)),
      length: Math.min(length, all.length),
    }));
    fc.assert(
      fc.property(fc.array(network, { maxLength: 8 }), fc.array(fc.nat(7)), fc.array(host), (networks, gone, hosts) => {
        const set = new NetworkSet();
        for (const one of networks) set.add(`${written(one.all)}/${one.length}`);
        const left = new Map(networks.map((one) => [`${one.all.join('')}/${one.length}`, one]));
        for (const one of gone.flatMap((i) => networks[i] ?? [])) {
          expect(set.delete(`${written(one.all)}/${one.length}`)).toBe(
            left.delete(`${one.all.join('')}/${one.length}`),
          );
        }
        expect(set.size).toBe(left.size);
        for (const address of [...hosts, ...networks.map(({ all }) => all)]) {
          const expected = [...left.values()].some(
            ({ all, length }) =>
              all.length === address.length && all.every((bit, i) => i >= length || bit === address[i]),
          );
          expect(set.has(written(address))).toBe(expected);
        }
      }),
    );
  });

  test('finds the most specific network whose value counts', () => {
    const map = new NetworkMap<number>();
    for (const [i, one] of ['10.0.0.0/8', '10.1.2.3', '10.1.0.0/16'].entries()) map.set(parseNetwork(one, ''), i);
    expect(map.find('10.1.2.3')).toBe(1);
    expect(map.find('10.1.2.3', (value) => value !== 1)).toBe(2);
    expect(map.find('10.2.2.3')).toBe(0);
    expect(map.find('10.2.2.3', () => false)).toBeUndefined();
  });
});

/** Eight groups, or four parts, of an address given as bits. */
function written(bits: readonly number[]): string {
  const width = bits.length === 32 ? 8 : 16;
  const groups = Array.from({ length: bits.length / width }, (_, i) => bits.slice(i * width, (i + 1) * width));
  return groups
    .map((group) => Number.parseInt(group.join(''), 2).toString(width === 8 ? 10 : 16))
    .join(width === 8 ? '.' : ':');
}
