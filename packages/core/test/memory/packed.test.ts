import { ManualClock } from '@sluice/testing';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type CompiledPolicy, MemoryStore } from '../../src/index.ts';
import { compile, micros, names, newYear, policies, steps } from '../algorithms/arbitraries.ts';
import { Key } from '../algorithms/key.ts';

/** A key of a store forgets what it took when that was to be fresh again under the policy that it was taken under. */
class Remembered extends Key {
  #freshAt = 0;

  forget(): void {
    if (this.#freshAt <= this.now) this.state = undefined;
  }

  remember(before: unknown): void {
    if (this.state !== before && this.state !== undefined) this.#freshAt = this.now + micros(this.peek(0).resetAfter);
  }
}

function storeAt(start = newYear): { store: MemoryStore; clock: ManualClock } {
  const clock = new ManualClock(start / 1_000);
  return { store: new MemoryStore({ clock }), clock };
}

describe.each(names)('a store that keeps a %s in a few words', (name) => {
  test('answers as the pure function does, through changes of the policy, at extreme limits and windows', () => {
    const trace = fc.array(fc.tuple(fc.nat(2), fc.nat(2), fc.boolean(), steps(['consume', 'peek', 'release'], 1)), {
      maxLength: 40,
    });
    fc.assert(
      fc.property(fc.array(policies(name), { minLength: 3, maxLength: 3 }), trace, (variants, moves) => {
        const { store, clock } = storeAt();
        const keys = variants.map((policy) => new Remembered(policy, clock.now()));
        for (const [which, variant, single, [step]] of moves) {
          const key = keys[which]!;
          const policy = variants[variant]!;
          key.policy = policy;
          key.now = clock.now();
          key.forget();
          const last = key.peek(0);
          const cost = step!.cost(policy, last);
          // Of another policy, the answer before may lie farther ahead than a clock can go.
          clock.jump(Math.min(step!.gap(policy, last), 1e15) / 1_000);
          key.now = clock.now();
          key.forget();
          const before = key.state;
          const charge = { policy, key: `key ${which}`, cost };
          if (step!.ask === 'release') {
            store.release([charge]);
            key.release(cost);
          } else if (step!.ask === 'peek') expect(store.peek([charge])[0]).toEqual(key.peek(cost));
          else if (single) expect(store.consumeOne(policy, charge.key, cost)).toEqual(key.consume(cost));
          else expect(store.consume([charge])[0]).toEqual(key.consume(cost));
          key.remember(before);
        }
        const restored = new MemoryStore({ clock });
        restored.restore(store.dump());
        for (const [i, key] of keys.entries()) {
          key.now = clock.now();
          key.forget();
          expect(restored.peek([{ policy: key.policy, key: `key ${i}`, cost: 1 }])[0]).toEqual(key.peek(1));
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe('a store', () => {
  test('keeps the same key of two policies apart, under one algorithm and under several', () => {
    const { store } = storeAt();
    const all = names.flatMap((algorithm) => [
      compile({ algorithm, limit: 5, window: '1h', name: 'one' }),
      compile({ algorithm, limit: 5, window: '1h', name: 'other' }),
    ]);
    all.forEach((policy, i) => {
      store.consume([{ policy, key: 'alice', cost: 1 + (i % 5) }]);
    });
    expect(store.size).toBe(all.length);
    all.forEach((policy, i) => {
      expect(store.peek([{ policy, key: 'alice', cost: 0 }])[0]!.remaining).toBe(4 - (i % 5));
    });
  });

  test('keeps the states of more limits and windows than rows have numbers for, and forgets them in time', () => {
    const { store, clock } = storeAt();
    const variants: CompiledPolicy[] = [];
    for (let i = 0; i < 20_000; i++) {
      variants.push(compile({ algorithm: 'token-bucket', limit: 10, window: 3_600_000 + i * 7 }));
    }
    const consume = (i: number, cost: number) => store.consumeOne(variants[i]!, `key ${i}`, cost);
    for (let i = 0; i < variants.length; i++) expect(consume(i, 4).remaining).toBe(6);
    for (let i = 0; i < variants.length; i += 3) expect(consume(i, 3).remaining).toBe(3);
    const restored = new MemoryStore({ clock });
    restored.restore(store.dump());
    expect(restored.size).toBe(20_000);
    for (let i = 0; i < variants.length; i++) {
      const peek = [{ policy: variants[i]!, key: `key ${i}`, cost: 1 }];
      expect(store.peek(peek)[0]!.remaining).toBe(i % 3 === 0 ? 3 : 6);
      expect(restored.peek(peek)).toEqual(store.peek(peek));
    }
    clock.advance(4 * 3_600_000);
    expect(store.size).toBe(0);
    expect(restored.size).toBe(0);
    // The numbers are free again.
    for (let i = 0; i < variants.length; i++) expect(consume(i, 4).remaining).toBe(6);
  });

  test('keeps what another store tells in numbers that are not whole', () => {
    const { store, clock } = storeAt();
    const policy = compile({ algorithm: 'fixed-window', limit: 10, window: '1h' });
    store.recall(policy, 'alice', { remaining: 2.5, resetAfter: 1_000, at: clock.now() / 1_000 });
    expect(store.peek([{ policy, key: 'alice', cost: 0 }])[0]!.remaining).toBe(2.5);
  });
});
