import { describe, expect, it } from 'vitest';
import { compilePolicies, type Policy } from '../../packages/core/src/index.ts';
import { type Admission, replay } from './contract.ts';
import type { Change } from './server.ts';

/** Noon, at the begin of a window of whichever policy here. */
const start = Date.UTC(2026, 0, 1, 12) * 1_000;
const seconds = (count: number) => start + count * 1_000_000;

function compiled(policy: Policy) {
  return compilePolicies([policy], 'policies')[0]!;
}

function admitted(at: number, units: number, isLeased = false): Admission {
  return { time: seconds(at), units, node: at % 3, isLeased };
}

const forgotten = (at: number, leased: number): Change => ({
  time: seconds(at),
  what: 'forgotten',
  leased,
  until: seconds(at + 5),
});

const returned = (at: number, units: number, leased = 0): Change => ({
  time: seconds(at),
  what: { returned: units, at: undefined },
  leased,
  until: seconds(at + 5),
});

describe('the contract of a token bucket', () => {
  const policy = compiled({ algorithm: 'token-bucket', limit: 10, window: '10s' });

  it('is its capacity and what has refilled, in any interval', () => {
    const kept = replay(policy, [admitted(0, 10), admitted(3, 3), admitted(4, 1)], []);
    expect(kept).toMatchObject({ from: start, units: 10, most: 10, load: 1, isViolation: false });
    const broken = replay(policy, [admitted(0, 10), admitted(3, 3), admitted(4, 2)], []);
    expect(broken).toMatchObject({
      from: start,
      to: seconds(4),
      units: 15,
      most: 14,
      isViolation: true,
      nodes: [0, 1],
    });
  });

  it('counts what was leased before all was forgotten', () => {
    expect(replay(policy, [admitted(0, 5), admitted(2, 11, true)], [forgotten(1, 5)])?.isViolation).toBe(true);
    expect(replay(policy, [admitted(0, 5), admitted(2, 10, true)], [forgotten(1, 5)])?.isViolation).toBe(false);
  });

  it('has room again for what was given back', () => {
    expect(replay(policy, [admitted(0, 10), admitted(1, 5)], [returned(1, 4)])?.isViolation).toBe(true);
    expect(replay(policy, [admitted(0, 10), admitted(2, 6)], [returned(1, 4)])?.isViolation).toBe(false);
  });
});

describe.each([
  ['fixed window', compiled({ algorithm: 'fixed-window', limit: 10, window: '10s' })],
  ['sliding window counter', compiled({ algorithm: 'sliding-window-counter', limit: 10, window: '10s' })],
])('the contract of a %s', (name, policy) => {
  it('is its limit in a window', () => {
    expect(replay(policy, [admitted(0, 4), admitted(9, 6)], [])).toMatchObject({ units: 10, isViolation: false });
    expect(replay(policy, [admitted(0, 4), admitted(9, 7)], [])).toMatchObject({ units: 11, isViolation: true });
  });

  it('is the same in the next window, less what still counts', () => {
    const most = name === 'fixed window' ? 10 : 5;
    expect(replay(policy, [admitted(0, 10), admitted(15, most)], [])?.isViolation).toBe(false);
    expect(replay(policy, [admitted(0, 10), admitted(15, most + 1)], [])?.isViolation).toBe(true);
  });

  it('is not that of leases which were there when all was forgotten, unless it is to be strict', () => {
    const admissions = [admitted(0, 5), admitted(2, 10), admitted(3, 2, true)];
    expect(replay(policy, admissions, [forgotten(1, 2)])?.isViolation).toBe(false);
    expect(replay(policy, admissions, [forgotten(1, 1)])?.isViolation).toBe(true);
    expect(replay(policy, admissions, [forgotten(1, 2)], true)?.isViolation).toBe(true);
  });

  it('is not that of leases which were there when more was given back than had been spent', () => {
    const admissions = [admitted(0, 3), admitted(2, 10), admitted(3, 2, true)];
    expect(replay(policy, admissions, [returned(1, 5, 2)])?.isViolation).toBe(false);
    expect(replay(policy, admissions, [returned(1, 4, 2)])?.isViolation).toBe(true);
    expect(replay(policy, admissions, [returned(1, 5, 2)], true)?.isViolation).toBe(true);
  });
});

describe('the contract of an anchored window', () => {
  const policy = compiled({ algorithm: 'fixed-window', anchor: 'first', limit: 10, window: '10s' });
  const begun = (at: number): Change => ({
    time: seconds(at),
    what: { windowEnds: seconds(at + 10) },
    leased: 0,
    until: 0,
  });

  it('is its limit in each window that the store has begun', () => {
    expect(replay(policy, [admitted(3, 10), admitted(13, 10)], [begun(3), begun(13)])?.isViolation).toBe(false);
    expect(replay(policy, [admitted(3, 4), admitted(12, 7)], [begun(3)])?.isViolation).toBe(true);
  });

  it('has nothing outside of windows', () => {
    expect(replay(policy, [admitted(3, 1), admitted(13, 1)], [begun(3)])).toMatchObject({ most: 0, isViolation: true });
  });

  it('is not begun anew by a window that comes too early', () => {
    expect(replay(policy, [admitted(3, 6), admitted(9, 6)], [begun(3), begun(9)])?.isViolation).toBe(true);
  });
});
