import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AlgorithmName } from '../../src/index.ts';
import { compile, limits, longestWait, micros, names, newYear, policies, steps } from './arbitraries.ts';
import { Key } from './key.ts';

const consume = steps(['consume'], 20);

describe.each(names)('%s, when its policy changes while units are taken', (name) => {
  const change = (key: Key, limit: number, window: number | '1h' | '1m' = '1h') => {
    key.policy = compile({ algorithm: name, limit, window });
  };

  it('keeps what was taken under a raised limit', () => {
    const key = new Key(compile({ algorithm: name, limit: 10, window: '1h' }));
    key.consume(10);
    change(key, 100);
    expect(key.peek(1)).toMatchObject({ allowed: true, limit: 100, remaining: 90 });
    expect(key.consume(91).allowed).toBe(false);
    expect(key.consume(90)).toMatchObject({ allowed: true, remaining: 0 });
  });

  it('keeps what was taken under a lowered limit', () => {
    const key = new Key(compile({ algorithm: name, limit: 100, window: '1h' }));
    key.consume(30);
    change(key, 40);
    expect(key.peek(1)).toMatchObject({ allowed: true, limit: 40, remaining: 10 });
    change(key, 20);
    expect(key.peek(1)).toMatchObject({ allowed: false, limit: 20, remaining: 0 });
  });

  it('grants what the raised limit has left, although the same request was refused just before', () => {
    const key = new Key(compile({ algorithm: name, limit: 5, window: '1h' }));
    key.consume(5);
    expect(key.consume(1).allowed).toBe(false);
    change(key, 6);
    expect(key.consume(1)).toMatchObject({ allowed: true, remaining: 0 });
  });

  it('keeps all of it when a limit is lowered by mistake and raised again', () => {
    const key = new Key(compile({ algorithm: name, limit: 100, window: '1h' }));
    key.consume(60);
    change(key, 10);
    expect(key.consume(1).allowed).toBe(false);
    change(key, 100);
    expect(key.peek(1).remaining).toBe(40);
  });

  it('keeps what was taken under a longer and a shorter window', () => {
    for (const [from, to] of [
      ['1m', '1h'],
      ['1h', '1m'],
    ] as const) {
      const key = new Key(compile({ algorithm: name, limit: 10, window: from }));
      key.consume(8);
      change(key, 10, to);
      expect(key.peek(1)).toMatchObject({ allowed: true, remaining: 2 });
      key.consume(2);
      expect(key.peek(1).allowed).toBe(false);
    }
  });

  it('promises truly from the first request under the new policy on', () => {
    fc.assert(
      fc.property(policies(name), policies(name), consume, consume, limits, (before, after, past, future, cost) => {
        const key = new Key(before);
        key.play(past);
        key.policy = after;
        key.consume(0);
        const { remaining, resetAfter } = key.peek(0);
        expect(Number.isInteger(remaining) && remaining <= after.capacity).toBe(true);
        expect(key.at(key.now + micros(resetAfter)).peek(0).remaining).toBe(after.capacity);
        const { allowed, retryAfter } = key.at(key.now).consume(cost);
        expect(allowed).toBe(key.peek(cost).allowed);
        if (!after.countRefused && !allowed && retryAfter !== Number.POSITIVE_INFINITY) {
          expect(key.at(key.now + micros(retryAfter) - 1).peek(cost).allowed).toBe(false);
          expect(key.at(key.now + micros(retryAfter)).peek(cost).allowed).toBe(true);
        }
        for (const { cost, time, delay } of key.play(future)) {
          expect(Number.isInteger(cost) && Number.isInteger(time) && Number.isInteger(delay)).toBe(true);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('gives a key that used everything its units back within a window of the new policy', () => {
    fc.assert(
      fc.property(policies(name), policies(name), consume, (before, after, past) => {
        const key = new Key(before);
        key.play(past);
        key.policy = after;
        const { allowed, retryAfter } = key.consume(1);
        if (!allowed) expect(micros(retryAfter)).toBeLessThanOrEqual(longestWait(after));
      }),
      { numRuns: 300 },
    );
  });

  it('refuses everything under a limit of 0, and goes on after it', () => {
    const key = new Key(compile({ algorithm: name, limit: 10, window: '1h' }));
    key.consume(4);
    change(key, 0);
    expect(key.consume(1)).toMatchObject({ allowed: false, remaining: 0, retryAfter: Number.POSITIVE_INFINITY });
    change(key, 10);
    expect(key.peek(1).remaining).toBe(6);
  });
});

describe('a refusal that counts, under a lowered limit', () => {
  it.each(names)('leaves %s as it was for a cost of 0', (name: AlgorithmName) => {
    const key = new Key(compile({ algorithm: name, limit: 10, window: '1h', countRefused: true }), newYear);
    key.consume(10);
    key.policy = compile({ algorithm: name, limit: 5, window: '1h', countRefused: true });
    key.now += 1_000;
    const { state } = key;
    key.consume(0);
    expect(key.state).toBe(state);
  });
});
