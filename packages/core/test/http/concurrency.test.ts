import { ManualClock } from '@sluice/testing';
import { expect, test } from 'vitest';
import { MemoryStore, Pipeline, type RateLimitOptions } from '../../src/index.ts';
import { type FakeRequest, passing, reader } from './exchange.ts';

const request: FakeRequest = { ip: '192.0.2.1' };
const free = { limit: false } as const;

/** A response that ends when it is told to. */
function response() {
  const listeners: (() => void)[] = [];
  return {
    statusCode: 200,
    destroyed: false,
    writableEnded: false,
    once: (event: string, listener: () => void) => void (event === 'close' && listeners.push(listener)),
    removeListener: () => {},
    getHeader: () => undefined,
    setHeader: () => {},
    close: () => {
      for (const listener of listeners.splice(0)) listener();
    },
  };
}

test('a place of a process that has died is free after the timeout, for every process', () => {
  const clock = new ManualClock();
  const store = new MemoryStore({ clock });
  const options = { ...free, concurrency: { limit: 2, timeout: '30s' }, store, clock } as const;
  const died = passing(options);
  const lives = passing(options);
  expect(died(request).action).toBe('pass');
  clock.advance(10_000);
  expect(lives(request).action).toBe('pass');
  expect(lives(request)).toMatchObject({ action: 'refuse', headers: { 'Retry-After': '1' } });
  clock.advance(19_999.999);
  expect(lives(request).action).toBe('refuse');
  clock.advance(0.001);
  expect(lives(request).action).toBe('pass');
  expect(lives(request).action).toBe('refuse');
});

test('a response that ends frees its own place, once', () => {
  const pipeline = new Pipeline(reader, { ...free, concurrency: 2, clock: new ManualClock() });
  const responses = [response(), response(), response(), response()];
  const act = (i: number) => (pipeline.handle(request, responses[i]!, responses[i]!) as { action: string }).action;
  expect([act(0), act(1), act(2)]).toEqual(['pass', 'pass', 'refuse']);
  responses[0]!.close();
  responses[0]!.close();
  // The refused one holds no place that its end could free.
  responses[2]!.close();
  expect([act(2), act(3)]).toEqual(['pass', 'refuse']);
});

test('a response that has ended before the store answers holds no place', () => {
  const pipeline = new Pipeline(reader, { ...free, concurrency: 1, clock: new ManualClock() });
  const ended = response();
  const store = {
    ...ended,
    get destroyed() {
      return true;
    },
  };
  expect(pipeline.handle(request, store, store)).toEqual({ action: 'gone' });
  expect(pipeline.handle(request, ended, ended)).toMatchObject({ action: 'pass' });
});

test('a place that a shadow counts is free again when the response ends', () => {
  const told: boolean[] = [];
  const pipeline = new Pipeline<FakeRequest>(reader, {
    ...free,
    concurrency: 1,
    mode: 'shadow',
    clock: new ManualClock(),
    onDecision: ({ decision }) => void told.push(decision.allowed),
  });
  const first = response();
  const others = response();
  pipeline.handle(request, first, first);
  pipeline.handle(request, others, others);
  first.close();
  pipeline.handle(request, others, others);
  expect(told).toEqual([true, false, true]);
});

test('a decision without an answer takes no place', async () => {
  const pipeline = new Pipeline(reader, { limit: 9, concurrency: 1, clock: new ManualClock() });
  for (const left of [8, 7, 6]) expect(await pipeline.decide(request, true)).toMatchObject({ remaining: left });
});

test('where nothing but places is limited, a decision that passes is without bounds', () => {
  const verdict = passing({ ...free, concurrency: 1, clock: new ManualClock() })(request);
  expect(verdict).toMatchObject({
    action: 'pass',
    headers: {},
    decision: { allowed: true, policy: 'default-concurrency', remaining: Number.POSITIVE_INFINITY, used: 0 },
  });
});

test('keys have places of their own', () => {
  const send = passing({ ...free, concurrency: 1, clock: new ManualClock() });
  const action = (ip: string) => send({ ip }).action;
  expect(['192.0.2.1', '192.0.2.2', '192.0.2.1'].map(action)).toEqual(['pass', 'pass', 'refuse']);
});

test('no place at all refuses everybody for good', () => {
  const verdict = passing({ ...free, concurrency: 0, clock: new ManualClock() })(request);
  expect(verdict).toMatchObject({ action: 'refuse', status: 429, decision: { retryAfter: Number.POSITIVE_INFINITY } });
  expect(verdict).not.toHaveProperty(['headers', 'Retry-After']);
});

test.each([
  [-1, 'INVALID_POLICY'],
  [1.5, 'INVALID_POLICY'],
  [Number.NaN, 'INVALID_POLICY'],
  ['20', 'INVALID_OPTION'],
  [true, 'INVALID_OPTION'],
  [{}, 'INVALID_POLICY'],
  [{ limit: 1, timeout: 0 }, 'INVALID_WINDOW'],
  [{ limit: 1, timeout: 'long' }, 'INVALID_WINDOW'],
  [{ limit: 1, window: '1m' }, 'UNKNOWN_OPTION'],
])('a concurrency of %j throws at creation, and says where', (concurrency, code) => {
  const options = { concurrency } as RateLimitOptions<FakeRequest>;
  expect(() => new Pipeline(reader, options)).toThrow(
    expect.objectContaining({ code, message: expect.stringContaining("'concurrency'") }),
  );
  const rules = [{ match: '/a', limit: 1, window: '1m', concurrency }] as RateLimitOptions<FakeRequest>['rules'];
  expect(() => new Pipeline(reader, { rules: rules! })).toThrow(
    expect.objectContaining({ code, message: expect.stringContaining('rules[0]') }),
  );
});
