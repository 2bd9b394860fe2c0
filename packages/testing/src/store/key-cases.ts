import assert from 'node:assert/strict';
import { algorithmNames, type Declare, grants, policyOf } from './bench.js';

/** Keys are kept apart, whatever they look like and however many they are. */
export function keyCases(always: Declare): void {
  always('policies of different names or algorithms do not share a key’s units', async (bench) => {
    const policies = algorithmNames.flatMap((algorithm) => [
      policyOf({ algorithm, limit: 3 }),
      policyOf({ name: 'other', algorithm, limit: 3 }),
    ]);
    for (const policy of policies) grants(await bench.take(policy, 'alice', 3), 0);
  });

  always('keys of any characters and length are kept apart', async (bench) => {
    const policy = policyOf({ algorithm: 'fixed-window', limit: 3 });
    const named = policyOf({ name: 'b', algorithm: 'fixed-window', limit: 3 });
    const keys = [
      'a',
      'a:b',
      'b:a',
      'a:',
      ':a',
      ':',
      'a b',
      ' a',
      'a ',
      'A',
      'ä',
      'a\u0308',
      '{a}',
      '{a',
      'a}',
      '{}',
      '{}a',
    ];
    keys.push(
      'a\n',
      '\na',
      'a\r\nb',
      'a\0',
      '\0',
      '\0a',
      'a\tb',
      '*',
      '?',
      '%',
      '%00',
      '../a',
      '"a"',
      "'a'",
      '__proto__',
    );
    keys.push('constructor', 'toString', '[object Promise]', 'undefined', '😀', '😁', '中文', 'x'.repeat(10_000));
    keys.push(`${'x'.repeat(9_999)}y`, `y${'x'.repeat(9_999)}`);
    for (const key of keys) {
      grants(await bench.take(policy, key), 2);
      grants(await bench.take(named, key, 2), 1);
    }
    for (const key of keys) {
      assert.equal(await bench.remaining(policy, key), 2, JSON.stringify(key.slice(0, 20)));
      assert.equal(await bench.remaining(named, key), 1, JSON.stringify(key.slice(0, 20)));
    }
  });

  always('ten thousand keys each have a budget of their own', async (bench) => {
    const policy = policyOf({ algorithm: 'token-bucket', limit: 3 });
    const keys = Array.from({ length: 10_000 }, (_, i) => `user:${i}`);
    const takeAt = (i: number) => bench.take(policy, keys[i]!, (i % 3) + 1);
    for (let i = 0; i < keys.length; i += 500) {
      const decisions = await Promise.all(keys.slice(i, i + 500).map((_, j) => takeAt(i + j)));
      for (const [j, decision] of decisions.entries()) grants(decision, 2 - ((i + j) % 3));
    }
    for (let i = 0; i < keys.length; i += 97) assert.equal(await bench.remaining(policy, keys[i]!), 2 - (i % 3));
  });
}
