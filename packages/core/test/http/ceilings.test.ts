import { expect, test } from 'vitest';
import { Pipeline, type Verdict } from '../../src/index.ts';
import { type FakeRequest, fakeResponse, passing, reader } from './exchange.ts';

test('policies with long names that begin alike have ceilings of their own', () => {
  const long = 'x'.repeat(56);
  const handle = passing({
    limits: [
      { name: `${long}-min`, limit: 1, window: '1m', algorithm: 'fixed-window' },
      { name: `${long}-day`, limit: 2, window: '1d', algorithm: 'fixed-window' },
    ],
    identity: { ceiling: 2 },
  });
  const actions = Array.from({ length: 4 }, (_, i) => {
    const verdict = handle({ ip: '192.0.2.1', headers: { 'x-api-key': `invented-${i}` } });
    return verdict.action === 'refuse' ? verdict.decision.policy : verdict.action;
  });
  // Two of the first policy, and not one each of one that both share.
  expect(actions).toEqual(['pass', 'pass', `${long}-min-ceiling`, `${long}-min-ceiling`]);
});

test('a user does not escape by a new API key for each request, wherever it comes from', () => {
  const handle = passing({ limit: 1, window: '1h', identity: { ceiling: 3 } });
  const passed = Array.from({ length: 10 }, (_, i) =>
    handle({ ip: `192.0.2.${i}`, user: { id: 42 }, headers: { 'x-api-key': `invented-${i}` } }),
  ).filter(({ action }) => action === 'pass');
  expect(passed).toHaveLength(3);
});

test('keys of different limits behind one address have ceilings of their own, which can be looked up and reset', async () => {
  const limit = (request: FakeRequest) => (request.headers?.['x-api-key'] === 'big' ? 1_000 : 1);
  const overrides = { 'api-key:big': '1000/1h', 'api-key:small': '1/1h' } as const;
  for (const options of [
    { limit, window: '1h' as const },
    { limit: 5, overrides },
  ]) {
    const pipeline = new Pipeline(reader, { ...options, identity: { ceiling: 2 } });
    const ask = (key: string) => {
      const response = fakeResponse();
      return (pipeline.handle({ ip: '192.0.2.1', headers: { 'x-api-key': key } }, response, response) as Verdict)
        .action;
    };
    for (let i = 0; i < 40; i++) expect(ask('big')).toBe('pass');
    expect([ask('small'), ask('small')]).toEqual(['pass', 'refuse']);
    expect((await pipeline.get('192.0.2.1')).length).toBe(2);
    await pipeline.reset('192.0.2.1');
    expect(await pipeline.get('192.0.2.1')).toEqual([]);
  }
});

test.each([48, 64])('invented keys are held against their address, whose prefix is /%i', async (ipv6Prefix) => {
  const pipeline = new Pipeline(reader, {
    limit: 1,
    window: '1s',
    identity: { ceiling: 2, ipv6Prefix },
    penalty: '15m',
  });
  for (const key of ['a', 'b', 'c', 'd']) {
    const response = fakeResponse();
    pipeline.handle({ ip: '2001:db8:1:2::3', headers: { 'x-api-key': key } }, response, response);
  }
  const policies = (await pipeline.get('2001:db8:1:2::3')).map(({ policy }) => policy);
  expect(policies).toContain('default-block');
});
