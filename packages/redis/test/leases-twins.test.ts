import { isDeepStrictEqual } from 'node:util';
import { type Charge, type CompiledPolicy, type Decision, leaseTime, type Refund } from '@sluice/core';
import { ManualClock } from '@sluice/testing';
import fc from 'fast-check';
import type { Redis } from 'ioredis';
import { describe, expect, it } from 'vitest';
import {
  micros,
  newYear,
  policies,
  type Step,
  steps,
  stepsWithSetbacks,
} from '../../core/test/algorithms/arbitraries.ts';
import { LendingStore } from '../../core/test/leases/support/lending-store.ts';
import { variantsOf } from './support/arbitraries.ts';
import { withServer } from './support/server.ts';
import { timedStore } from './support/timed-store.ts';

let redis: Redis;
withServer((client) => {
  redis = client;
});

const names = ['token-bucket', 'fixed-window', 'sliding-window-counter'] as const;
const key = 'alice';

/** What is done besides a step, or instead of it. */
interface Turn {
  readonly ask: 'consume' | 'peek' | 'release' | 'return' | 'lease' | 'reset';
  readonly demand: number;
  readonly extra: number;
  readonly share: number;
  /** Which variant the policy changes to before, if it does. */
  readonly variant: number | undefined;
  /** Lease times that pass, instead of the gap of the step, and microseconds besides. */
  readonly pauses: readonly [number, number] | undefined;
}

const asks = ['consume', 'consume', 'lease', 'lease', 'lease', 'lease', 'peek', 'release', 'return'] as const;
const turns: fc.Arbitrary<readonly Turn[]> = fc.array(
  fc
    .record({
      ask: fc.oneof(
        { arbitrary: fc.constantFrom(...asks), weight: 20 },
        { arbitrary: fc.constant('reset' as const), weight: 1 },
      ),
      demand: fc.oneof(fc.constantFrom(0, 1), fc.integer({ min: 0, max: 2_000_000_000 })),
      extra: fc.oneof(fc.constantFrom(0, 16), fc.integer({ min: 0, max: 2_000_000_000 })),
      share: fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 9 })),
      variant: fc.option(fc.nat(2), { nil: undefined, freq: 4 }),
      pauses: fc.option(
        fc.tuple(
          fc.integer({ min: 0, max: 5 }).map((n) => n / 2),
          fc.integer({ min: -2, max: 2 }),
        ),
      ),
    })
    .map(({ pauses, ...rest }) => ({ ...rest, pauses: pauses ?? undefined })),
  { minLength: 40, maxLength: 40 },
);

/** A step of a trace: when, and what was asked of the model of a store in memory and answered. */
interface Asked {
  readonly time: number;
  readonly method: 'consume' | 'peek' | 'release' | 'reset' | 'lease';
  readonly arguments: readonly unknown[];
  readonly answer: unknown;
}

/** Plays a trace through the model. */
function played(
  variants: readonly CompiledPolicy[],
  start: number,
  steps: readonly Step[],
  turns: readonly Turn[],
  isWild: boolean,
) {
  let policy = variants[0]!;
  const changes = variants.length > 1;
  const clock = new ManualClock(start / 1_000);
  const store = new LendingStore(clock);
  const asked: Asked[] = [];
  let latest = 0;
  /** When the key may expire: in Redis up to a millisecond later than here, which another policy would see. */
  const expiries: number[] = [];
  const ask = (method: Asked['method'], ...args: unknown[]) => {
    const answer = (store[method] as (...args: unknown[]) => unknown)(...args);
    asked.push({ time: clock.now(), method, arguments: args, answer });
    return answer;
  };
  const look = (cost: number): Decision => {
    const [decision] = ask('peek', [{ policy, key, cost }]) as [Decision];
    if (changes) expiries.push(micros(decision.at) + micros(decision.resetAfter));
    return decision;
  };
  let last = look(0);
  const grants: Refund[] = [];
  /** What is fresh may be gone or not: looked at earlier, it would count again. */
  const forgetFresh = () => {
    if (isWild && look(0).resetAfter === 0) ask('reset', key, [policy]);
  };
  for (const [i, step] of steps.entries()) {
    const { ask: what, demand, extra, share, pauses } = turns[i]!;
    const [times, more] = pauses ?? [];
    const gap = times === undefined ? step.gap(policy, last) : Math.floor(leaseTime(policy) * 1_000 * times) + more!;
    forgetFresh();
    let then = Math.max(0, clock.now() + (isWild && !changes ? gap : Math.max(0, gap)));
    expiries.sort((a, b) => a - b);
    for (const instant of expiries) if (instant <= then && then < instant + 2_000) then = instant + 2_000;
    clock.jump((then - clock.now()) / 1_000);
    forgetFresh();
    const { variant } = turns[i]!;
    if (changes && variant !== undefined) {
      policy = variants[variant % variants.length]!;
      // Until a request has brought a state under its new policy, it is kept for as long as under the old one.
      if (what === 'release' || what === 'return') ask('consume', [{ policy, key, cost: 1 }]);
    }
    const isBehind = clock.now() < latest;
    latest = Math.max(latest, clock.now());
    const cost = step.cost(policy, last);
    const charge: Charge = { policy, key, cost };
    if (what === 'consume') {
      const [decision] = ask('consume', [charge]) as Decision[];
      if (decision!.allowed) grants.push({ ...charge, at: decision!.at });
    } else if (what === 'lease') {
      ask('lease', { policy, key, demand: demand % (2 * cost + 2), extra: extra % (policy.capacity + 2), share });
    } else if (what === 'release' && !isBehind) ask('release', [charge]);
    else if (what === 'return' && !isBehind && grants.length > 0) {
      ask('release', [{ ...grants.splice(step.which % grants.length, 1)[0]!, policy }]);
    } else if (what === 'reset') ask('reset', key, [policy]);
    look(0);
    last = look(cost);
  }
  return asked;
}

/** Asks Redis, each by itself, and all of the same time together. The first loads what the second must find. */
async function compare(asked: readonly Asked[]): Promise<void> {
  await answersAlike(asked, false);
  await answersAlike(asked, true);
}

async function answersAlike(asked: readonly Asked[], isTogether: boolean): Promise<void> {
  await redis.flushall();
  let time = 0;
  const store = timedStore(redis, { now: () => time }, isTogether);
  const answered = await Promise.all(
    asked.map(async (one) => {
      time = one.time;
      const method = store[one.method] as (...args: unknown[]) => Promise<unknown>;
      return { ...one, answer: await method(...one.arguments) };
    }),
  );
  const wrong = answered.findIndex((one, i) => !isDeepStrictEqual(one, asked[i]));
  if (wrong >= 0) expect(answered.slice(0, wrong + 1).map(shown)).toStrictEqual(asked.slice(0, wrong + 1).map(shown));
  expect(answered).toStrictEqual(asked);
}

function shown({ time, method, arguments: args, answer }: Asked): string {
  const named = JSON.stringify(args, (name, value) => (name === 'policy' ? `${value.limit}/${value.window}` : value));
  return `${time} ${method} ${named}: ${JSON.stringify(answer)}`;
}

const starts = fc.integer({ min: 0, max: 400 * 86_400_000_000 }).map((offset) => newYear + offset);
const stepAsks = ['consume'] as const;

describe.each(names)('leases of a %s in Redis', (name) => {
  const leasable = policies(name).filter((policy) => leaseTime(policy) > 0 || policy.countRefused);

  it('are what the model of them is, in every field of every answer after them', async () => {
    const property = fc.asyncProperty(leasable, starts, steps(stepAsks), turns, async (policy, start, steps, turns) => {
      await compare(played([policy], start, steps, turns, false));
    });
    await fc.assert(property, { numRuns: 130 });
  });

  it('are so while the clock is set back and forth', async () => {
    const moves = stepsWithSetbacks(stepAsks);
    const property = fc.asyncProperty(leasable, starts, moves, turns, async (policy, start, steps, turns) => {
      await compare(played([policy], start, steps, turns, true));
    });
    await fc.assert(property, { numRuns: 130 });
  });

  it('are so while the policy changes', async () => {
    const variants = variantsOf(name, 2, 3);
    const property = fc.asyncProperty(
      variants,
      starts,
      steps(stepAsks),
      turns,
      async (variants, start, steps, turns) => {
        await compare(played(variants, start, steps, turns, true));
      },
    );
    await fc.assert(property, { numRuns: 130 });
  });
});
