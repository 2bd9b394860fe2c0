import { ManualClock } from '@sluice/testing';
import { describe, expect, test } from 'vitest';
import { Pipeline } from '../../src/index.ts';
import { FakeResponse, reader, type SeenOptions, send, unhandledDuring } from './mounted.ts';

const ip = '192.0.2.1';
const broken = new Error('broken');
const reject = (): never => Promise.reject(broken) as never;
const fail = (): never => {
  throw broken;
};

test('an onDecision that rejects is reported for a shadow, and neither the request nor the process fails', async () => {
  const warnings: string[] = [];
  const options: SeenOptions = {
    limit: 1,
    mode: 'shadow',
    onDecision: reject,
    logger: { warn: (message) => void warnings.push(message) },
  };
  const pipeline = new Pipeline(reader, options);
  const unhandled = await unhandledDuring(async () => {
    for (let i = 0; i < 2; i++) expect(await send([pipeline], { ip })).toEqual({ action: 'skip' });
  });
  expect(unhandled).toEqual([]);
  expect(warnings).toEqual([expect.stringContaining('broken'), expect.stringContaining('broken')]);
});

describe('a callback that rejects beside one that throws is one error, and no unhandled rejection', () => {
  const late = () => Promise.reject(new Error('late')) as never;
  const rule = { match: '/', limit: 1, window: '1h' } as const;
  test.each<[string, SeenOptions]>([
    ['limit and cost', { limit: late, cost: fail }],
    ['limit and window', { limit: late, window: fail }],
    ['by and cost', { rules: [{ ...rule, by: late, cost: fail }] }],
    ['by and limit', { rules: [{ ...rule, by: late, limit: fail }] }],
    ['by and window', { rules: [{ ...rule, by: late, window: fail }] }],
    ['limit of a rule and its cost', { rules: [{ ...rule, limit: late, cost: fail }] }],
  ])('%s', async (_, options) => {
    const pipeline = new Pipeline(reader, options);
    const unhandled = await unhandledDuring(() => expect(send([pipeline], { ip })).rejects.toBe(broken));
    expect(unhandled).toEqual([]);
  });
});

describe.each([
  ['throws', fail],
  ['rejects', reject],
])('a logger that %s', (_, log) => {
  const logger = { warn: log, info: log };

  test('fails no request that is refused', async () => {
    const pipeline = new Pipeline(reader, { limit: 0, logger });
    const unhandled = await unhandledDuring(async () => {
      expect(await send([pipeline], { ip })).toMatchObject({ action: 'refuse', status: 429 });
    });
    expect(unhandled).toEqual([]);
  });

  test('fails no request that a shadow would have refused', async () => {
    const pipeline = new Pipeline(reader, { limit: 0, mode: 'shadow', logger });
    const unhandled = await unhandledDuring(async () => {
      expect(await send([pipeline], { ip })).toEqual({ action: 'skip' });
    });
    expect(unhandled).toEqual([]);
  });

  test.each([
    ['at once', fail],
    ['later', reject],
  ])('ends no process where a judge of responses fails %s', async (_, skipFailed) => {
    const pipeline = new Pipeline(reader, { limit: 5, logger, skipFailed });
    const unhandled = await unhandledDuring(async () => {
      const response = new FakeResponse();
      expect(await send([pipeline], { ip }, response)).toMatchObject({ action: 'pass' });
      response.finish(500);
    });
    expect(unhandled).toEqual([]);
  });
});

test.each([
  [{ warn: () => {}, info: 5 }, /'?"?info/],
  [{ warn: () => {}, info: 'yes' }, /info/],
  [{ info: () => {} }, /warn/],
  [null, /logger/],
])('the logger %j is refused at creation', (logger, message) => {
  expect(() => new Pipeline(reader, { logger } as unknown as SeenOptions)).toThrow(
    expect.objectContaining({ code: 'INVALID_OPTION', message: expect.stringMatching(message) }),
  );
});

test('options that are changed after creation change nothing', async () => {
  const clock = new ManualClock();
  const options: SeenOptions = { limit: 1, window: '1h', clock };
  const pipeline = new Pipeline(reader, options);
  Object.assign(options, {
    limit: 100,
    skip: () => true,
    onDecision: fail,
    onAllowed: fail,
    shape: 'no',
    onLimited: 5,
  });
  expect(await send([pipeline], { ip })).toMatchObject({ action: 'pass', decision: { limit: 1 } });
  expect(await send([pipeline], { ip })).toMatchObject({ action: 'refuse', status: 429 });
  expect(await pipeline.decide({ ip }, false)).toMatchObject({ allowed: false });
});

test('an API key that fails its verification is asked about once per request, also by a rule for API keys', async () => {
  const asked: string[] = [];
  const identity = { verifyApiKey: (apiKey: string) => asked.push(apiKey) > 9 };
  const rules = [{ match: '/', limit: 3, window: '1h', by: 'api-key' }] as const;
  const pipeline = new Pipeline(reader, { identity, rules });
  const verdict = await send([pipeline], { ip, headers: { 'x-api-key': 'wrong' }, user: { id: 7 } });
  expect(verdict).toMatchObject({ action: 'pass', decision: { key: `ip:${ip}`, remaining: 2 } });
  expect(asked).toEqual(['wrong']);
});
