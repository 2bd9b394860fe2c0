import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KeyHash } from '../../src/memory/key-hash.ts';

const secret = Uint32Array.of(0x0706_0504, 0x0f0e_0d0c);

function print(key: string, number = 0, hash = new KeyHash(secret)): bigint {
  hash.hash(key, number);
  return (BigInt(hash.high >>> 0) << 32n) | BigInt(hash.low >>> 0);
}

/** How many of the values occur more than once. */
function repeated(values: BigUint64Array | Uint32Array): number {
  values.sort();
  let count = 0;
  for (let i = 1; i < values.length; i++) if (values[i] === values[i - 1]) count++;
  return count;
}

describe('the fingerprint of a key', () => {
  it('is the same for the same key, number and secret', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.nat(), (key, number) => {
        expect(print(key, number)).toBe(print(key, number));
      }),
    );
  });

  it('does not depend on what was hashed before', () => {
    const hash = new KeyHash(secret);
    print('something else', 7, hash);
    expect(print('alice', 0, hash)).toBe(print('alice'));
  });

  it('differs between any two keys', () => {
    const keys = fc.string({ unit: 'binary', maxLength: 40 });
    fc.assert(
      fc.property(keys, keys, (one, other) => {
        fc.pre(one !== other);
        expect(print(one)).not.toBe(print(other));
      }),
      { numRuns: 2_000 },
    );
  });

  it('depends on the number, and does not confuse it with the key', () => {
    expect(print('alice', 0)).not.toBe(print('alice', 1));
    const inKey = String.fromCharCode(1, 0);
    const prints = [print('', 1), print(inKey, 0), print(inKey, 1), print(inKey + inKey, 0), print('', 0)];
    expect(new Set(prints).size).toBe(prints.length);
  });

  it('depends on the length, whether it is zero, odd or even', () => {
    const keys = Array.from({ length: 100 }, (_, length) => '\0'.repeat(length));
    keys.push(...Array.from({ length: 100 }, (_, length) => 'a'.repeat(length + 1)));
    expect(new Set(keys.map((key) => print(key))).size).toBe(keys.length);
  });

  it('depends on where each character stands', () => {
    const keys = ['ab', 'ba', 'a\0b', 'ab\0', '\0ab', 'abc', 'acb', 'a:bc', 'ab:c', 'abc:', ':abc', 'bca', 'cab'];
    expect(new Set(keys.map((key) => print(key))).size).toBe(keys.length);
  });

  it('tells characters beyond ASCII apart, and those beyond 16 bits', () => {
    const keys = [
      'a',
      'á',
      'a\u0301',
      'ā',
      'š',
      'Š',
      'š',
      '测',
      '试',
      '\u{1F600}',
      '\u{1F601}',
      '\ud83d',
      '\ude00',
      '\uffff',
    ];
    const distinct = new Set(keys);
    expect(new Set([...distinct].map((key) => print(key))).size).toBe(distinct.size);
  });

  it('is another under another secret', () => {
    const others = [Uint32Array.of(0, 0), Uint32Array.of(1, 0), Uint32Array.of(0, 1), Uint32Array.of(2 ** 31, 0)];
    const prints = [secret, ...others].map((words) => print('alice', 0, new KeyHash(words)));
    expect(new Set(prints).size).toBe(prints.length);
    // Drawn at random where none is given: two alike are one chance in 2^64.
    expect(print('alice', 0, new KeyHash())).not.toBe(print('alice', 0, new KeyHash()));
  });

  it('does not collide over a million similar keys, and either half of it spreads evenly', () => {
    const hash = new KeyHash(secret);
    const count = 1_000_000;
    const prints = new BigUint64Array(count);
    const words = new Uint32Array(prints.buffer);
    const lows = new Uint32Array(count);
    const highs = new Uint32Array(count);
    for (let i = 0; i < count; i++) {
      hash.hash(`ip:10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`, 0);
      words[2 * i] = lows[i] = hash.low;
      words[2 * i + 1] = highs[i] = hash.high;
    }
    expect(repeated(prints)).toBe(0);
    // Of a million even numbers below 2^32, about 116 meet another.
    for (const half of [lows, highs]) {
      const met = repeated(half);
      expect(met).toBeGreaterThan(60);
      expect(met).toBeLessThan(180);
    }
  });

  it('changes about half of its bits with any one bit of the key', () => {
    let changed = 0;
    let flips = 0;
    for (let at = 0; at < 12; at++) {
      for (let bit = 0; bit < 16; bit++) {
        const codes = Array.from('ip:192.0.2.7', (char) => char.charCodeAt(0));
        const before = print(String.fromCharCode(...codes));
        codes[at]! ^= 1 << bit;
        const difference = before ^ print(String.fromCharCode(...codes));
        changed += difference.toString(2).replaceAll('0', '').length;
        flips++;
      }
    }
    expect(changed / flips).toBeGreaterThan(30);
    expect(changed / flips).toBeLessThan(34);
  });
});
