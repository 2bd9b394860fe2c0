import { compilePolicies, MemoryStore } from '@sluice/core';
import { ManualClock } from '@sluice/testing';
import fc from 'fast-check';
import type { Redis } from 'ioredis';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { newYear, type Step, steps, stepsWithSetbacks } from '../../core/test/algorithms/arbitraries.ts';
import { RedisStore } from '../src/index.ts';
import { alone } from './support/arbitraries.ts';
import { patient } from './support/conforms.ts';
import { serverTime, withServer } from './support/server.ts';
import { timedStore } from './support/timed-store.ts';
import { Trace } from './support/trace.ts';

let redis: Redis;
withServer((client) => {
  redis = client;
});
beforeEach(() => redis.flushall());

const name = 'ratelimit:sliding-window-log:{alice}';
const most = 2 ** 52;

function policyOf(limit: number, countRefused = false) {
  return compilePolicies([{ algorithm: 'sliding-window-log', limit, window: '10s', countRefused }], 'test')[0]!;
}

/** The log as Redis keeps it, where it is one block: what is gone and what was given back, then a time and a total per grant. */
async function numbers(): Promise<readonly number[]> {
  const bytes = (await redis.getBuffer(name))!;
  return Array.from({ length: bytes.length / 8 }, (_, i) => bytes.readDoubleBE(8 * i));
}

function bytesOf(numbers: readonly number[]): Buffer {
  const bytes = Buffer.alloc(8 * numbers.length);
  for (const [i, number] of numbers.entries()) bytes.writeDoubleBE(number, 8 * i);
  return bytes;
}

/** Grants of one unit each, at these times, as a log whose blocks hold 1,023 of them. */
async function put(times: readonly number[]): Promise<void> {
  const records = times.flatMap((time, i) => [...(i > 0 && i % 1_023 === 0 ? [Infinity, 0] : []), time, i + 1]);
  await redis.set(name, bytesOf([0, 0, 0, ...records]), 'PX', 3_600_000);
}

/** As if so many units had been granted to the key before, long ago. */
async function age(units: number): Promise<void> {
  const [gone = 0, base = 0, empty = 0, ...grants] = await numbers();
  const aged = grants.map((number, i) => (i % 2 === 1 ? number + units : number));
  await redis.set(name, bytesOf([gone, base + units, empty, ...aged]));
}

describe('a log that has granted as many units as a number holds', () => {
  it.each([false, true])('starts its count anew, and answers as in memory (countRefused: %s)', async (countRefused) => {
    const policy = policyOf(1_000_000_000, countRefused);
    const clock = new ManualClock();
    const store = timedStore(redis, clock);
    const memory = new MemoryStore({ clock });
    const take = async (cost: number) => {
      const charges = [{ policy, key: 'alice', cost }];
      const [mine, theirs] = [await store.consume(charges), memory.consume(charges)];
      expect(mine).toStrictEqual(theirs);
      return mine[0]!;
    };
    await take(250_000_000);
    clock.advance(1_000);
    await take(250_000_000);
    // To where one unit more, and then a hundred, pass what can be counted.
    await age(most - 500_000_050);
    for (const cost of [40, 9, 1, 1, 100, 400_000_000, 200_000_000, 1_000_000_001, 0, 99_999_849]) {
      clock.advance(1);
      await take(cost);
      expect(await store.peek([{ policy, key: 'alice', cost: 7 }])).toStrictEqual(
        memory.peek([{ policy, key: 'alice', cost: 7 }]),
      );
    }
    expect((await numbers()).at(-1)).toBeLessThanOrEqual(2_000_000_000);
    clock.jump(9_000);
    await take(250_000_000);
  });
});

describe('a log under steady traffic', () => {
  it('keeps no more than what has not expired, and half as much again', async () => {
    const policy = policyOf(100);
    const clock = new ManualClock();
    const store = timedStore(redis, clock);
    const memory = new MemoryStore({ clock });
    let longest = 0;
    for (let i = 0; i < 1_000; i++) {
      clock.jump(i % 7 === 0 ? 333 : 77);
      const charges = [{ policy, key: 'alice', cost: 1 + (i % 3) }];
      expect(await store.consume(charges)).toStrictEqual(memory.consume(charges));
      longest = Math.max(longest, (await redis.strlen(name)) / 16);
    }
    expect(longest).toBeGreaterThan(60);
    expect(longest).toBeLessThanOrEqual(1 + 100 + 100 + 17);
  });

  it('answers as in memory while refusals push the oldest units out, one part of a grant after the other', async () => {
    const policy = policyOf(50, true);
    const clock = new ManualClock();
    const store = timedStore(redis, clock);
    const memory = new MemoryStore({ clock });
    for (let i = 0; i < 400; i++) {
      clock.jump((i * 37) % 450);
      const charges = [{ policy, key: 'alice', cost: (i * 7) % 19 }];
      expect(await store.consume(charges)).toStrictEqual(memory.consume(charges));
      if (i % 5 === 0) {
        await store.release(charges);
        memory.release(charges);
      }
      const look = [{ policy, key: 'alice', cost: 13 }];
      expect(await store.peek(look)).toStrictEqual(memory.peek(look));
    }
  });
});

/** A client that sends the scripts as they are, but for the size of the blocks of a log, and of what is read at once. */
function withSmallBlocks(): Redis {
  const sizes = { BLOCK: [1_023, 3], GLANCE: [520, 40], PIECE: ['2 ^ 16', 32] };
  const small: Redis = Object.create(redis);
  small.eval = ((text: string, ...args: [number, ...string[]]) => {
    for (const [size, [is, becomes]] of Object.entries(sizes)) {
      const before = text;
      text = text.replace(`local ${size} = ${is}\n`, `local ${size} = ${becomes}\n`);
      if (before === text && text.includes('open_log')) throw new Error(`The script has no ${size} of ${is}.`);
    }
    return redis.eval(text, ...args);
  }) as Redis['eval'];
  return small;
}

describe('a log of many blocks', () => {
  let small: Redis;
  beforeAll(() => {
    small = withSmallBlocks();
  });
  const asks = ['consume', 'consume', 'consume', 'peek', 'release', 'return', 'return'] as const;
  const policies = fc
    .integer({ min: 1, max: 40 })
    .chain((limit) =>
      fc.record({ limit: fc.constant(limit), window: fc.integer({ min: 1, max: 1_000 }), countRefused: fc.boolean() }),
    );
  const ones = (steps: readonly Step[], few: boolean) =>
    steps.map((step, i) => ({
      ...step,
      cost: few && i % 3 > 0 ? () => 1 : step.cost,
      gap: few && i % 5 > 0 ? (...[{ window }]: Parameters<Step['gap']>) => Math.round(window / 40) : step.gap,
    }));

  it.each([
    ['', steps(asks, 90)],
    [', while the clock is set back and forth', stepsWithSetbacks(asks)],
  ])('answers as in memory%s', async (how, moves) => {
    const property = fc.asyncProperty(policies, moves, fc.boolean(), async (options, moves, few) => {
      const policy = compilePolicies([{ algorithm: 'sliding-window-log', ...options }], 'test')[0]!;
      const line = { key: 'alice', variants: [policy] };
      const { asked } = new Trace([line], newYear, alone(ones(moves, few)), how !== '');
      await redis.flushall();
      expect(await Trace.ask(asked, (clock) => timedStore(small, clock))).toStrictEqual(asked);
    });
    await fc.assert(property, { numRuns: 300 });
  });

  it.each([false, true])('answers as in memory while it never ends (countRefused: %s)', async (countRefused) => {
    const policy = compilePolicies(
      [{ algorithm: 'sliding-window-log', limit: 60, window: '100ms', countRefused }],
      'test',
    )[0]!;
    const moves = fc.array(fc.tuple(fc.nat(49), fc.nat(1_000)), { minLength: 150, maxLength: 300, size: 'max' });
    const property = fc.asyncProperty(moves, async (moves) => {
      await redis.flushall();
      const clock = new ManualClock();
      const store = timedStore(small, clock);
      const memory = new MemoryStore({ clock });
      let latest = 0;
      let released = 0;
      const grants: { readonly cost: number; readonly at: number }[] = [];
      for (const [what, n] of moves) {
        const cost = 1 + (n % 3);
        // What had left the window when something was given back is forgotten for good in memory, and later in Redis.
        const back = Math.min(n % 60, Math.floor((clock.now() - released) / 1_000));
        clock.jump(what === 49 ? -back : n % 4);
        // What is given back while the clock is behind is forgotten at other instants in memory than in Redis.
        latest = Math.max(latest, clock.now());
        // Mostly of the last ones, before they are gone.
        const last = grants.length - 1 - (n % 25);
        const [refund] =
          what < 12 && grants.length > 0 && clock.now() >= latest ? grants.splice(Math.max(0, last), 1) : [];
        if (refund !== undefined) {
          const { cost, at } = refund;
          const refunds = [
            { policy, key: 'alice', cost: n % 3 === 0 ? 5 * cost : cost, at: n % 20 === 0 ? undefined : at },
          ];
          await store.release(refunds);
          memory.release(refunds);
          released = clock.now();
        } else {
          const charges = [{ policy, key: 'alice', cost }];
          const [mine, theirs] = [await store.consume(charges), memory.consume(charges)];
          expect(mine).toStrictEqual(theirs);
          if (mine[0]!.allowed) grants.push({ cost, at: mine[0]!.at });
        }
        const look = [{ policy, key: 'alice', cost: n % 61 }];
        expect(await store.peek(look)).toStrictEqual(memory.peek(look));
      }
      memory.close();
    });
    await fc.assert(property, { numRuns: 25, endOnFailure: true });
  });

  it('answers as in memory while grants are given back in any order, and keeps few of those', async () => {
    const order = fc.array(fc.nat(), { minLength: 100, maxLength: 200 });
    const property = fc.asyncProperty(order, async (order) => {
      await redis.flushall();
      const policy = policyOf(60);
      const clock = new ManualClock();
      const store = timedStore(small, clock);
      const memory = new MemoryStore({ clock });
      const charges = [{ policy, key: 'alice', cost: 2 }];
      const held: number[] = [];
      for (const [i, which] of order.entries()) {
        clock.jump(1);
        if (held.length === 30 || (which % 3 === 0 && held.length > 0)) {
          // The first is held to the end, so that the others do not leave as the oldest.
          const [at] = held.splice(1 + (which % (held.length - 1 || 1)), 1);
          if (at === undefined) continue;
          await store.release([{ ...charges[0]!, at }]);
          memory.release([{ ...charges[0]!, at }]);
        } else {
          const [mine, theirs] = [await store.consume(charges), memory.consume(charges)];
          expect(mine).toStrictEqual(theirs);
          held.push(mine[0]!.at);
        }
        if (i % 10 === 0) expect(await store.peek(charges)).toStrictEqual(memory.peek(charges));
        const records = (await redis.strlen(name)) / 16;
        expect(records).toBeLessThanOrEqual((2 * held.length + 18) * (4 / 3) + 4);
      }
    });
    await fc.assert(property, { numRuns: 15, endOnFailure: true });
  });
});

describe('a log of fifty thousand grants', () => {
  const policy = compilePolicies([{ algorithm: 'sliding-window-log', limit: 60_000, window: '1h' }], 'test')[0]!;
  const blocks = Math.ceil(50_000 / 1_023);
  let store: RedisStore;
  beforeEach(async () => {
    store = new RedisStore(redis, patient);
    await store.consume([{ policy, key: 'bob', cost: 1 }]);
    await store.release([{ policy, key: 'bob', cost: 1 }]);
  });

  /** How often that reads from a log or writes to one, and how often it replaces one. */
  async function calls(act: () => unknown): Promise<Readonly<Record<'getrange' | 'setrange' | 'set', number>>> {
    await redis.config('RESETSTAT');
    await act();
    const stats = await redis.info('commandstats');
    const of = (name: string) => Number(new RegExp(`cmdstat_${name}:calls=(\\d+)`).exec(stats)?.[1] ?? 0);
    return { getrange: of('getrange'), setrange: of('setrange'), set: of('set') };
  }

  it('is written to in few places when a grant is given back, however old it is', async () => {
    const start = (await serverTime(redis)) - 1_000_000;
    for (const which of [0, 1, 25_000, 49_999]) {
      await put(Array.from({ length: 50_000 }, (_, i) => start + 2 * i));
      const { getrange, setrange, set } = await calls(() =>
        store.release([{ policy, key: 'alice', cost: 1, at: (start + 2 * which) / 1_000 }]),
      );
      expect(setrange).toBeLessThanOrEqual(blocks + 1);
      expect(getrange).toBeLessThanOrEqual(blocks + 250);
      expect(set).toBe(0);
      const [decision] = await store.peek([{ policy, key: 'alice', cost: 0 }]);
      expect(decision).toMatchObject({ remaining: 10_001, source: 'store' });
    }
  });

  it('is written to in few places when the clock was set back, however far', async () => {
    for (const ahead of [1, 25_000, 50_000]) {
      // So many of them an hour ahead.
      const now = await serverTime(redis);
      await put(Array.from({ length: 50_000 }, (_, i) => now + i + (i < 50_000 - ahead ? -1_000_000 : 3_000_000_000)));
      const { getrange, setrange, set } = await calls(() => store.consume([{ policy, key: 'alice', cost: 1 }]));
      expect(setrange).toBeLessThanOrEqual(blocks);
      expect(getrange).toBeLessThanOrEqual(blocks + 250);
      expect(set).toBe(0);
      const [decision] = await store.peek([{ policy, key: 'alice', cost: 10_000 }]);
      expect(decision).toMatchObject({ allowed: false, remaining: 9_999, source: 'store' });
      expect(decision!.resetAfter).toBeLessThanOrEqual(3_600_000);
    }
  });

  it('is looked at in few places by a request', async () => {
    // A fifth of them is gone.
    const now = await serverTime(redis);
    await put(Array.from({ length: 50_000 }, (_, i) => now - (i < 10_000 ? 7_200_000_000 : 1_000_000) + i));
    const { getrange, setrange } = await calls(() => store.consume([{ policy, key: 'alice', cost: 20_001 }]));
    expect(getrange).toBeLessThanOrEqual(100);
    expect(setrange).toBe(0);
  });
});

describe('a short log', () => {
  it('is read once, whether a request is granted or refused', async () => {
    const policy = compilePolicies([{ algorithm: 'sliding-window-log', limit: 20, window: '1h' }], 'test')[0]!;
    const store = new RedisStore(redis, patient);
    for (let i = 0; i < 25; i++) {
      await redis.config('RESETSTAT');
      await store.consume([{ policy, key: 'alice', cost: 1 }]);
      const stats = await redis.info('commandstats');
      expect(stats).toMatch(/cmdstat_getrange:calls=1,/);
      expect(stats).not.toMatch(/cmdstat_strlen/);
    }
  });
});

describe('bytes of somebody else under the name of a log', () => {
  it.each([1, 16, 24, 32, 39, 40, 56, 520, 521, 24 + 16 * 1_024, 65_536])('are an error (%i)', async (length) => {
    const store = timedStore(redis, new ManualClock());
    for (const byte of [0, 0x41, 0xff]) {
      await redis.set(name, Buffer.alloc(length, byte));
      const charges = [{ policy: policyOf(10), key: 'alice', cost: 1 }];
      await expect(store.consume(charges)).rejects.toThrow(name);
      await expect(store.release(charges)).rejects.toThrow(name);
    }
  });
});
