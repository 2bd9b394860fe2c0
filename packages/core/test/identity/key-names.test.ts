import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ipKey } from '../../src/identity/address.ts';
import { KeyNames } from '../../src/identity/key-names.ts';
import { reader } from '../http/exchange.ts';
import { keyOfSecret } from './canonicaliser.ts';

const names = new KeyNames(reader.digest, 64);
const digestOf = (text: string) => `#${reader.digest(text)}`;

test.each([
  ['api-key:secret', keyOfSecret],
  ['api-key:{odd} secret', `api-key:${digestOf('{odd} secret')}`],
  ['user:42', 'user:42'],
  ['user:bob smith', `user:${digestOf('bob smith')}`],
  [`user:${'u'.repeat(64)}`, `user:${'u'.repeat(64)}`],
  [`user:${'u'.repeat(65)}`, `user:${digestOf('u'.repeat(65))}`],
  ['203.0.113.7', 'ip:203.0.113.7'],
  ['ip:203.0.113.7', 'ip:203.0.113.7'],
  ['::ffff:203.0.113.7', 'ip:203.0.113.7'],
  ['64:ff9b::203.0.113.7', 'ip:203.0.113.7'],
  ['2001:db8:1:2:3::9', 'ip:2001:db8:1:2::/64'],
  ['ip:2001:DB8:1:2:3::9', 'ip:2001:db8:1:2::/64'],
  ['fe80::1%eth0', 'ip:fe80::/64'],
  ['fd00::1', 'ip:fd00::/64'],
  ['::1', 'ip:::/64'],
  ['ip:12::34', 'ip:12::/64'],
  ['ip:2001:db8:1:2::/64', 'ip:2001:db8:1:2::/64'],
  ['ip:2001:db8:1::/48', 'ip:2001:db8:1::/48'],
  ['2001:db8:1:2::/64', 'ip:2001:db8:1:2::/64'],
  ['tenant:7', 'tenant:7'],
  ['ip:invalid', 'ip:invalid'],
])('a key function that returns %j means the client %s, and so does an operator who writes it', (text, key) => {
  expect(names.of(text)).toBe(key);
  expect(names.of([text])).toBe(text === 'tenant:7' ? names.of(['tenant:7']) : key);
  expect(names.canonical(text)).toBe(key);
});

test.each([
  'ip:2001:DB8::/64',
  'ip:2001:db8::1/64',
  'ip:2001:db8::/064',
  'ip:2001:db8::/129',
  'ip:2001:db8::/128',
  'ip:2001:db8::/0',
  'ip:2001:db8:0:0::/64',
  'ip:::ffff:0:0/96',
  'ip:::ffff:1.2.3.0/120',
  'ip:10.0.0.0/8',
  'ip:2001:db8::/64\n',
  'ip:2001:db8::/64 x',
  'ip: 203.0.113.7',
  'ip:{a}',
  '/64',
  'ip:/64',
])('%j is no network as ipKey writes it, and reaches a store as a digest only', (text) => {
  expect(names.of(text)).toBe(digestOf(text));
  expect(names.canonical(text)).toBe(digestOf(text));
});

test.each([
  '12::34',
  '12::35',
  '1:2:3:4:5:6:7:8',
  '203.0.113.7:42',
  '010.0.0.1',
  'ip:203.0.113.7:42',
  'a::b',
  'ff02::1',
])('%j is taken for parts that were joined rather than for an address that no client has', (text) => {
  expect(names.of(text)).toBe(text);
});

test('what ipKey returns is kept, whatever the prefix', () => {
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), fc.integer({ min: 32, max: 127 }), (address, prefix) => {
      const key = ipKey(address, prefix);
      expect(names.of(key)).toBe(key);
    }),
  );
});

test('the address of a client is one key, by whatever way it comes', () => {
  const wide = new KeyNames(reader.digest, 48);
  const single = new KeyNames(reader.digest, 128);
  expect(wide.of('2001:db8:1:2::9')).toBe('ip:2001:db8:1::/48');
  expect(single.of('2001:0db8:1:2::9')).toBe('ip:2001:db8:1:2::9');
});

describe('digests', () => {
  const shown = [digestOf('bob smith'), `user:${digestOf('bob smith')}`, keyOfSecret];

  test.each(shown)('an operator can write %s as a decision shows it', (key) => {
    expect(names.canonical(key)).toBe(key);
    expect(names.canonical(names.canonical(key))).toBe(key);
  });

  test.each(shown)('a client that sends %s is somebody else', (key) => {
    expect(names.of(key)).not.toBe(key);
  });

  test('what only begins like one is a name like any other', () => {
    for (const name of ['api-key:#short', 'user:#short', '#short', `api-key:#${'x'.repeat(23)}`, 'x:#y']) {
      expect(names.canonical(name)).toBe(names.of(name));
      expect(names.of(name)).toMatch(/^(?:api-key:|user:)?#[\w-]{22}$/);
    }
  });
});

test.each([
  [['tenant', '7'], 'tenant:7'],
  [['user', 'bob smith'], names.of('user:bob smith')],
  [['user', 'a:b'], 'user:a:b'],
  [['api-key', 'secret'], keyOfSecret],
  [['ip', '2001:db8::9'], 'ip:2001:db8::/64'],
  [['x', 'y', '2001:db8::9'], names.canonical(['x', 'y', '2001:db8::9'])],
])('the parts %j are the key %s', (parts, key) => {
  expect(names.of(parts)).toBe(key);
  expect(names.canonical(parts)).toBe(key);
});

test.each([
  [['user', 'a', 'b'], 'user:a:b'],
  [['ip', 'a', 'b'], 'ip:a:b'],
  [['2001', 'db8', '1', '2', '3', '4', '5', '6'], '2001:db8:1:2:3:4:5:6'],
  [['ip', '2001', 'db8', '1', '2', '3', '4', '5', '6'], 'ip:2001:db8:1:2:3:4:5:6'],
  [
    ['2001', 'db8', '1', '2', '3', '4', '5', '6'],
    ['2001', 'db8', '1', '2', '3', '4', '5', '7'],
  ],
  [['a', 'b:c'], JSON.stringify(['a', 'b:c'])],
  [['a', 'b:c'], reader.digest(JSON.stringify(['a', 'b:c']))],
  [['a:b'], ['a', 'b']],
  [
    ['a:b', 'c'],
    ['a', 'b:c'],
  ],
  ['a\ud800', 'a\ud801'],
  ['user:\ud800', 'user:\ufffd'],
])('%j and %j are two clients', (one, other) => {
  expect(names.of(one)).not.toBe(names.of(other));
});

test.each([
  [[]],
  [['a', '']],
  [['a', undefined]],
  [['a', ['b']]],
  [''],
  [undefined],
  [7],
  [true],
  [Promise.resolve('a')],
])('%j names nobody, and is an error', (name) => {
  expect(() => names.of(name)).toThrow(expect.objectContaining({ code: 'INVALID_KEY' }));
  expect(() => names.canonical(name as string)).toThrow(expect.objectContaining({ code: 'INVALID_KEY' }));
});

describe('whatever a client writes', () => {
  const piece = fc.constantFrom(
    'api-key',
    'user',
    'ip',
    'a',
    'b',
    '1',
    ':',
    '::',
    '#',
    '/64',
    '"',
    '[',
    ',',
    '\\',
    ' ',
    '\ud800',
  );
  const hostile = fc.oneof(
    fc.array(piece, { minLength: 1, maxLength: 7 }).map((pieces) => pieces.join('')),
    fc.string({ minLength: 1, unit: 'binary' }),
  );
  /** Texts that say what they are may say it in several ways; see the examples above. */
  const plain = hostile.filter((text) => !/^(?:api-key|user|ip):/.test(text) && !/^[\da-f:]+(?:\/64)?$/.test(text));

  test('no two lists are taken for one another', () => {
    const lists = fc
      .array(plain, { minLength: 1, maxLength: 3 })
      .filter(([first]) => !/^(?:user|ip|api-key)$/.test(first!));
    fc.assert(
      fc.property(lists, lists, (one, other) => {
        expect(names.of(one) === names.of(other)).toBe(JSON.stringify(one) === JSON.stringify(other));
      }),
      { numRuns: 2000 },
    );
  });

  test('no two texts are taken for one another, nor users, nor API keys', () => {
    fc.assert(
      fc.property(plain, plain, fc.constantFrom('', 'user:', 'api-key:'), (one, other, kind) => {
        expect(names.of(kind + one) === names.of(kind + other)).toBe(one === other);
      }),
      { numRuns: 2000 },
    );
  });

  test('a text and a list are one client only if joining the parts gives the text', () => {
    fc.assert(
      fc.property(plain, fc.array(plain, { minLength: 2, maxLength: 3 }), (text, parts) => {
        if (names.of(text) === names.of(parts)) expect(parts.join(':')).toBe(text);
        expect(names.of(JSON.stringify(parts))).not.toBe(names.of(parts));
      }),
    );
  });

  test('a store sees short plain keys, and an operator finds the client by the same name or by that key', () => {
    const names2 = new KeyNames(reader.digest, 64);
    fc.assert(
      fc.property(fc.oneof(hostile, fc.array(hostile, { minLength: 1 })), (name) => {
        const key = names2.of(name);
        expect(key).toMatch(/^(?:[\w.:@-]{1,69}|(?:api-key:|user:)?#[\w-]{22}|ip:[\da-f:]+\/\d+)$/);
        expect(names.canonical(key)).toBe(key);
        // What looks like a digest is one where an operator writes it.
        if (typeof name !== 'string' || !/#[\w-]{22}$/.test(name)) expect(names.canonical(name)).toBe(key);
      }),
      { numRuns: 1000 },
    );
  });

  test('no API key is seen that was marked as one', () => {
    const secret = fc.stringMatching(/^[\w#:.-]{8,40}$/);
    fc.assert(
      fc.property(secret, fc.array(hostile, { maxLength: 2 }), (secret, more) => {
        const written = [
          `api-key:${secret}`,
          ['api-key', secret],
          ['tenant', 'api-key', secret],
          ['user', `api-key:${secret}`],
          `tenant:api-key:${secret}`,
          [`api-key:${secret}`],
          [...more, 'api-key', secret],
        ];
        for (const name of [...written, ['api-key', secret, ...more], [...more, `api-key:${secret}`]]) {
          expect(names.of(name)).toMatch(/^(?:api-key:|user:)?#[\w-]{22}$/);
        }
        expect(names.of(`api-key:${secret}`)).toBe(`api-key:${digestOf(secret)}`);
      }),
    );
  });
});
