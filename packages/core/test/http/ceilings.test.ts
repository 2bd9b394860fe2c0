import { expect, test } from 'vitest';
import { passing } from './exchange.ts';

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
