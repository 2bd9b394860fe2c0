import { ManualClock } from '@sluice/testing';
import { expect, test } from 'vitest';
import { Pipeline, type RequestEvent } from '../../src/index.ts';
import { FakeResponse, reader, type SeenOptions, type SeenRequest, send, turn } from './mounted.ts';

const ip = '192.0.2.1';

/** What shadows have decided, and a pipeline that tells of it. */
function shadow(options: SeenOptions) {
  const left: string[] = [];
  const onDecision = ({ mode, decision: { policy, allowed, remaining } }: RequestEvent<SeenRequest>) => {
    if (mode === 'shadow') left.push(`${policy} ${allowed ? remaining : 'refused'}`);
  };
  return { left, pipeline: new Pipeline<SeenRequest>(reader, { clock: new ManualClock(), onDecision, ...options }) };
}

test.each<[string, SeenOptions, number, number]>([
  ['skipFailed', { skipFailed: true }, 500, 200],
  ['skipSuccessful', { skipSuccessful: true }, 200, 500],
  ['a judge', { skipFailed: (_, response) => (response as FakeResponse).statusCode === 409 }, 409, 500],
  [
    'a judge that takes its time',
    { skipFailed: async (_, response) => (response as FakeResponse).statusCode === 409 },
    409,
    200,
  ],
])('units that a shadow counts are given back by %s', async (_, judge, free, paid) => {
  const { left, pipeline } = shadow({ limit: 2, window: '1h', algorithm: 'fixed-window', mode: 'shadow', ...judge });
  for (const status of [free, free, paid, paid, free]) {
    const response = new FakeResponse();
    await send([pipeline], { ip }, response);
    response.finish(status);
    await turn();
  }
  expect(left).toEqual(['default 1', 'default 1', 'default 1', 'default 0', 'default refused']);
});

test('a client that has left has paid a shadow too', async () => {
  const { left, pipeline } = shadow({ limit: 2, mode: 'shadow', skipFailed: true });
  for (let i = 0; i < 2; i++) {
    const response = new FakeResponse();
    response.statusCode = 500;
    await send([pipeline], { ip }, response);
    response.close();
  }
  expect(left).toEqual(['default 1', 'default 0']);
});

test('a key with limits of its own is limited where others are not, and they see no headers', async () => {
  const overrides = { 'user:7': '2/1h' } as const;
  const pipeline = new Pipeline<SeenRequest>(reader, { limit: false, overrides, clock: new ManualClock() });
  const one = () => send([pipeline], { ip, user: { id: 7 } });
  const first = await one();
  expect(first).toMatchObject({ action: 'pass', headers: { 'X-RateLimit-Limit': '2', 'X-RateLimit-Remaining': '1' } });
  expect([(await one()).action, (await one()).action]).toEqual(['pass', 'refuse']);
  for (const request of [{ ip }, { ip, user: { id: 8 } }]) {
    for (let i = 0; i < 4; i++) expect(await send([pipeline], request)).toEqual({ action: 'skip' });
  }
});

test('a decision without an answer casts shadows where it charges, and only there', async () => {
  const limits = [
    { name: 'own', limit: 5, window: '1h' },
    { name: 'tried', limit: 1, window: '1h', mode: 'shadow' },
  ] as const;
  const { left, pipeline } = shadow({ limits });
  for (let i = 0; i < 2; i++) expect(await pipeline.decide({ ip }, true)).toMatchObject({ policy: 'own' });
  expect(left).toEqual(['tried 0', 'tried refused']);
  await pipeline.decide({ ip }, false);
  expect(left).toHaveLength(2);
});

test('a decision without an answer casts the shadows of who is not limited otherwise', async () => {
  const { left, pipeline } = shadow({ limit: 1, window: '1h', mode: 'shadow' });
  for (let i = 0; i < 2; i++) expect(await pipeline.decide({ ip }, true)).toBeUndefined();
  expect(left).toEqual(['default 0', 'default refused']);
});
