import { ManualClock } from '@sluice/testing';
import { describe, expect, test } from 'vitest';
import { Overrides } from '../../src/identity/overrides.ts';
import { canonicaliser, keyOfSecret } from './canonicaliser.ts';

const attached = (entries: ConstructorParameters<typeof Overrides>[0]) => {
  const overrides = new Overrides(entries);
  overrides.attach(canonicaliser());
  return overrides;
};
const compiled = (overrides: Overrides, key: string) =>
  overrides.find(key)?.map(({ id, name, limit }) => ({ id, name, limit }));

test('the limits of a key are policies of their own', () => {
  const overrides = attached({
    'user:42': '5000/1h',
    'tenant-7': ['10/1s', { limit: 100, window: '1m', algorithm: 'fixed-window' }],
  });
  expect(compiled(overrides, 'user:42')).toEqual([
    { id: 'sliding-window-counter:override', name: 'override', limit: 5000 },
  ]);
  expect(compiled(overrides, 'tenant-7')).toEqual([
    { id: 'sliding-window-counter:override-1s', name: 'override-1s', limit: 10 },
    { id: 'fixed-window:override-1m', name: 'override-1m', limit: 100 },
  ]);
  expect(overrides.find('user:43')).toBeUndefined();
  expect(overrides.find('user:42')).toBe(overrides.find('user:42'));
});

test.each([
  ['api-key:secret', keyOfSecret],
  [keyOfSecret, keyOfSecret],
  ['203.0.113.7', 'ip:203.0.113.7'],
  ['ip:203.0.113.7', 'ip:203.0.113.7'],
  ['::ffff:203.0.113.7', 'ip:203.0.113.7'],
  ['203.0.113.7/32', 'ip:203.0.113.7'],
  ['2001:db8:1:2:3::9', 'ip:2001:db8:1:2::/64'],
  ['2001:db8:1:2::/64', 'ip:2001:db8:1:2::/64'],
  ['ip:2001:DB8:1:2::/64', 'ip:2001:db8:1:2::/64'],
  ['user:42', 'user:42'],
  ['12:34', '12:34'],
])('%s is what a store knows as %s, before the limiter is made and after', (key, storeKey) => {
  expect(attached({ [key]: '7/1m' }).find(storeKey)?.[0]?.limit).toBe(7);
  const overrides = attached({}).set(key, '7/1m');
  expect(overrides.find(storeKey)?.[0]?.limit).toBe(7);
  expect([overrides.has(key), overrides.has(storeKey), overrides.size]).toEqual([true, true, 1]);
  expect([...overrides]).toEqual([[key, { limits: '7/1m', until: undefined }]]);
  expect([overrides.delete(storeKey), overrides.find(storeKey)]).toEqual([true, undefined]);
});

test('a second limiter converts nothing again', () => {
  const overrides = attached({ 'api-key:secret': '7/1m' });
  overrides.attach((key) => `other:${key}`);
  expect(overrides.find(keyOfSecret)?.[0]?.limit).toBe(7);
  expect(overrides.set('user:42', '8/1m').find('user:42')?.[0]?.limit).toBe(8);
});

describe('what cannot work throws at once', () => {
  const overrides = attached({ 'user:42': '7/1m' });

  test.each([
    ['user:1', '100/1x', 'INVALID_WINDOW', 'Overrides: "user:1"'],
    ['user:1', { limit: '10', window: '1m' }, 'INVALID_POLICY', 'write Number'],
    ['user:1', { max: 10, window: '1m' }, 'UNKNOWN_OPTION', 'Overrides: "user:1"'],
    ['user:1', [], 'INVALID_POLICY', 'at least one policy'],
    ['user:1', undefined, 'INVALID_OPTION', 'Overrides: "user:1"'],
    ['user:1', ['1/1m', '2/1m'], 'DUPLICATE_POLICY', 'Overrides: "user:1"[1]'],
    ['api-key:hunter2', '100/1x', 'INVALID_WINDOW', 'Overrides: "api-key:…"'],
    ['', '1/1m', 'INVALID_OPTION', 'Overrides takes an address'],
    ['10.0.0.0/8', '1/1m', 'INVALID_OPTION', '"10.0.0.0/8" is a range, and limits are of single keys'],
    ['2001:db8::/32', '1/1m', 'INVALID_OPTION', 'the network that they are counted by, "ip:2001:db8::/64"'],
    ['10.0.0.5/8', '1/1m', 'INVALID_OPTION', 'write the one you mean'],
    ['10.0.0.1:80', '1/1m', 'INVALID_OPTION', 'without a port'],
  ])('%s: %j', (key, limits, code, message) => {
    expect(() => overrides.set(key, limits as never)).toThrow(expect.objectContaining({ code }));
    expect(() => overrides.set(key, limits as never)).toThrow(message);
    expect([...overrides]).toEqual([['user:42', { limits: '7/1m', until: undefined }]]);
  });

  test('also for a network that the limiter does not count by', () => {
    const early = new Overrides({ 'api-key:secret': '1/1m', '2001:db8::/48': '7/1m' });
    expect(() => early.attach(canonicaliser(64))).toThrow('counted by, "ip:2001:db8::/64"');
    expect(early.size).toBe(2);
    early.attach(canonicaliser(48));
    expect(early.find('ip:2001:db8::/48')?.[0]?.limit).toBe(7);
    expect(early.find(keyOfSecret)?.[0]?.limit).toBe(1);
  });

  test('and for options', () => {
    expect(() => new Overrides(['5/1m'] as never)).toThrow('Overrides takes limits by key, like');
    expect(() => new Overrides(null as never)).toThrow('Overrides takes limits by key, like');
    expect(() => new Overrides({}, { clok: 1 } as never)).toThrow('Did you mean "clock"?');
    expect(() => overrides.set('user:1', '1/1m', { expiresIn: 0 })).toThrow(
      expect.objectContaining({ code: 'INVALID_WINDOW' }),
    );
    expect(() => overrides.set('user:1', '1/1m', { ttl: 0 } as never)).toThrow('has no option "ttl"');
  });
});

test('limits with an expiry are there until the microsecond', () => {
  const clock = new ManualClock();
  const overrides = new Overrides({ 'user:1': '1/1m' }, { clock }).set('user:42', '7/1m', { expiresIn: '1h' });
  const override = { limits: '7/1m', until: Date.UTC(2026, 0, 1, 1) };
  clock.advance(3_600_000 - 0.001);
  expect(overrides.find('user:42')).toHaveLength(1);
  expect(overrides.get('user:42')).toEqual(override);
  expect([...overrides]).toContainEqual(['user:42', override]);
  clock.advance(0.001);
  expect(overrides.find('user:42')).toBeUndefined();
  expect([overrides.get('user:42'), overrides.has('user:42'), overrides.delete('user:42')]).toEqual([
    undefined,
    false,
    false,
  ]);
  expect([...overrides].map(([key]) => key)).toEqual(['user:1']);
  expect(overrides.size).toBe(1);
  expect(clock.pending).toBe(0);
});

test('setting a key again replaces its limits and its expiry', () => {
  const clock = new ManualClock();
  const overrides = new Overrides({}, { clock }).set('user:42', '7/1m', { expiresIn: 1 }).set('user:42', ['8/1m']);
  clock.advance(10);
  expect(overrides.find('user:42')?.[0]?.limit).toBe(8);
  expect(overrides.get('user:42')).toEqual({ limits: ['8/1m'], until: undefined });
});
