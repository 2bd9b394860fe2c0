import { ManualClock } from '@sluice/testing';
import { describe, expect, it } from 'vitest';
import {
  CircuitBreaker,
  type CircuitBreakerOptions,
  type CircuitChange,
} from '../../src/resilience/circuit-breaker.ts';

/** A breaker with a deadline of 50 ms whose probes are answered by the test, and whose pauses have the whole length. */
function setUp(options: Partial<CircuitBreakerOptions> = {}) {
  const clock = new ManualClock(0);
  const probes: { at: number; succeed(_?: unknown): void; fail(error: unknown): void }[] = [];
  const changes: CircuitChange[] = [];
  const breaker = new CircuitBreaker({
    name: 'store',
    clock,
    deadline: 50,
    probe: () =>
      new Promise<void>((resolve, reject) => {
        probes.push({ at: clock.now() / 1_000, succeed: resolve, fail: reject });
      }),
    onChange: (change) => changes.push(change),
    random: () => 1,
    ...options,
  });
  const fail = (times: number, error: unknown = lost) => {
    for (let i = 0; i < times; i++) breaker.failed(error);
  };
  const states = () => changes.map(({ from, to }) => `${from} → ${to}`);
  return { clock, probes, changes, states, breaker, fail };
}

const lost = new Error('connection lost');
const refused = new Error('connection refused');

describe('a closed circuit', () => {
  it('opens at the fifth failure in a row, and not when a success comes between', () => {
    const { breaker, fail } = setUp();
    fail(4);
    breaker.succeeded();
    fail(4);
    expect(breaker.state).toBe('closed');
    expect(breaker.unavailable).toBeUndefined();
    breaker.failed(lost);
    expect(breaker.state).toBe('open');
  });

  it('opens at as many failures as it is told', () => {
    const { breaker } = setUp({ failures: 1 });
    breaker.failed(lost);
    expect(breaker.state).toBe('open');
  });

  it('has no timer', async () => {
    const { clock, breaker, fail, probes } = setUp();
    fail(4);
    expect(clock.pending).toBe(0);
    breaker.failed(lost);
    expect(clock.pending).toBe(1);
    await clock.pass(100);
    probes[0]!.succeed();
    await clock.pass(0);
    expect(breaker.state).toBe('closed');
    expect(clock.pending).toBe(0);
  });

  it('is fresh until a failure and after a success', () => {
    const { breaker, fail } = setUp();
    expect(breaker.isFresh).toBe(true);
    fail(1);
    expect(breaker.isFresh).toBe(false);
    breaker.succeeded();
    expect(breaker.isFresh).toBe(true);
    fail(5);
    expect(breaker.isFresh).toBe(false);
  });
});

describe('an open circuit', () => {
  it('is closed by a probe that succeeds', async () => {
    const { clock, probes, states, breaker, fail } = setUp();
    fail(5);
    await clock.pass(99);
    expect(probes).toEqual([]);
    await clock.pass(1);
    expect(breaker.state).toBe('half-open');
    probes[0]!.succeed();
    await clock.pass(0);
    expect(breaker.state).toBe('closed');
    expect(states()).toEqual(['closed → open', 'open → half-open', 'half-open → closed']);
  });

  it('is not closed by calls that succeed, also while a probe is out', async () => {
    const { clock, probes, breaker, fail } = setUp();
    fail(5);
    breaker.succeeded();
    expect(breaker.state).toBe('open');
    await clock.pass(100);
    breaker.succeeded();
    expect(breaker.state).toBe('half-open');
    probes[0]!.fail(refused);
    await clock.pass(199);
    expect(probes.length).toBe(1);
    await clock.pass(1);
    expect(probes.length).toBe(2);
  });

  it('is not disturbed by calls that fail late, before or after it has closed again', async () => {
    const { clock, probes, states, breaker, fail } = setUp();
    fail(25);
    await clock.pass(100);
    fail(25);
    expect(clock.pending).toBe(1);
    probes[0]!.succeed();
    await clock.pass(0);
    expect(states()).toEqual(['closed → open', 'open → half-open', 'half-open → closed']);
    expect(breaker.isFresh).toBe(true);
  });

  it('waits twice as long after each probe that fails, up to the longest pause', async () => {
    const { clock, probes, fail } = setUp();
    fail(5);
    for (let i = 0; i < 6; i++) {
      while (probes.length === i) await clock.pass(1);
      probes[i]!.fail(refused);
      await clock.pass(0);
    }
    await clock.pass(1_000);
    const sent = probes.map(({ at }) => at);
    expect(sent.map((at, i) => at - (sent[i - 1] ?? 0))).toEqual([100, 200, 400, 800, 1_000, 1_000, 1_000]);
  });

  it('waits for half of the pause at the least', async () => {
    const { clock, probes, fail } = setUp({ random: () => 0 });
    fail(5);
    await clock.pass(49);
    expect(probes.length).toBe(0);
    await clock.pass(1);
    expect(probes.length).toBe(1);
  });

  it('makes longer pauses where probes succeed and calls still fail, and short ones again after a call succeeds', async () => {
    const { clock, probes, breaker, fail } = setUp();
    const pause = async () => {
      const before = clock.now();
      const sent = probes.length;
      fail(5);
      while (probes.length === sent) await clock.pass(1);
      const ms = (clock.now() - before) / 1_000;
      probes[sent]!.succeed();
      await clock.pass(0);
      return ms;
    };
    expect([await pause(), await pause(), await pause()]).toEqual([100, 200, 400]);
    breaker.succeeded();
    expect(await pause()).toBe(100);
  });

  it('takes a probe that throws for one that fails', async () => {
    const { clock, changes, breaker, fail } = setUp({
      probe: () => {
        throw refused;
      },
    });
    fail(5);
    await clock.pass(100);
    expect(breaker.state).toBe('open');
    expect(changes.at(-1)).toEqual({ circuit: 'store', from: 'half-open', to: 'open', error: refused });
    expect(clock.pending).toBe(1);
  });
});

describe('a probe that is not answered', () => {
  it('is waited for, and no other is sent', async () => {
    const { clock, probes, breaker, fail } = setUp();
    fail(5);
    await clock.pass(20_000);
    expect(probes.length).toBe(1);
    expect(breaker.state).toBe('half-open');
  });

  it('is a failure when it comes after the deadline, and the next one is sent after the shortest pause', async () => {
    const { clock, probes, changes, breaker, fail } = setUp();
    fail(5);
    for (let i = 0; i < 4; i++) {
      while (probes.length === i) await clock.pass(1);
      probes[i]!.fail(refused);
      await clock.pass(0);
    }
    await clock.pass(1_000);
    await clock.pass(51);
    probes[4]!.succeed();
    await clock.pass(0);
    expect(breaker.state).toBe('open');
    expect(changes.at(-1)!.error).toMatchObject({
      code: 'STORE_TIMEOUT',
      message: expect.stringContaining("'store' took longer than the deadline of 50 ms"),
    });
    await clock.pass(100);
    expect(probes.length).toBe(6);
    probes[5]!.succeed();
    await clock.pass(0);
    expect(breaker.state).toBe('closed');
  });

  it('is in time when its answer is read right after the deadline, as after a stall of the event loop', async () => {
    const { clock, probes, breaker, fail } = setUp();
    fail(5);
    await clock.pass(100);
    clock.advance(300); // The timer of the deadline falls due, and the answer is read after it.
    probes[0]!.succeed();
    await clock.pass(0);
    expect(breaker.state).toBe('closed');
    expect(clock.pending).toBe(0);
  });

  it.each(['succeed', 'fail'] as const)(
    'is given up after half a minute: that it may %s then is ignored',
    async (end) => {
      const { clock, probes, changes, breaker, fail } = setUp();
      fail(5);
      await clock.pass(100);
      await clock.pass(50 + 29_999);
      expect(breaker.state).toBe('half-open');
      await clock.pass(1);
      expect(breaker.state).toBe('open');
      expect(changes.at(-1)!.error).toMatchObject({ code: 'STORE_TIMEOUT' });
      probes[0]![end](refused);
      await clock.pass(0);
      expect(breaker.state).toBe('open');
      expect(changes.length).toBe(3);
      await clock.pass(200);
      expect(probes.length).toBe(2);
      probes[1]!.succeed();
      await clock.pass(0);
      expect(breaker.state).toBe('closed');
    },
  );
});

describe('what a circuit tells', () => {
  it('is one error for all calls from its opening until it is closed, whose cause is what opened it', async () => {
    const { clock, probes, breaker, fail } = setUp();
    fail(5);
    const { unavailable } = breaker;
    expect(unavailable).toMatchObject({ name: 'SluiceError', code: 'STORE_UNAVAILABLE', cause: lost });
    expect(unavailable!.message).toContain(
      "circuit 'store' opened after 5 failures in a row (the last: connection lost)",
    );
    await clock.pass(100);
    expect(breaker.unavailable).toBe(unavailable);
    probes[0]!.fail(refused);
    await clock.pass(0);
    expect(breaker.unavailable).toBe(unavailable);
    await clock.pass(200);
    probes[1]!.succeed();
    await clock.pass(0);
    expect(breaker.unavailable).toBeUndefined();
    fail(5, refused);
    expect(breaker.unavailable).toMatchObject({ cause: refused });
    expect(breaker.openings).toBe(2);
  });

  it('is every change of its state, with the failure that led to it', async () => {
    const { clock, probes, changes, fail } = setUp({ name: 'node 1' });
    fail(5);
    await clock.pass(100);
    probes[0]!.fail(refused);
    await clock.pass(200);
    probes[1]!.succeed();
    await clock.pass(0);
    const circuit = 'node 1';
    expect(changes).toEqual([
      { circuit, from: 'closed', to: 'open', error: lost },
      { circuit, from: 'open', to: 'half-open', error: lost },
      { circuit, from: 'half-open', to: 'open', error: refused },
      { circuit, from: 'open', to: 'half-open', error: refused },
      { circuit, from: 'half-open', to: 'closed', error: refused },
    ]);
  });

  it.each([
    [
      'throws',
      () => {
        throw new Error('observer');
      },
    ],
    ['rejects', () => Promise.reject(new Error('observer'))],
  ])('does no harm where an observer %s', async (_title, onChange) => {
    const { clock, probes, breaker, fail } = setUp({ onChange });
    fail(5);
    await clock.pass(100);
    probes[0]!.fail(refused);
    await clock.pass(200);
    expect(breaker.state).toBe('half-open');
    probes[1]!.succeed();
    await clock.pass(0);
    expect(breaker.state).toBe('closed');
  });
});

describe('a stopped circuit', () => {
  it.each([
    ['closed', 0],
    ['open', 50],
    ['half-open', 120],
    ['half-open', 5_000],
  ])('probes no more, and stays %s: %i ms after it began to fail', async (state, ms) => {
    const { clock, probes, breaker, fail } = setUp();
    if (ms > 0) fail(5);
    await clock.pass(ms);
    breaker.stop();
    expect(clock.pending).toBe(0);
    probes[0]?.succeed();
    fail(5);
    await clock.pass(60_000);
    expect(breaker.state).toBe(state);
    expect(probes.length).toBe(ms >= 100 ? 1 : 0);
    expect(clock.pending).toBe(0);
  });

  it('may be stopped by its observer', async () => {
    for (const last of ['open', 'half-open', 'closed']) {
      const clock = new ManualClock(0);
      let probes = 0;
      const breaker: CircuitBreaker = new CircuitBreaker({
        name: 'store',
        clock,
        deadline: 50,
        probe: async () => void probes++,
        onChange: ({ to }) => to === last && breaker.stop(),
      });
      for (let i = 0; i < 5; i++) breaker.failed(lost);
      await clock.pass(60_000);
      expect([breaker.state, probes, clock.pending]).toEqual([last, last === 'open' ? 0 : 1, 0]);
    }
  });
});
