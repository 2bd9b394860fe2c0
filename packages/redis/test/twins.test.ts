import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import type { Redis } from 'ioredis';
import { describe, expect, it } from 'vitest';
import { micros, names, newYear, policies, steps, stepsWithSetbacks } from '../../core/test/algorithms/arbitraries.ts';
import { referenceFor } from '../../core/test/reference/index.ts';
import { alone, lists, movesOf, penalties, variantsOf } from './support/arbitraries.ts';
import { withServer } from './support/server.ts';
import { timedStore } from './support/timed-store.ts';
import { type Asked, type Line, type Move, Trace } from './support/trace.ts';

let redis: Redis;
withServer((client) => {
  redis = client;
});

const starts = fc.integer({ min: 0, max: 400 * 86_400_000_000 }).map((offset) => newYear + offset);
const asks = ['consume', 'consume', 'consume', 'peek', 'release', 'return'] as const;
const changes = fc.array(fc.option(fc.nat(2), { nil: undefined }), { minLength: 40, maxLength: 40 });
const key = 'alice';

/** Plays a trace through both; every field of every decision must be equal. */
async function compare(
  lines: readonly Line[],
  start: number,
  moves: readonly Move[],
  isWild: boolean,
): Promise<readonly Asked[]> {
  const { asked } = new Trace(lines, start, moves, isWild);
  await answersAlike(asked, false);
  await answersAlike(asked, true);
  return asked;
}

/** Asks Redis, each by itself or all of the same time together. */
async function answersAlike(asked: readonly Asked[], isTogether: boolean): Promise<void> {
  await redis.flushall();
  const answered = await Trace.ask(asked, (clock) => timedStore(redis, clock, isTogether));
  const wrong = answered.findIndex((one, i) => !isDeepStrictEqual(one, asked[i]));
  // A failure shows the trace up to the first answer that differs.
  if (wrong >= 0) expect(answered.slice(0, wrong + 1).map(shown)).toStrictEqual(asked.slice(0, wrong + 1).map(shown));
  expect(answered).toStrictEqual(asked);
}

function shown({ time, method, charges, decisions }: Asked): string {
  const of = charges.map(
    ({ policy, key, cost, at = '' }) => `${policy.id} ${policy.limit}/${policy.window} ${key} ${cost} ${at}`,
  );
  return `${time} ${method} ${of.join(', ')}: ${JSON.stringify(decisions)}`;
}

describe.each(names)('%s in Redis', (name) => {
  it('answers as in memory and as the exact reference does, in every field', async () => {
    const property = fc.asyncProperty(policies(name), starts, steps(asks), async (policy, start, steps) => {
      const asked = await compare([{ key, variants: [policy] }], start, alone(steps), false);
      const reference = referenceFor(policy);
      for (const { time, method, charges, decisions } of asked) {
        const { cost, at } = charges[0]!;
        if (method === 'release') reference.release(cost, at && micros(at), time);
        else expect(decisions).toStrictEqual([reference[method as 'consume' | 'peek'](cost, time)]);
      }
    });
    await fc.assert(property, { numRuns: 130 });
  });

  it('answers as in memory while the clock is set back and forth', async () => {
    const property = fc.asyncProperty(policies(name), starts, stepsWithSetbacks(asks), async (policy, start, steps) => {
      await compare([{ key, variants: [policy] }], start, alone(steps), true);
    });
    await fc.assert(property, { numRuns: 130 });
  });

  it('answers as in memory while the policy changes', async () => {
    const variants = variantsOf(name, 2, 3);
    const property = fc.asyncProperty(
      variants,
      starts,
      steps(asks),
      changes,
      async (variants, start, steps, changes) => {
        await compare([{ key, variants }], start, alone(steps, changes), true);
      },
    );
    await fc.assert(property, { numRuns: 130 });
  });
});

describe('a penalty in Redis', () => {
  it('answers as in memory, whatever its terms become and where the clock is set', async () => {
    const variants = fc.array(penalties('test'), { minLength: 1, maxLength: 2 });
    const moves = stepsWithSetbacks(asks);
    const property = fc.asyncProperty(variants, starts, moves, changes, async (variants, start, steps, changes) => {
      await compare([{ key, variants }], start, alone(steps, variants.length > 1 ? changes : []), true);
    });
    await fc.assert(property, { numRuns: 200 });
  });
});

describe('several policies and keys in Redis', () => {
  it('are all charged or none, and answer as in memory', async () => {
    const property = fc.asyncProperty(lists(1), starts, movesOf(false), async (lines, start, moves) => {
      await compare(lines, start, moves, false);
    });
    await fc.assert(property, { numRuns: 130 });
  });

  it('answer as in memory while policies change and the clock is set back and forth', async () => {
    const property = fc.asyncProperty(lists(2), starts, movesOf(true), async (lines, start, moves) => {
      await compare(lines, start, moves, true);
    });
    await fc.assert(property, { numRuns: 130 });
  });
});
