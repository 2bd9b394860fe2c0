import { ManualClock } from '@sluice/testing';
import { expect, test } from 'vitest';
import { createLimiter, MemoryStore, Pipeline } from '../src/index.ts';
import { reader } from './http/exchange.ts';

const duplicate = expect.objectContaining({ code: 'DUPLICATE_POLICY', message: expect.stringMatching(/'name'/) });

test('two limiters with different policies of one name cannot share a store', () => {
  const store = new MemoryStore();
  createLimiter({ policies: { limit: 60, window: '1h', algorithm: 'fixed-window' }, store });
  expect(() => createLimiter({ policies: { limit: 10, window: '1m', algorithm: 'fixed-window' }, store })).toThrow(
    duplicate,
  );
  expect(() => new Pipeline(reader, { limit: 5, algorithm: 'fixed-window', store })).toThrow(duplicate);
});

test('limiters with names of their own share a store, each with its own counters', () => {
  const store = new MemoryStore({ clock: new ManualClock() });
  const hourly = createLimiter({ policies: { name: 'hourly', limit: 3, window: '1h' }, store });
  const minutely = createLimiter({ policies: { name: 'minutely', limit: 1, window: '1m' }, store });
  expect(hourly.consumeSync('key').remaining).toBe(2);
  expect(minutely.consumeSync('key').remaining).toBe(0);
  expect(hourly.consumeSync('key').remaining).toBe(1);
});

test('limiters with the same policy share its counters', () => {
  const store = new MemoryStore();
  const [one, other] = [1, 2].map(() => createLimiter({ policies: '3/1h', store }));
  expect(one!.consumeSync('key').remaining).toBe(2);
  expect(other!.consumeSync('key').remaining).toBe(1);
});

test('a limiter that is closed makes room for another policy, which goes on from what was taken', async () => {
  const store = new MemoryStore({ clock: new ManualClock() });
  const before = createLimiter({ policies: '3/1h', store });
  before.consumeSync('key', 2);
  await before.close();
  await before.close();
  const after = createLimiter({ policies: '10/1h', store });
  expect(after.consumeSync('key').remaining).toBe(7);
  expect(() => createLimiter({ policies: '3/1h', store })).toThrow(duplicate);
});
