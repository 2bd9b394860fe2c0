import { compilePolicies, MemoryStore } from '@sluice/core';
import { ManualClock } from '@sluice/testing';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { RedisServer } from '../../../test/support/redis/server.ts';
import { timedStore } from './support/timed-store.ts';

let server: RedisServer;
let redis: Redis;
beforeAll(async () => {
  server = await RedisServer.start();
  redis = new Redis(server.url);
});
afterAll(async () => {
  redis.disconnect();
  await server.stop();
});
beforeEach(() => redis.flushall());

const name = 'ratelimit:sliding-window-log:{alice}';
const most = 2 ** 52;

function policyOf(limit: number, countRefused = false) {
  return compilePolicies([{ algorithm: 'sliding-window-log', limit, window: '10s', countRefused }], 'test')[0]!;
}

/** The log as Redis keeps it: a record of what is gone, then an instant and a total per grant. */
async function records(): Promise<readonly (readonly [number, number])[]> {
  const bytes = (await redis.getBuffer(name))!;
  return Array.from({ length: bytes.length / 16 }, (_, i) => [
    bytes.readDoubleBE(16 * i),
    bytes.readDoubleBE(16 * i + 8),
  ]);
}

/** As if so many units had been granted to the key before, long ago. */
async function age(units: number): Promise<void> {
  const old = await records();
  const bytes = Buffer.alloc(16 * old.length);
  for (const [i, [first, second]] of old.entries()) {
    bytes.writeDoubleBE(first, 16 * i);
    bytes.writeDoubleBE(second + units, 16 * i + 8);
  }
  await redis.set(name, bytes);
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
    const [, last] = (await records()).at(-1)!;
    expect(last).toBeLessThanOrEqual(2_000_000_000);
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
