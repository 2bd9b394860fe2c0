import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Pace } from '../../src/leases/pace.ts';

const second = 1_000_000;
const start = 1_700_000_000_000_000;

/** Asks for so many units, one every so many microseconds, and says when the last of them was. */
function ask(pace: Pace, count: number, every: number, from: number, units = 1): number {
  let now = from;
  for (let i = 0; i < count; i++) {
    now += every;
    pace.count(units, now);
  }
  return now;
}

describe('the pace at which a key is asked for', () => {
  it('gives leases of what is asked for in a sixteenth of their time', () => {
    for (const time of [5_000, 60_000, second]) {
      const pace = new Pace(1_000_000, time, start);
      ask(pace, 3 * time, 1, start);
      expect(pace.size).toBe(Math.floor(time / 16));
    }
  });

  it('gives none of fewer than eight units, and so none to a key that has just become hot', () => {
    const pace = new Pace(1_000, second, start);
    expect(pace.size).toBe(0);
    ask(pace, 127, 1, start);
    expect(pace.size).toBe(0);
    ask(pace, 1, 1, start);
    expect(pace.size).toBe(8);
  });

  it('gives no lease larger than a process may have', () => {
    const pace = new Pace(40, second, start);
    ask(pace, 100_000, 10, start);
    expect(pace.size).toBe(40);
  });

  it('is heard at once where a burst comes, and has passed after twice the time of a lease', () => {
    const pace = new Pace(10_000, second, start);
    let now = ask(pace, 1_600, 10, start);
    expect(pace.size).toBe(100);
    // A hundred in a second are left.
    now = ask(pace, 100, 10_000, now);
    expect(pace.size).toBeGreaterThan(99);
    now = ask(pace, 100, 10_000, now);
    expect(pace.size).toBe(0);
  });

  it('is nothing after a long time in which nobody has asked', () => {
    const pace = new Pace(10_000, second, start);
    const now = ask(pace, 16_000, 50, start);
    expect(pace.size).toBe(1_000);
    pace.count(1, now + 3_600 * second);
    expect(pace.size).toBe(0);
    expect(pace.isSlow).toBe(true);
  });

  it('counts several units that are asked for together', () => {
    const [ones, tens] = [new Pace(1_000, second, start), new Pace(1_000, second, start)];
    ask(ones, 2_000, 100, start);
    ask(tens, 200, 1_000, start, 10);
    expect(tens.size).toBe(125);
    expect(tens.size).toBe(ones.size);
  });

  it('counts nothing for charges that are too large for any lease', () => {
    const pace = new Pace(1_000, second, start);
    ask(pace, 100, 1, start, 1_001);
    expect(pace.size).toBe(0);
    ask(pace, 1, 1, start, 1_000);
    expect(pace.size).toBe(62);
    ask(pace, 200, 20_000, start, 1_001);
    expect(pace.isSlow).toBe(true);
  });

  it('counts no time while the clock stands', () => {
    const pace = new Pace(1_000, second, start);
    for (let i = 0; i < 8_000; i++) pace.count(1, start);
    expect(pace.size).toBe(500);
    expect(pace.isSlow).toBe(false);
  });

  it('is slow once it is less than half of what makes a key hot, for the time of a lease', () => {
    // 80 in a second, and a few less.
    for (const [every, isSlow] of [
      [12_500, false],
      [12_600, true],
    ] as const) {
      const pace = new Pace(1_000, second, start);
      ask(pace, 79, every, start);
      expect(pace.isSlow).toBe(false);
      ask(pace, 400, every, start + 79 * every);
      expect(pace.isSlow).toBe(isSlow);
    }
  });

  it('is no longer slow when the key is asked for often again', () => {
    const pace = new Pace(1_000, second, start);
    const now = ask(pace, 40, 50_000, start);
    expect(pace.isSlow).toBe(true);
    ask(pace, 2_000, 1_000, now);
    expect(pace.isSlow).toBe(false);
  });

  it('gives no lease of more than a sixteenth of the most that was asked for in twice its time', () => {
    const gaps = fc.array(fc.tuple(fc.integer({ min: 0, max: 400_000 }), fc.integer({ min: 1, max: 300 })), {
      minLength: 20,
      maxLength: 200,
    });
    const property = fc.property(gaps, fc.integer({ min: 5_000, max: second }), (gaps, time) => {
      const pace = new Pace(1_000_000, time, start);
      const asked: { at: number; units: number }[] = [];
      let now = start;
      let most = 0;
      for (const [gap, units] of gaps) {
        now += gap;
        pace.count(units, now);
        asked.push({ at: now, units });
        const lately = asked.reduce((sum, { at, units }) => (at >= now - 2 * time ? sum + units : sum), 0);
        most = Math.max(most, lately);
        expect(pace.size).toBeLessThanOrEqual(most / 16);
        expect(pace.size === 0 || pace.size >= 8).toBe(true);
      }
    });
    fc.assert(property, { numRuns: 200 });
  });
});
