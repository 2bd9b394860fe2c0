import { ManualClock } from '@sluice/testing';
import { describe, expect, it } from 'vitest';
import { MemoryStore } from '../src/memory/memory-store.ts';
import { compilePenalty, type PenaltyOptions } from '../src/penalty.ts';
import { compilePolicies } from '../src/policy.ts';

const compile = (input: unknown) => compilePenalty(input as PenaltyOptions, "rules[2]: 'penalty'", 'login');
const minute = 60_000_000;
const hour = 60 * minute;
const day = 24 * hour;

describe('a penalty', () => {
  it('is a block where it is a duration', () => {
    const { block, ban } = compile('15m');
    expect(ban).toBeUndefined();
    expect(block).toEqual({
      id: 'penalty:login-block',
      name: 'login-block',
      algorithm: 'penalty',
      limit: 1,
      capacity: 1,
      anchor: 'epoch',
      countRefused: false,
      windowMs: 900_000,
      window: 15 * minute,
      tick: 1,
      unit: 1,
      rate: 1,
      penalty: { doubles: false, longest: 15 * minute, memory: 0, restarts: false },
    });
    expect(compile(900_000)).toEqual(compile('15m'));
    expect(compile({ blockFor: '15m' })).toEqual(compile('15m'));
  });

  it.each([
    [{ escalate: true }, { doubles: true, longest: day, memory: hour, restarts: false }],
    [
      { escalate: true, longest: '2h', forgetAfter: '3h' },
      { doubles: true, longest: 2 * hour, memory: 3 * hour },
    ],
    [
      { escalate: true, blockFor: '2h' },
      { doubles: true, longest: day, memory: 2 * hour },
    ],
    [{ restart: true }, { doubles: false, longest: 15 * minute, memory: 0, restarts: true }],
    [
      { escalate: false, restart: false },
      { doubles: false, longest: 15 * minute, memory: 0, restarts: false },
    ],
    [
      { banAfter: 3, forgetAfter: '3h' },
      { doubles: false, longest: 15 * minute, memory: 0, restarts: false },
    ],
  ])('has the terms of its options: %j', (options, terms) => {
    expect(compile({ blockFor: '15m', ...options }).block!.penalty).toMatchObject(terms);
  });

  it.each([
    [{ banAfter: 5 }, { limit: 5, window: day }, { memory: hour }],
    [
      { banAfter: 1, banFor: '2h' },
      { limit: 1, window: 2 * hour },
      { longest: 2 * hour, memory: hour },
    ],
    [{ banAfter: 5, forgetAfter: '2d' }, { window: day }, { memory: 2 * day }],
    // What is counted are blocks, and they are remembered from their end on.
    [{ banAfter: 5, blockFor: '2h' }, { window: day }, { memory: 4 * hour }],
    [{ banAfter: 5, blockFor: '1m', escalate: true, longest: '8h' }, { window: day }, { memory: 9 * hour }],
  ])('bans after so many breaches: %j', (options, policy, terms) => {
    const { ban } = compile(options);
    expect(ban).toMatchObject({ id: 'penalty:login-ban', name: 'login-ban', algorithm: 'penalty', ...policy });
    expect(ban!.penalty).toMatchObject({ doubles: false, restarts: false, longest: ban!.window, ...terms });
  });

  it.each<[unknown, string, string]>([
    [{}, 'INVALID_OPTION', "needs 'blockFor'"],
    [{ blockFor: undefined }, 'INVALID_OPTION', "needs 'blockFor'"],
    [null, 'INVALID_OPTION', 'takes an object of options'],
    [true, 'INVALID_OPTION', 'takes an object of options'],
    ['soon', 'INVALID_WINDOW', "'blockFor' must be whole milliseconds"],
    [0, 'INVALID_WINDOW', "'blockFor'"],
    [Number.NaN, 'INVALID_WINDOW', "'blockFor'"],
    [{ blockFor: '400d' }, 'INVALID_WINDOW', '366 days'],
    [{ blockfor: '1m' }, 'UNKNOWN_OPTION', 'Did you mean "blockFor"?'],
    [{ blockFor: '1m', escalate: 'yes' }, 'INVALID_OPTION', '"escalate" must be a boolean'],
    [{ blockFor: '1m', restart: 1 }, 'INVALID_OPTION', '"restart" must be a boolean'],
    [{ banAfter: 5, escalate: true }, 'INVALID_OPTION', "'escalate' has no effect without 'blockFor'"],
    [{ banAfter: 5, restart: true }, 'INVALID_OPTION', "'restart' has no effect without 'blockFor'"],
    [{ blockFor: '1m', longest: '1h' }, 'INVALID_OPTION', "'longest' has no effect without 'escalate: true'"],
    [{ blockFor: '1m', forgetAfter: '1h' }, 'INVALID_OPTION', "without 'escalate: true' or 'banAfter'"],
    [{ blockFor: '1m', banFor: '1h' }, 'INVALID_OPTION', "'banFor' has no effect without 'banAfter'"],
    [
      { blockFor: '2h', escalate: true, longest: '1h' },
      'INVALID_OPTION',
      "'longest' (1h) is shorter than 'blockFor' (2h)",
    ],
    [{ blockFor: '2d', escalate: true }, 'INVALID_OPTION', "'longest' (1d by default) is shorter than 'blockFor' (2d)"],
    [{ blockFor: '1m', escalate: true, longest: '1y' }, 'INVALID_WINDOW', "'longest' must be"],
    [{ banAfter: 5, forgetAfter: 0 }, 'INVALID_WINDOW', "'forgetAfter' must be"],
    [{ banAfter: 5, banFor: '1 day' }, 'INVALID_WINDOW', "'banFor' must be"],
    ...[0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, '5', 1e9 + 1, null].map(
      (banAfter): [unknown, string, string] => [{ banAfter }, 'INVALID_OPTION', "'banAfter' must be an integer from 1"],
    ),
  ])('is refused, with the place and the remedy: %j', (input, code, message) => {
    expect(() => compile(input)).toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(/^rules\[2\]: 'penalty'/) }),
    );
    expect(() => compile(input)).toThrow(message);
  });

  it.each(['', 'a b', 'a:b', 'x'.repeat(59)])('is refused where its policies could not be called after %j', (name) => {
    expect(() => compilePenalty('1m', 'penalty', name)).toThrow("Give that a 'name' of 1 to 58 characters");
  });

  it('may say that it does not escalate or restart where there is no block', () => {
    expect(compile({ banAfter: 5, escalate: false, restart: false })).toEqual(compile({ banAfter: 5 }));
  });

  it('is no algorithm that a policy can name', () => {
    const policy = { algorithm: 'penalty' as 'fixed-window', limit: 1, window: '1m' as const };
    expect(() => compilePolicies([policy], 'policies')).toThrow(
      'unknown algorithm "penalty". Choose one of fixed-window, sliding-window-log, sliding-window-counter, ' +
        'token-bucket, leaky-bucket.',
    );
  });
});

describe('a memory store that is full', () => {
  const { block } = compile({ blockFor: '10s', escalate: true, forgetAfter: '10d' });
  const [limit] = compilePolicies([{ algorithm: 'fixed-window', limit: 5, window: '20d' }], 'policies');

  it('does not forget a key that is blocked before one that is not, though the other would be fresh later', () => {
    const clock = new ManualClock();
    const store = new MemoryStore({ maxKeys: 3, clock });
    store.consume([{ policy: block!, key: 'mallory', cost: 1 }]);
    for (let i = 0; i < 50; i++) store.consume([{ policy: limit!, key: `user:${i}`, cost: 1 }]);
    expect(store.evictions).toBe(48);
    expect(store.peek([{ policy: block!, key: 'mallory', cost: 0 }])).toMatchObject([{ allowed: false }]);
  });

  it('keeps the mark through refusals, refunds and restarts', () => {
    const clock = new ManualClock();
    const store = new MemoryStore({ maxKeys: 3, clock });
    const restarting = compile({ blockFor: '10s', restart: true }).block!;
    const charge = { policy: restarting, key: 'mallory', cost: 1 };
    store.consume([charge]);
    clock.advance(9_000);
    store.consume([charge]);
    store.release([charge]);
    // The block would have ended here.
    clock.advance(5_000);
    for (let i = 0; i < 50; i++) store.consume([{ policy: limit!, key: `user:${i}`, cost: 1 }]);
    expect(store.peek([{ ...charge, cost: 0 }])).toMatchObject([{ allowed: false, retryAfter: 5_000 }]);
  });

  it('forgets a key whose block is over like any other', () => {
    const clock = new ManualClock();
    const store = new MemoryStore({ maxKeys: 3, clock });
    store.consume([{ policy: block!, key: 'mallory', cost: 1 }]);
    // Refused keys all of them, so that the end of the block is what decides.
    const full = (key: string) => store.consume([{ policy: limit!, key, cost: 5 }]);
    clock.advance(10_000);
    for (const key of ['alice', 'bob', 'carol']) full(key);
    expect(store.evictions).toBe(1);
    expect(store.peek([{ policy: block!, key: 'mallory', cost: 0 }])).toMatchObject([{ resetAfter: 0 }]);
  });
});
