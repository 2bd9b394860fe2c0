import { ManualClock } from '@sluice/testing';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Deadlines } from '../src/deadlines.ts';
import { createLimiter } from '../src/index.ts';

function setUp() {
  const clock = new ManualClock(0);
  const deadlines = new Deadlines(clock);
  const met: string[] = [];
  const at = (name: string, ms: number) => deadlines.after(ms, () => met.push(`${name} at ${clock.now() / 1_000}`));
  return { clock, deadlines, met, at };
}

test('deadlines of the same duration share one timer, however many they are', () => {
  const { clock, met, at } = setUp();
  for (let i = 0; i < 1_000; i++) at(`${i}`, 10);
  at('other', 20);
  expect(clock.pending).toBe(2);
  clock.advance(20);
  expect(met.length).toBe(1_001);
  expect(met.slice(998)).toEqual(['998 at 10', '999 at 10', 'other at 20']);
  expect(clock.pending).toBe(0);
});

test('more deadlines than a batch fall due together and are met in turns of the event loop', () => {
  const { clock, met, at } = setUp();
  for (let i = 0; i < 2_500; i++) at(`${i}`, 10);
  const turns: number[] = [];
  const { after } = clock;
  clock.after = (ms, run) => {
    turns.push(met.length);
    return after.call(clock, ms, run);
  };
  clock.advance(10);
  expect(turns).toEqual([1_024, 2_048]);
  expect(met.length).toBe(2_500);
});

test('there is no timer while there is no deadline', () => {
  const { clock, met, at } = setUp();
  const [first, second] = [at('first', 10), at('second', 10)];
  first();
  first();
  expect(clock.pending).toBe(1);
  second();
  expect(clock.pending).toBe(0);
  clock.advance(5);
  at('third', 10);
  expect(clock.pending).toBe(1);
  first();
  clock.advance(100);
  expect(met).toEqual(['third at 15']);
  expect(clock.pending).toBe(0);
});

test('what is done at a deadline may set and call off others', () => {
  const { clock, deadlines, met, at } = setUp();
  let callOff = () => {};
  deadlines.after(10, () => {
    callOff();
    at('again', 10);
  });
  callOff = at('called off', 10);
  at('kept', 20);
  clock.advance(10);
  at('with it', 10);
  expect(clock.pending).toBe(2);
  clock.advance(100);
  expect(met).toEqual(['kept at 20', 'again at 20', 'with it at 20']);
  expect(clock.pending).toBe(0);
});

test('what is done at the last deadline may set the next', () => {
  const { clock, deadlines, met, at } = setUp();
  deadlines.after(10, () => at('again', 10));
  clock.advance(10);
  expect(clock.pending).toBe(1);
  clock.advance(10);
  expect(met).toEqual(['again at 20']);
  expect(clock.pending).toBe(0);
});

test('all is called off on closing, also what comes after', () => {
  const { clock, deadlines, met, at } = setUp();
  at('a', 10);
  at('b', 20);
  deadlines.close();
  const callOff = at('c', 10);
  expect(clock.pending).toBe(0);
  callOff();
  clock.advance(100);
  expect(met).toEqual([]);
});

test('reservations do not keep the process alive', async () => {
  const background: unknown[] = [];
  const clock = new ManualClock();
  const limiter = createLimiter({
    policies: '5/1m',
    clock: {
      now: () => clock.now(),
      after: (ms, run, options) => {
        background.push(options?.background);
        return clock.after(ms, run);
      },
    },
  });
  await limiter.reserve('alice');
  await limiter.reserve('alice', 1, { expiresIn: '10s' });
  clock.advance(10_000);
  expect(background.length).toBeGreaterThanOrEqual(2);
  expect(background).not.toContain(undefined);
  expect(background).not.toContain(false);
});

test('each deadline is met at its time, unless it is called off before', () => {
  const step = fc.record({ wait: fc.nat(30), ms: fc.integer({ min: 1, max: 4 }), callOff: fc.option(fc.nat(30)) });
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const { clock, met, at } = setUp();
      const expected = new Map<number, number>();
      const callOffs: (() => void)[] = [];
      for (const [i, { wait, ms, callOff }] of steps.entries()) {
        clock.advance(wait);
        callOffs.push(at(`${i}`, ms * 10));
        expected.set(i, clock.now() / 1_000 + ms * 10);
        if (callOff === null || callOffs[callOff] === undefined) continue;
        callOffs[callOff]();
        if (expected.get(callOff)! > clock.now() / 1_000) expected.delete(callOff);
      }
      clock.advance(100);
      expect([...met].sort()).toEqual([...expected].map(([i, due]) => `${i} at ${due}`).sort());
      expect(clock.pending).toBe(0);
    }),
  );
});
