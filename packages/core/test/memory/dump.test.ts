import { ManualClock } from '@sluice/testing';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type CompiledPolicy,
  compilePenalty,
  compilePolicies,
  type Decision,
  MemoryStore,
  SluiceError,
} from '../../src/index.ts';
import { names } from '../algorithms/arbitraries.ts';
import { Key } from '../algorithms/key.ts';

const penalty = compilePenalty({ blockFor: '5s', escalate: true, banAfter: 4, banFor: '1m' }, 'test', 'login');
const policies: readonly CompiledPolicy[] = [
  ...compilePolicies(
    names.map((algorithm) => ({ name: algorithm, algorithm, limit: 4, window: '10s' as const })),
    'test',
  ),
  ...compilePolicies(
    [{ name: 'kept', algorithm: 'sliding-window-log', limit: 50, window: '1m', countRefused: true }],
    '',
  ),
  penalty.block!,
  penalty.ban!,
];

interface Step {
  readonly do: 'consume' | 'peek' | 'release' | 'reset' | 'pass';
  readonly policy: number;
  readonly key: number;
  readonly cost: number;
}

const steps = (maxLength: number) =>
  fc.array(
    fc.record<Step>({
      do: fc.constantFrom('consume', 'consume', 'consume', 'consume', 'peek', 'release', 'reset', 'pass'),
      policy: fc.nat(policies.length - 1),
      key: fc.nat(20),
      cost: fc.integer({ min: 0, max: 5 }),
    }),
    { maxLength },
  );

/** A store beside the pure functions: of each state it remembers those since `follow`. */
class Followed {
  readonly clock = new ManualClock();
  readonly store = new MemoryStore({ clock: this.clock });
  readonly keys = new Map<string, Key>();
  #since: Map<string, unknown[]> | undefined;

  follow(): Map<string, unknown[]> {
    this.#since = new Map();
    return this.#since;
  }

  play(step: Step): Decision | undefined {
    if (step.do === 'pass') {
      this.clock.advance(step.cost * 700);
      return undefined;
    }
    const policy = policies[step.policy]!;
    const key = `key ${step.key}`;
    const name = `${step.policy} ${key}`;
    const model = this.keys.get(name) ?? new Key(policy);
    this.keys.set(name, model);
    model.now = this.clock.now();
    if (this.#since && !this.#since.has(name)) this.#since.set(name, [model.state]);
    let decision: Decision | undefined;
    if (step.do === 'consume') {
      decision = this.store.consume([{ policy, key, cost: step.cost }])[0];
      expect(decision).toEqual(model.consume(step.cost));
    } else if (step.do === 'peek') {
      decision = this.store.peek([{ policy, key, cost: step.cost }])[0];
      expect(decision).toEqual(model.peek(step.cost));
    } else if (step.do === 'release') {
      this.store.release([{ policy, key, cost: step.cost }]);
      model.release(step.cost);
    } else {
      this.store.reset(key, [policy]);
      model.state = undefined;
    }
    this.#since?.get(name)?.push(model.state);
    return decision;
  }
}

function run(store: MemoryStore, step: Step): Decision | undefined {
  const policy = policies[step.policy]!;
  const key = `key ${step.key}`;
  if (step.do === 'consume') return store.consume([{ policy, key, cost: step.cost }])[0];
  if (step.do === 'peek') return store.peek([{ policy, key, cost: step.cost }])[0];
  if (step.do === 'release') store.release([{ policy, key, cost: step.cost }]);
  if (step.do === 'reset') store.reset(key, [policy]);
  return undefined;
}

function bytesOf(chunks: Iterable<Uint8Array>): Uint8Array {
  return Buffer.concat([...chunks]);
}

function faultOf(bytes: Uint8Array, store = new MemoryStore({ clock: new ManualClock() })): SluiceError {
  try {
    store.restore([bytes]);
  } catch (error) {
    expect(error).toBeInstanceOf(SluiceError);
    return error as SluiceError;
  }
  throw new Error('It was restored.');
}

/** A store with keys of every algorithm, many enough for several chunks. */
function crowded(keys = 4_000, clock = new ManualClock()): MemoryStore {
  const store = new MemoryStore({ clock });
  for (let i = 0; i < keys; i++) {
    store.consume([{ policy: policies[i % policies.length]!, key: `crowd ${i}`, cost: 1 + (i % 4) }]);
  }
  return store;
}

describe('a store that is restored from a dump', () => {
  test('decides as the one that was dumped, for every algorithm and penalty', () => {
    fc.assert(
      fc.property(steps(60), steps(60), fc.integer({ min: 1, max: 5_000 }), (before, after, size) => {
        const original = new Followed();
        for (const step of before) original.play(step);
        const restored = new MemoryStore({ clock: original.clock });
        const bytes = bytesOf(original.store.dump());
        const pieces: Uint8Array[] = [];
        for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.subarray(at, at + size));
        restored.restore(pieces);
        for (const step of after) expect(run(restored, step)).toEqual(original.play(step));
      }),
      { numRuns: 300 },
    );
  });

  test('knows each key as it was at some moment of the dump, where the store was used between the chunks', () => {
    const between = fc.array(steps(12), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(steps(60), between, fc.nat(3_000), steps(60), (before, meanwhile, newcomers, after) => {
        const original = new Followed();
        const { store, clock } = original;
        for (const step of before) original.play(step);
        for (let i = 0; i < 6_000; i++) {
          store.consume([{ policy: policies[i % policies.length]!, key: `crowd ${i}`, cost: 1 }]);
        }
        const histories = original.follow();
        const chunks: Uint8Array[] = [];
        for (const chunk of store.dump()) {
          chunks.push(chunk);
          for (const step of meanwhile[chunks.length - 1] ?? []) original.play(step);
          // Makes shards split while the dump is under way.
          if (chunks.length > 3) continue;
          for (let i = 0; i < newcomers; i++) {
            store.consume([{ policy: policies[0]!, key: `new ${chunks.length} ${i}`, cost: 1 }]);
          }
        }
        expect(chunks.length).toBeGreaterThan(3);
        const restored = new MemoryStore({ clock });
        restored.restore(chunks);

        for (const [name, states] of histories) {
          const model = original.keys.get(name)!;
          const key = name.slice(name.indexOf(' ') + 1);
          const answers = states.map((state) => new Key(model.policy, clock.now(), state).peek(1));
          expect(answers).toContainEqual(restored.peek([{ policy: model.policy, key, cost: 1 }])[0]);
        }
        for (let i = 0; i < 6_000; i++) {
          const charges = [{ policy: policies[i % policies.length]!, key: `crowd ${i}`, cost: 1 }];
          expect(restored.peek(charges)).toEqual(store.peek(charges));
        }
        for (const step of after) {
          if (step.do === 'pass') clock.advance(step.cost * 700);
          else if (!histories.has(`${step.policy} key ${step.key}`)) {
            expect(run(restored, step)).toEqual(run(store, step));
          }
        }
      }),
      { numRuns: 25 },
    );
  });

  test('neither misses nor repeats a key when the table shrinks to nothing and grows anew between two chunks', () => {
    const clock = new ManualClock();
    const store = new MemoryStore({ clock });
    const [short, long] = compilePolicies(
      [
        { name: 'short', limit: 5, window: '1s', algorithm: 'fixed-window' },
        { name: 'long', limit: 5, window: '1h', algorithm: 'fixed-window' },
      ],
      'test',
    );
    for (let i = 0; i < 20_000; i++) store.consume([{ policy: short!, key: `key ${i}`, cost: 1 }]);
    const dump = store.dump();
    const chunks = [dump.next().value!, dump.next().value!];
    clock.advance(5_000);
    expect(store.size).toBe(0);
    for (let i = 0; i < 5_000; i++) store.consume([{ policy: long!, key: `key ${i}`, cost: 1 }]);
    chunks.push(...dump);
    const restored = new MemoryStore({ clock });
    restored.restore(chunks);
    // Keys of the part that had been told before they came are not in it.
    expect(restored.size).toBeGreaterThan(3_000);
    expect(restored.size).toBeLessThan(5_000);
  });

  test('holds no key that is fresh again by then, and forgets the others when they are', () => {
    const clock = new ManualClock();
    const store = crowded(4_000, clock);
    const bytes = bytesOf(store.dump());
    clock.advance(15_000);
    const restored = new MemoryStore({ clock });
    restored.restore([bytes]);
    expect(restored.size).toBe(store.size);
    expect(restored.size).toBeGreaterThan(0);
    expect(clock.pending).toBe(2);
    clock.advance(2 * 86_400_000);
    expect(restored.size).toBe(0);
    expect(clock.pending).toBe(0);
  });

  test('does not hold the places of requests that were at work', () => {
    const store = new MemoryStore({ clock: new ManualClock() });
    const places = { ...policies[3]!, borrowed: true as const };
    store.consume([{ policy: places, key: 'alice', cost: 1 }]);
    const restored = new MemoryStore({ clock: new ManualClock() });
    restored.restore(store.dump());
    expect(restored.size).toBe(0);
  });

  test('keeps of too many keys those that are being refused, also of policies that nobody has asked about since', () => {
    const clock = new ManualClock();
    const store = new MemoryStore({ clock });
    const policy = policies[3]!;
    for (let i = 0; i < 1_000; i++) store.consume([{ policy, key: `key ${i}`, cost: i < 50 ? 4 : 1 }]);
    const restored = new MemoryStore({ clock, maxKeys: 60 });
    restored.restore(store.dump());
    expect(restored.size).toBe(60);
    expect(restored.evictions).toBe(940);
    for (let i = 0; i < 50; i++) expect(restored.peek([{ policy, key: `key ${i}`, cost: 1 }])[0]!.allowed).toBe(false);

    clock.advance(9_000);
    for (let i = 0; i < 60; i++) restored.consume([{ policy: policies[5]!, key: `other ${i}`, cost: 1 }]);
    expect(restored.size).toBe(60);
  });

  test('goes on from the dump alone, whatever it held before', () => {
    const clock = new ManualClock();
    const restored = new MemoryStore({ clock });
    for (const policy of [...policies].reverse()) restored.consume([{ policy, key: 'bob', cost: 1 }]);
    const store = new MemoryStore({ clock });
    for (const policy of policies) store.consume([{ policy, key: 'alice', cost: 1 }]);
    restored.restore(store.dump());
    expect(restored.size).toBe(policies.length);
    for (const policy of policies) {
      for (const key of ['alice', 'bob']) {
        expect(restored.peek([{ policy, key, cost: 1 }])).toEqual(store.peek([{ policy, key, cost: 1 }]));
      }
    }
  });
});

describe('a dump', () => {
  test('comes in chunks of a bounded size, also where one log has a hundred thousand entries', () => {
    const clock = new ManualClock();
    const store = new MemoryStore({ clock });
    const [policy] = compilePolicies([{ limit: 1e9, window: '1h', algorithm: 'sliding-window-log' }], 'test');
    for (let i = 0; i < 100_000; i++) {
      clock.jump(1);
      store.consume([{ policy: policy!, key: 'busy', cost: 1 }]);
    }
    for (let i = 0; i < 20_000; i++) store.consume([{ policy: policies[0]!, key: `key ${i}`, cost: 1 }]);
    const chunks = [...store.dump()];
    expect(chunks.length).toBeGreaterThan(30);
    expect(Math.max(...chunks.map(({ length }) => length))).toBeLessThan(150_000);
    const restored = new MemoryStore({ clock });
    restored.restore(chunks);
    expect(restored.peek([{ policy: policy!, key: 'busy', cost: 1 }])[0]!.remaining).toBe(1e9 - 100_000);
  });

  test('of a store that is restored meanwhile ends with an error', () => {
    const store = crowded();
    const dump = store.dump();
    dump.next();
    store.restore([bytesOf(crowded().dump())]);
    expect(() => [...dump]).toThrow(/restored from another since it began/);
  });

  test('says nothing new as long as nothing has changed', () => {
    const clock = new ManualClock();
    const store = new MemoryStore({ clock });
    const charge = { policy: policies[0]!, key: 'alice', cost: 1 };
    let seen = store.changes;
    const changed = () => {
      const before = seen;
      seen = store.changes;
      return seen !== before;
    };
    store.peek([charge]);
    expect(changed()).toBe(false);
    store.consume([charge]);
    expect(changed()).toBe(true);
    store.consume([{ ...charge, cost: 9 }]);
    expect(changed()).toBe(false);
    store.release([{ ...charge, cost: 1 }]);
    expect(changed()).toBe(true);
    store.consume([charge]);
    expect(changed()).toBe(true);
    store.reset('alice', [charge.policy]);
    expect(changed()).toBe(true);
  });
});

describe('what is no whole dump is refused', () => {
  const whole = bytesOf(crowded(3_000).dump());

  test('wherever it is cut off, with the byte', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: whole.length - 1 }), (length) => {
        const { code, message } = faultOf(whole.subarray(0, length));
        expect(code).toBe('UNUSABLE_STATE');
        expect(message).toContain(`at byte ${length}, it is cut off`);
      }),
    );
  });

  test('wherever a bit is flipped, with the byte where the part begins', () => {
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.nat(7), (at, bit) => {
        const flipped = Uint8Array.from(whole);
        flipped[at]! ^= 1 << bit;
        const { code, message } = faultOf(flipped);
        expect(code).toBe('UNUSABLE_STATE');
        expect(Number(/at byte (\d+)/.exec(message)![1])).toBeLessThanOrEqual(whole.length);
      }),
    );
  });

  test('where its parts stand in another order', () => {
    const [beginning, first, second, ...rest] = [...crowded(6_000).dump()];
    const { message } = faultOf(Buffer.concat([beginning!, second!, first!, ...rest]));
    expect(message).toContain('at byte 8, a part of');
    expect(message).toContain('whose checksum is wrong');
  });

  test('where something follows', () => {
    const { message } = faultOf(Buffer.concat([whole, Uint8Array.of(0)]));
    expect(message).toContain(`at byte ${whole.length}, something follows its end`);
  });

  test('where it is something else, or of another format', () => {
    expect(faultOf(Buffer.from('{"rules": []}')).message).toContain('at byte 0, this is no dump of a MemoryStore');
    const other = Uint8Array.from(whole);
    other[7] = 1;
    expect(faultOf(other).message).toContain('at byte 7, its format is 1, and this version knows 2 only');
  });

  test('and the store goes on as it was', () => {
    const store = crowded(500);
    const before = bytesOf(store.dump());
    faultOf(whole.subarray(0, whole.length - 3), store);
    expect(bytesOf(store.dump())).toEqual(before);
  });
});
