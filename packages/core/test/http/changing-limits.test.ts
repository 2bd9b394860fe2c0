import { ManualClock } from '@sluice/testing';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MemoryStore, Pipeline, type RateLimitOptions, type Verdict } from '../../src/index.ts';
import { type FakeRequest, passing, reader } from './exchange.ts';

const request: FakeRequest = { ip: '192.0.2.1' };

function remaining(verdict: Verdict): number {
  if (verdict.action !== 'pass') throw new Error(`${verdict.action}, not pass`);
  return verdict.decision.remaining;
}

describe.each(['fixed-window', 'sliding-window-log', 'sliding-window-counter'] as const)('%s', (algorithm) => {
  test('units that were taken under one limit are missing under the next', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 20 }), { minLength: 1, maxLength: 30 }), (limits) => {
        let limit = 0;
        const send = passing({ limit: () => limit, window: '1h', algorithm, clock: new ManualClock() });
        let taken = 0;
        for (limit of limits) {
          const verdict = send(request);
          expect(verdict.action).toBe(taken < limit ? 'pass' : 'refuse');
          if (taken < limit) expect(remaining(verdict)).toBe(limit - ++taken);
        }
      }),
    );
  });
});

describe.each(['token-bucket', 'leaky-bucket'] as const)('%s', (algorithm) => {
  test('a key that has used up its burst is not given another by a change of limits', () => {
    let limit = 2;
    const clock = new ManualClock();
    const send = passing({ limit: () => limit, window: '1h', algorithm, shape: false, clock });
    expect([send(request).action, send(request).action, send(request).action]).toEqual(['pass', 'pass', 'refuse']);
    limit = 1;
    expect(send(request).action).toBe('refuse');
    limit = 2;
    expect(send(request).action).toBe('refuse');
    clock.advance(3_600_000);
    expect(send(request).action).toBe('pass');
  });
});

test('a client counts on through more limits than are kept compiled', () => {
  let limit = 0;
  const send = passing({ limit: () => limit, window: '1h', algorithm: 'fixed-window', clock: new ManualClock() });
  for (limit = 5_000; limit < 7_500; limit++) expect(remaining(send(request))).toBe(4_999);
  limit = 2_500;
  expect(send(request).action).toBe('refuse');
  limit = 2_501;
  expect(remaining(send(request))).toBe(0);
});

test('the state of a key is shown by the latest limit, and reset', async () => {
  let limit = 3;
  const clock = new ManualClock();
  const pipeline = new Pipeline(reader, { limit: () => limit, window: '1h', clock, key: () => 'me' });
  expect(await pipeline.get('me')).toEqual([]);
  await pipeline.decide(request, true);
  limit = 10;
  await pipeline.decide(request, true);
  expect(await pipeline.get('me')).toMatchObject([{ policy: 'default', limit: 10, remaining: 8 }]);
  await pipeline.reset('me');
  expect(await pipeline.get('me')).toEqual([]);
  expect(await pipeline.decide(request, true)).toMatchObject({ remaining: 9 });
});

test('a limit and a window may each be a value beside a function', () => {
  const clock = new ManualClock();
  const byLimit = passing({ limit: () => 2, clock, algorithm: 'fixed-window' });
  const byWindow = passing({ window: () => '1m', clock, algorithm: 'fixed-window' });
  expect(byLimit(request)).toMatchObject({ decision: { limit: 2, resetAfter: 3_600_000 } });
  expect(byWindow(request)).toMatchObject({ decision: { limit: 1_000, resetAfter: 60_000 } });
});

test('the callbacks are asked once for each request', () => {
  let limits = 0;
  let windows = 0;
  const send = passing({
    limit: () => 5 + 0 * ++limits,
    window: () => 60_000 + 0 * ++windows,
  });
  for (let i = 0; i < 3; i++) send(request);
  expect([limits, windows]).toEqual([3, 3]);
});

test('what is wrong beside the functions throws at creation', () => {
  const limit = () => 5;
  const wrong: [object, string][] = [
    [{ limit, algorithm: 'fixed' }, 'INVALID_POLICY'],
    [{ limit, anchor: 'last' }, 'INVALID_POLICY'],
    [{ limit, window: '5 minutes' }, 'INVALID_WINDOW'],
    [{ window: () => '1m', limit: Number.NaN }, 'INVALID_POLICY'],
    [{ limit, burst: 0, algorithm: 'token-bucket' }, 'INVALID_POLICY'],
    [{ limit, limits: ['5/1m'] }, 'INVALID_OPTION'],
    [{ rules: [{ match: '/a', limit }] }, 'INVALID_OPTION'],
  ];
  for (const [options, code] of wrong) {
    expect(() => new Pipeline(reader, options as RateLimitOptions<FakeRequest>), JSON.stringify(options)).toThrow(
      expect.objectContaining({ code }),
    );
  }
});

test('limiters of one name and changing limits count together in one store', () => {
  const store = new MemoryStore();
  const send = [4, 3].map((limit) => passing({ name: 'api', limit: () => limit, window: '1h', store }));
  expect([send[0]!, send[1]!, send[0]!].map((each) => remaining(each(request)))).toEqual([3, 1, 1]);
  expect(send[1]!(request).action).toBe('refuse');
});
