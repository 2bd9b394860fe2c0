import { ManualClock } from '@sluice/testing';
import { describe, expect, test } from 'vitest';
import { AccessList } from '../../src/identity/access-list.ts';
import { canonicaliser, keyOfSecret } from './canonicaliser.ts';

const attached = (...entries: string[]) => {
  const list = new AccessList(entries);
  list.attach(canonicaliser());
  return list;
};
const written = (list: AccessList) => [...list].map(({ entry }) => entry);

describe('an entry', () => {
  test.each([
    ['203.0.113.7', '203.0.113.7', true],
    ['203.0.113.7', '::ffff:203.0.113.7', true],
    ['203.0.113.7', '::ffff:cb00:7107', true],
    ['203.0.113.7', '203.0.113.8', false],
    ['ip:203.0.113.7', '203.0.113.7', true],
    ['ip:10.0.0.0/8', '10.1.2.3', true],
    ['::ffff:203.0.113.7', '203.0.113.7', true],
    ['203.0.113.0/24', '203.0.113.255', true],
    ['203.0.113.0/24', '203.0.114.0', false],
    ['2001:db8::1', '2001:db8::1', true],
    ['2001:db8::1', '2001:DB8:0:0::1', true],
    ['2001:db8::1', '2001:db8::2', false],
    ['2001:db8::/64', '2001:db8::2', true],
    ['::1', '::1', true],
    ['fe80::1', 'fe80::1%eth0', true],
    ['203.0.113.7', 'unknown', false],
    ['user:42', '203.0.113.7', false],
  ])('%s names the client at %s: %s', (entry, address, names) => {
    const found = attached('192.0.2.0/24', 'user:1', entry).find([], address);
    expect(found).toEqual(names ? { entry, until: undefined } : undefined);
  });

  test.each([
    ['user:42', 'user:42', true],
    ['user:42', 'user:4', false],
    ['user:42', 'user:42x', false],
    ['api-key:secret', keyOfSecret, true],
    [keyOfSecret, keyOfSecret, true],
    ['api-key:secret', 'api-key:secret', false],
    ['tenant-7', 'tenant-7', true],
    ['12:34', '12:34', true],
    ['42', '42', true],
    ['beef', 'beef', true],
    ['550e8400-e29b-41d4-a716-446655440000', '550e8400-e29b-41d4-a716-446655440000', true],
    ['203.0.113.7:alice', '203.0.113.7:alice', true],
    ['203.0.113.7', 'ip:203.0.113.7', false],
  ])('%s names the store key %s: %s', (entry, key, names) => {
    const found = attached('192.0.2.0/24', 'user:1', entry).find(['user:0', key], undefined);
    expect(found?.entry).toBe(names ? entry : undefined);
  });

  test('that is a key goes before one that is an address, and a narrow range before a wide one', () => {
    const list = attached('10.0.0.0/8', '10.1.0.0/16', 'user:42');
    expect(list.find(['user:42'], '10.1.2.3')?.entry).toBe('user:42');
    expect(list.find(['user:43'], '10.1.2.3')?.entry).toBe('10.1.0.0/16');
    expect(list.find([], '10.2.2.3')?.entry).toBe('10.0.0.0/8');
  });
});

test('an empty list names nobody', () => {
  expect(attached().find(['user:42'], '203.0.113.7')).toBeUndefined();
  expect(attached().find([], undefined)).toBeUndefined();
});

test.each([
  '10.0.0.5/8',
  '10.0.0.0/33',
  '300.1.1.1',
  '10.0.0',
  '10.0.0.*',
  '10.0.0.1-10.0.0.9',
  '10.0.0.0/255.0.0.0',
  '10.0.0.0/abc',
  '1.2.3.4:80',
  '1.2.3.4%eth0',
  'fe80::1%eth0',
  '[::1]',
  '[::1]:80',
  '2001:db8::1::',
  '2001:db8/32',
  '2001:db8::/129',
  'ip:localhost',
  'ip:',
  'ip:2001:db8::1/64',
  '',
  ' 10.0.0.1',
  '10.0.0.1\r',
  'user:42 ',
  42,
  null,
  undefined,
])('%j is refused, since it would match nobody', (entry) => {
  expect(() => new AccessList([entry as string])).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }));
  const list = new AccessList();
  expect(() => list.add(entry as string)).toThrow(/^AccessList/);
  expect(() => list.has(entry as string)).toThrow(/^AccessList/);
  expect(() => list.delete(entry as string)).toThrow(/^AccessList/);
  expect(list.size).toBe(0);
});

test('a secret is not shown in a message', () => {
  expect(() => new AccessList(['api-key:hunter2 '])).toThrow('got "api-key:…"');
  expect(() => new AccessList().add('api-key:hunter2', { expiresIn: 0 })).toThrow(/add\("api-key:…"\)/);
});

test.each([['10.0.0.1'], [{}], [42], [null]])('%j is no list of entries', (entries) => {
  expect(() => new AccessList(entries as never)).toThrow('AccessList takes a list, like');
});

test('options are checked', () => {
  expect(() => new AccessList([], { clocks: 1 } as never)).toThrow('Did you mean "clock"?');
  expect(() => new AccessList([], { clock: Date } as never)).toThrow("AccessList: 'clock' needs");
  expect(() => new AccessList().add('user:1', { expiresIn: '1 hour' as never })).toThrow(
    expect.objectContaining({ code: 'INVALID_WINDOW' }),
  );
  expect(() => new AccessList().add('user:1', { expires: '1h' } as never)).toThrow('Did you mean "expiresIn"?');
});

describe('at run time', () => {
  test('entries come and go', () => {
    const list = attached('user:42', '10.0.0.0/8');
    expect(list.add('203.0.113.7')).toBe(list);
    expect([list.size, list.find([], '203.0.113.7')?.entry]).toEqual([3, '203.0.113.7']);
    expect([list.delete('203.0.113.7'), list.delete('203.0.113.7')]).toEqual([true, false]);
    expect(list.find([], '203.0.113.7')).toBeUndefined();
    expect([list.delete('user:42'), list.find(['user:42'], undefined)]).toEqual([true, undefined]);
    expect(written(list)).toEqual(['10.0.0.0/8']);
    list.clear();
    expect([list.size, written(list), list.find([], '10.0.0.1')]).toEqual([0, [], undefined]);
    expect(list.add('user:42').find(['user:42'], undefined)?.entry).toBe('user:42');
  });

  test('an entry is listed once, whatever its spelling, and iterates as last written', () => {
    const list = attached('::ffff:10.0.0.1', '10.0.0.1', 'ip:10.0.0.1/32', 'api-key:secret', keyOfSecret);
    expect(written(list)).toEqual(['ip:10.0.0.1/32', keyOfSecret]);
    expect(list.size).toBe(2);
    expect([list.has('::ffff:a00:1'), list.has('api-key:secret'), list.has('10.0.0.2')]).toEqual([true, true, false]);
    expect(list.delete('api-key:secret')).toBe(true);
    expect(list.find([keyOfSecret], undefined)).toBeUndefined();
  });

  test('has and delete mean the very entry, not what it lies in', () => {
    const list = attached('10.0.0.0/8');
    expect([list.has('10.0.0.1'), list.delete('10.0.0.1'), list.has('10.0.0.0/8')]).toEqual([false, false, true]);
  });
});

describe('a list of several limiters', () => {
  test('knows entries from before and after it belonged to the first', () => {
    const list = new AccessList(['api-key:secret']);
    expect(list.find([keyOfSecret], undefined)).toBeUndefined();
    list.attach(canonicaliser());
    expect(list.find([keyOfSecret], undefined)).toEqual({ entry: 'api-key:secret', until: undefined });
    expect(list.delete('api-key:secret')).toBe(true);
    expect(list.add('api-key:secret').find([keyOfSecret], undefined)?.entry).toBe('api-key:secret');
    expect(written(list)).toEqual(['api-key:secret']);
  });

  test('is not converted a second time', () => {
    const list = attached('api-key:secret');
    list.attach((entry) => `other:${entry}`);
    list.add('user:42');
    expect(list.find([keyOfSecret], undefined)?.entry).toBe('api-key:secret');
    expect(list.find(['user:42'], undefined)?.entry).toBe('user:42');
  });

  test('keeps the expiry of entries that it is attached with', () => {
    const clock = new ManualClock();
    const list = new AccessList([], { clock }).add('api-key:secret', { expiresIn: '1m' });
    list.attach(canonicaliser());
    expect(list.find([keyOfSecret], undefined)?.until).toBe(Date.UTC(2026, 0, 1, 0, 1));
    clock.advance(60_000);
    expect(list.find([keyOfSecret], undefined)).toBeUndefined();
  });
});

describe('an entry that expires', () => {
  test.each([
    ['203.0.113.7', [], '203.0.113.7'],
    ['203.0.113.0/24', [], '203.0.113.7'],
    ['user:42', ['user:42'], undefined],
  ])('%s is there until the microsecond, and then as if it had never been', (entry, keys, address) => {
    const clock = new ManualClock();
    const list = new AccessList([], { clock }).add(entry, { expiresIn: '15m' });
    clock.advance(900_000 - 0.001);
    const there = { entry, until: Date.UTC(2026, 0, 1, 0, 15) };
    expect(list.find(keys, address)).toEqual(there);
    expect([...list]).toEqual([there]);
    expect([list.size, list.has(entry)]).toEqual([1, true]);
    clock.advance(0.001);
    expect(list.find(keys, address)).toBeUndefined();
    expect([...list]).toEqual([]);
    expect([list.has(entry), list.delete(entry), list.size]).toEqual([false, false, 0]);
  });

  test('leaves the wider range around it', () => {
    const clock = new ManualClock();
    const list = new AccessList(['10.0.0.0/8'], { clock }).add('10.1.2.3', { expiresIn: 1 });
    expect(list.find([], '10.1.2.3')?.entry).toBe('10.1.2.3');
    clock.advance(1);
    expect(list.find([], '10.1.2.3')?.entry).toBe('10.0.0.0/8');
  });

  test('is renewed, or made to last, by adding it again', () => {
    const clock = new ManualClock();
    const list = new AccessList([], { clock }).add('10.0.0.1', { expiresIn: 10 }).add('user:42', { expiresIn: 10 });
    clock.advance(5);
    list.add('10.0.0.1', { expiresIn: 10 }).add('user:42');
    clock.advance(5);
    expect(written(list)).toEqual(['10.0.0.1', 'user:42']);
    clock.advance(5);
    expect(list.find([], '10.0.0.1')).toBeUndefined();
    clock.advance(1_000_000);
    expect(list.find(['user:42'], undefined)).toEqual({ entry: 'user:42', until: undefined });
    expect(clock.pending).toBe(0);
  });
});
