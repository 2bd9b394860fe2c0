import { expect, test } from 'vitest';
import { ipKey, neighbourhood } from '../../src/identity/address.ts';

test.each([
  ['203.0.113.7', '203.0.113.7'],
  ['203.0.113.7:52100', '203.0.113.7'],
  ['0.0.0.0', '0.0.0.0'],
  ['::ffff:1.2.3.4', '1.2.3.4'],
  ['::FFFF:1.2.3.4', '1.2.3.4'],
  ['::ffff:102:304', '1.2.3.4'],
  ['0:0:0:0:0:ffff:102:304', '1.2.3.4'],
  ['[::ffff:1.2.3.4]:443', '1.2.3.4'],
  ['64:ff9b::1.2.3.4', '1.2.3.4'],
  ['64:ff9b::102:304', '1.2.3.4'],
])('%s is the IPv4 address %s', (address, group) => {
  expect(neighbourhood(address, 64)).toEqual({ group, wider: undefined });
});

test.each([
  ['::1', '::/64', '::/48'],
  ['2001:db8:1:2::', '2001:db8:1:2::/64', '2001:db8:1::/48'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64', '2001:db8:1::/48'],
  ['2001:DB8:1:2:ABCD::1', '2001:db8:1:2::/64', '2001:db8:1::/48'],
  ['2001:0db8:0001:0002:0000:0000:0000:0001', '2001:db8:1:2::/64', '2001:db8:1::/48'],
  ['[2001:db8:1:2::9]', '2001:db8:1:2::/64', '2001:db8:1::/48'],
  ['[2001:db8:1:2::9]:52100', '2001:db8:1:2::/64', '2001:db8:1::/48'],
  ['fe80::1%eth0', 'fe80::/64', 'fe80::/48'],
  ['fe80::2%25en1', 'fe80::/64', 'fe80::/48'],
  ['[fe80::3%eth0]:80', 'fe80::/64', 'fe80::/48'],
])('%s belongs to %s, inside %s', (address, group, wider) => {
  expect(neighbourhood(address, 64)).toEqual({ group, wider });
});

test.each([
  '',
  'unknown',
  'localhost',
  '010.0.0.1',
  '0x7f.1',
  '127.1',
  '2130706433',
  '1.2.3.256',
  '1.2.3',
  '1.2.3.4.5',
  '1.2.3.4%eth0',
  ' 1.2.3.4',
  '1.2.3.4:port',
  '[1.2.3.4',
  '2001:db8',
  '2001:db8::1::2',
  '12345::',
  '[2001:db8::1',
  '::ffff:1.2.3.256',
  '_hidden',
  '{a}',
  '\u0661.2.3.4',
  'x'.repeat(10_000),
])('%j is no address, and one and the same client with all that are none', (address) => {
  expect(neighbourhood(address, 64)).toEqual({ group: 'invalid', wider: undefined });
});

test('the size of a group can be chosen', () => {
  const address = '2001:db8:1:2:3:4:5:6';
  expect(neighbourhood(address, 128)).toEqual({ group: '2001:db8:1:2:3:4:5:6', wider: '2001:db8:1::/48' });
  expect(neighbourhood(address, 56)).toEqual({ group: '2001:db8:1::/56', wider: '2001:db8:1::/48' });
  expect(neighbourhood('2001:db8:1:1ff::', 56).group).toBe('2001:db8:1:100::/56');
  expect(neighbourhood(address, 48)).toEqual({ group: '2001:db8:1::/48', wider: undefined });
  expect(neighbourhood(address, 32)).toEqual({ group: '2001:db8::/32', wider: undefined });
  expect(neighbourhood('1.2.3.4', 32).group).toBe('1.2.3.4');
});

test('ipKey names a client as a limiter without a key function does', () => {
  expect(ipKey('::ffff:1.2.3.4')).toBe('ip:1.2.3.4');
  expect(ipKey('2001:db8:1:2:3:4:5:6')).toBe('ip:2001:db8:1:2::/64');
  expect(ipKey('2001:db8:1:2:3:4:5:6', 48)).toBe('ip:2001:db8:1::/48');
});

test.each([undefined, ''])('ipKey of %j is nobody, and an error', (address) => {
  expect(() => ipKey(address)).toThrow(expect.objectContaining({ code: 'NO_IDENTITY' }));
});
