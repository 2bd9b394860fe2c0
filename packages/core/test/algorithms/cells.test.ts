import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { instantAt, writeCells } from '../../src/algorithms/cells.ts';
import { algorithmOf } from '../../src/algorithms/index.ts';
import { type CompiledPolicy, compilePenalty } from '../../src/index.ts';
import { compile, micros, names, policies, type Step, steps, stepsWithSetbacks } from './arbitraries.ts';
import { Key } from './key.ts';

const packed = names.filter((name) => name !== 'sliding-window-log');

/** Words with a state in the middle, all other bits drawn at random. */
const backgrounds = fc.tuple(...Array.from({ length: 6 }, () => fc.integer())).map((words) => Int32Array.from(words));

/** The bits around a state that are not its own. */
function around(words: Int32Array): readonly number[] {
  return [words[0]!, words[2]! >>> 20, words[3]! >>> 30, words[4]! >>> 30, words[5]!];
}

function advance(key: Key, step: Step): number {
  const last = key.peek(0);
  key.now = Math.max(0, key.now + step.gap(key.policy, last));
  return step.cost(key.policy, last);
}

/** Plays a trace, and looks at the key whenever it has a state. */
function follow(policy: CompiledPolicy, trace: readonly Step[], look: (key: Key) => void): void {
  const key = new Key(policy);
  for (const step of trace) {
    const cost = advance(key, step);
    if (step.ask === 'release') key.release(cost);
    else key.consume(cost);
    if (key.state !== undefined) look(key);
  }
}

describe.each(packed)('a state of a %s in four words', (name) => {
  const cells = algorithmOf(name).cells!;

  it('is read as it was written, beside bits that stay as they are, whatever the limit and the window', () => {
    const trace = stepsWithSetbacks(['consume', 'release']);
    fc.assert(
      fc.property(policies(name), trace, backgrounds, (policy, played, words) => {
        follow(policy, played, ({ state }) => {
          const before = Int32Array.from(words);
          if (!cells.write(words, 1, state, policy)) expect(words).toEqual(before);
          else expect(cells.read(words, 1, policy)).toEqual(state);
          expect(around(words)).toEqual(around(before));
        });
      }),
      { numRuns: 500 },
    );
  });

  it('always fits while the clock goes on, and says something until it is fresh', () => {
    fc.assert(
      fc.property(policies(name), steps(['consume', 'release']), (policy, played) => {
        const words = new Int32Array(4);
        follow(policy, played, (key) => {
          const { resetAfter } = key.peek(0);
          if (resetAfter === 0) return;
          expect(cells.write(words, 0, key.state, policy)).toBe(true);
          expect(cells.freshAt(words, 0, policy)).toBe(key.now + micros(resetAfter));
        });
      }),
      { numRuns: 500 },
    );
  });

  it('is decided on in place as apart, or not at all, also where the limit was another', () => {
    const trace = stepsWithSetbacks(['consume', 'release']);
    const part = fc.integer({ min: 0, max: 1_000 });
    fc.assert(
      fc.property(policies(name), trace, trace, part, fc.boolean(), (policy, past, future, parts, countRefused) => {
        const lower = (n: number) => Math.ceil((n * parts) / 1_000);
        const present = { ...policy, limit: lower(policy.limit), capacity: lower(policy.capacity), countRefused };
        const words = new Int32Array(4);
        follow(policy, past, ({ state, now }) => {
          const key = new Key(present, now, state);
          for (const step of future.slice(0, 5)) {
            const cost = advance(key, step);
            if (key.state === undefined || !cells.write(words, 0, key.state, policy)) return;
            const before = Int32Array.from(words);
            const decision = cells.consume!(words, 0, present, cost, key.now);
            if (decision === undefined) expect(words).toEqual(before);
            const expected = key.consume(cost);
            if (decision === undefined) continue;
            expect(decision).toEqual(expected);
            expect(cells.read(words, 0, policy)).toEqual(key.state);
          }
        });
      }),
      { numRuns: 300 },
    );
  });

  it.each([0.5, -2, Number.NaN])('is decided on in place as apart, or not at all, at a cost of %s', (cost) => {
    const policy = compile({ algorithm: name, limit: 3, window: '1h' });
    const key = new Key(policy);
    key.consume();
    const words = new Int32Array(4);
    cells.write(words, 0, key.state, policy);
    const before = Int32Array.from(words);
    const decision = cells.consume!(words, 0, policy, cost, key.now);
    expect(decision ?? words).toEqual(decision === undefined ? before : key.consume(cost));
    if (decision !== undefined) expect(cells.read(words, 0, policy)).toEqual(key.state);
  });

  it('is decided on in place in the usual case', () => {
    const policy = compile({ algorithm: name, limit: 3, window: '1h' });
    const key = new Key(policy);
    key.consume();
    const words = new Int32Array(4);
    cells.write(words, 0, key.state, policy);
    expect(cells.consume!(words, 0, policy, 1, key.now)).toEqual(key.consume());
    expect(cells.consume!(words, 0, policy, 2, key.now)).toEqual(key.consume(2));
    // The last unit makes it a key that is being refused.
    expect(cells.consume!(words, 0, policy, 1, key.now)).toBeUndefined();
  });
});

describe('a state of a penalty in four words', () => {
  const { block, ban } = compilePenalty({ blockFor: '15m', escalate: true, banAfter: 3 }, 'penalty', 'test');

  it.each([block!, ban!])('is read as it was written, or does not fit', (policy) => {
    const cells = algorithmOf('penalty').cells!;
    const waits = fc.array(fc.integer({ min: -3_600_000_000, max: 3_600_000_000 }), { maxLength: 20 });
    fc.assert(
      fc.property(waits, backgrounds, (gaps, words) => {
        const key = new Key(policy);
        let setBack = false;
        for (const gap of gaps) {
          setBack ||= gap < 0;
          key.now += gap;
          key.consume();
          const before = Int32Array.from(words);
          if (cells.write(words, 1, key.state, policy)) {
            expect(cells.read(words, 1, policy)).toEqual(key.state);
            expect(cells.freshAt(words, 1, policy)).toBe((key.state as { forgetAt: number }).forgetAt);
          } else {
            expect(setBack).toBe(true);
            expect(words).toEqual(before);
          }
          expect(around(words)).toEqual(around(before));
        }
      }),
    );
  });
});

describe('what does not fit into four words', () => {
  it.each([
    [2 ** 52, 0, 0],
    [-1, 0, 0],
    [0.5, 0, 0],
    [Number.NaN, 0, 0],
    [0, 2 ** 30, 0],
    [0, -1, 0],
    [0, 0.5, 0],
    [0, 0, 2 ** 32],
    [0, 0, Number.POSITIVE_INFINITY],
  ])('is not written: %s, %s, %s', (instant, first, second) => {
    const words = Int32Array.of(1, 2, 3, 4);
    expect(writeCells(words, 0, instant, first, second)).toBe(false);
    expect([...words]).toEqual([1, 2, 3, 4]);
  });

  it('is beyond the largest that does', () => {
    const words = new Int32Array(4);
    expect(writeCells(words, 0, 2 ** 52 - 1, 2 ** 30 - 1, 2 ** 30 - 1)).toBe(true);
    expect(instantAt(words, 0)).toBe(2 ** 52 - 1);
    expect(words[1]! >>> 20).toBe(0);
  });
});
