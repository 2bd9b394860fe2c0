import { ManualClock } from '@sluice/testing';
import { expect, test } from 'vitest';
import { Pipeline } from '../../src/index.ts';
import { FakeResponse, reader, type SeenRequest, send } from './mounted.ts';

const ip = '192.0.2.1';

test('a limiter that is mounted twice on a request counts once', async () => {
  const pipeline = new Pipeline<SeenRequest>(reader, { limit: 3, window: '1h', clock: new ManualClock() });
  const left: unknown[] = [];
  for (let i = 0; i < 3; i++) {
    const request: SeenRequest = { ip };
    expect(await send([pipeline, pipeline], request)).toMatchObject({ action: 'pass' });
    left.push(request.rateLimit?.remaining);
  }
  expect(left).toEqual([2, 1, 0]);
  expect(await send([pipeline, pipeline], { ip })).toMatchObject({ action: 'refuse' });
});

test('it counts once also with another limiter between', async () => {
  const clock = new ManualClock();
  const outer = new Pipeline<SeenRequest>(reader, { name: 'outer', limit: 5, window: '1h', clock });
  const inner = new Pipeline<SeenRequest>(reader, { name: 'inner', limit: 9, window: '1h', clock });
  const request: SeenRequest = { ip };
  await send([outer, inner, outer, inner], request);
  expect(request.rateLimit).toMatchObject({ policy: 'outer', remaining: 4 });
  expect(await inner.get(ip)).toMatchObject([{ remaining: 8 }]);
});

test('mounted twice, one place at work is enough for a request, and is free when it ends', async () => {
  const pipeline = new Pipeline<SeenRequest>(reader, { limit: false, concurrency: 1, clock: new ManualClock() });
  for (let i = 0; i < 2; i++) {
    const response = new FakeResponse();
    expect(await send([pipeline, pipeline], { ip }, response)).toMatchObject({ action: 'pass' });
    expect(await send([pipeline, pipeline], { ip })).toMatchObject({ action: 'refuse' });
    response.finish();
  }
});

test('two limiters alike are two, and both count', async () => {
  const clock = new ManualClock();
  const [first, second] = [1, 2].map(() => new Pipeline<SeenRequest>(reader, { limit: 3, window: '1h', clock }));
  await send([first!, second!], { ip });
  await send([first!], { ip });
  expect(await first!.get(ip)).toMatchObject([{ remaining: 1 }]);
  expect(await second!.get(ip)).toMatchObject([{ remaining: 2 }]);
});

test('of two limiters whose policies have one name, the units used are of the one that is told', async () => {
  const clock = new ManualClock();
  const wide = new Pipeline<SeenRequest>(reader, { limit: 100, window: '1h', clock });
  const narrow = new Pipeline<SeenRequest>(reader, { limit: 5, window: '1h', clock });
  for (const order of [
    [wide, narrow],
    [narrow, wide],
  ]) {
    const request: SeenRequest = { ip };
    await send(order, request);
    const { limit, remaining, used } = request.rateLimit!;
    expect([limit, used]).toEqual([5, 5 - remaining]);
  }
});

test('who is blocked for good is fresh at no time', async () => {
  const pipeline = new Pipeline<SeenRequest>(reader, { limit: 1, lists: { block: [ip] }, clock: new ManualClock() });
  const verdict = await send([pipeline], { ip });
  expect(verdict).toMatchObject({ action: 'refuse', status: 403 });
  const { decision } = verdict as Extract<typeof verdict, { action: 'refuse' }>;
  expect(decision).toMatchObject({ resetAt: undefined, retryAfter: Number.POSITIVE_INFINITY });
  expect(JSON.parse(JSON.stringify(decision))).not.toHaveProperty('resetAt');
});
