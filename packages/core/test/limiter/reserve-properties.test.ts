import { ManualClock } from '@sluice/testing';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type AlgorithmName, createLimiter, MemoryStore, type Reservation, type Store } from '../../src/index.ts';
import { asyncStore } from './async-store.ts';

const limit = 10;
const windowMs = 1_000;
const expiresIn = 5_000;

type End = { type: 'commit' | 'cancel' | 'dispose'; who: number; cost: number };
type Action = { type: 'reserve'; cost: number } | { type: 'consume'; cost: number } | End;

const cost = fc.integer({ min: 0, max: limit + 1 });
const reserve = fc.record({ type: fc.constant('reserve' as const), cost });
const end = fc.record({
  type: fc.constantFrom('commit' as const, 'cancel' as const, 'dispose' as const),
  who: fc.nat(15),
  cost,
});
const settle = fc.record({ type: fc.constantFrom('cancel' as const, 'dispose' as const), who: fc.nat(15), cost });
const pause = fc.oneof(fc.constant(0), fc.nat(700));

const wraps: [string, (store: MemoryStore) => Store][] = [
  ['a store that answers at once', (store) => store],
  ['a store that answers later', (store) => asyncStore(store)],
];

function setUp(algorithm: AlgorithmName, wrap: (store: MemoryStore) => Store) {
  const clock = new ManualClock();
  const store = wrap(new MemoryStore({ clock: { now: () => clock.now(), after: () => () => {} } }));
  const limiter = createLimiter({ policies: { algorithm, limit, window: windowMs }, store, clock });
  return { clock, limiter };
}

describe.each(wraps)('with %s', (_, wrap) => {
  test('what is held and what is committed never exceed the limit of a window, whatever is done at once', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(pause, fc.array(fc.oneof(reserve, end), { maxLength: 6 }))), async (trace) => {
        const { clock, limiter } = setUp('fixed-window', wrap);
        const units = new Map<Reservation, { window: number; units: number }>();
        for (const [after, actions] of trace) {
          await clock.pass(after);
          const window = Math.floor(clock.now() / 1_000 / windowMs);
          const open = [...units.keys()];
          await Promise.allSettled(
            (actions as Action[]).map(async (action) => {
              if (action.type === 'reserve') {
                const made = await limiter.reserve('key', action.cost, { expiresIn });
                if (made.allowed) units.set(made, { window, units: action.cost });
              } else if (action.type !== 'consume') {
                const reservation = open[action.who];
                const held = reservation && units.get(reservation);
                if (!held) return;
                if (action.type === 'commit') {
                  // Beyond what is held, a commit may exceed the limit; here it stays within.
                  const actual = Math.min(action.cost, held.units);
                  await reservation.commit(actual);
                  held.units = actual;
                } else {
                  await reservation.cancel();
                  units.delete(reservation);
                }
              }
            }),
          );
          const taken = [...units.values()].filter((one) => one.window === window);
          expect(taken.reduce((sum, one) => sum + one.units, 0)).toBeLessThanOrEqual(limit);
        }
      }),
    );
  });

  test.each<AlgorithmName>(['fixed-window', 'sliding-window-log', 'sliding-window-counter'])(
    'a key is as it was without the reservations once all of them are cancelled or have expired: %s',
    async (algorithm) => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.tuple(pause, fc.oneof(reserve, settle)), { maxLength: 20 }),
          fc.boolean(),
          async (trace, expire) => {
            const { clock, limiter } = setUp(algorithm, wrap);
            const reservations: Reservation[] = [];
            for (const [after, action] of trace as [number, Action][]) {
              await clock.pass(after);
              if (action.type === 'reserve') {
                reservations.push(await limiter.reserve('key', action.cost, { expiresIn: 20_000 }));
              } else if (action.type === 'cancel') {
                await reservations[(action as End).who]?.cancel();
              } else {
                await reservations[(action as End).who]?.[Symbol.asyncDispose]();
              }
            }
            if (expire) await clock.pass(20_000);
            else await Promise.all(reservations.map((reservation) => reservation.cancel()));
            expect(await limiter.peek('key', 0)).toMatchObject({ allowed: true, remaining: limit, resetAfter: 0 });
            expect(clock.pending).toBe(0);
          },
        ),
        { numRuns: 50 },
      );
    },
  );

  test.each<AlgorithmName>(['token-bucket', 'leaky-bucket'])(
    'a bucket is as it was once all that was reserved at this instant is cancelled: %s',
    async (algorithm) => {
      await fc.assert(
        fc.asyncProperty(fc.nat(limit), fc.array(cost), pause, async (before, costs, after) => {
          const { clock, limiter } = setUp(algorithm, wrap);
          await limiter.consume('key', before);
          await clock.pass(after);
          const fresh = await limiter.peek('key', 0);
          const reservations = await Promise.all(costs.map((one) => limiter.reserve('key', one)));
          await Promise.all(reservations.map((reservation) => reservation.cancel()));
          expect(await limiter.peek('key', 0)).toEqual(fresh);
        }),
        { numRuns: 50 },
      );
    },
  );

  test.each<AlgorithmName>(['token-bucket', 'leaky-bucket'])(
    'a bucket has never more than if nobody had reserved: %s',
    async (algorithm) => {
      await fc.assert(
        fc.asyncProperty(fc.nat(limit), fc.array(fc.tuple(pause, fc.oneof(reserve, end))), async (before, trace) => {
          const { clock, limiter } = setUp(algorithm, wrap);
          await limiter.consume('key', before);
          await limiter.consume('untouched', before);
          const reservations: Reservation[] = [];
          for (const [after, action] of trace as [number, Action][]) {
            await clock.pass(after);
            if (action.type === 'reserve') reservations.push(await limiter.reserve('key', action.cost, { expiresIn }));
            else if (action.type === 'commit') await reservations[action.who]?.commit(action.cost).catch(() => {});
            else if (action.type !== 'consume') await reservations[action.who]?.cancel();
            const [touched, untouched] = [await limiter.peek('key', 0), await limiter.peek('untouched', 0)];
            expect(touched.remaining).toBeLessThanOrEqual(untouched.remaining);
          }
        }),
        { numRuns: 50 },
      );
    },
  );
});
