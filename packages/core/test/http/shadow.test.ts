import { ManualClock } from '@sluice/testing';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Charge, MemoryStore, Pipeline, type RateLimitOptions, type RequestEvent } from '../../src/index.ts';
import { type FakeRequest, passing, reader } from './exchange.ts';

const request: FakeRequest = { ip: '192.0.2.1' };

/** Notes decisions as `mode policy allowed`. */
function listener() {
  const told: string[] = [];
  const onDecision = ({ mode, decision: { policy, allowed } }: RequestEvent<FakeRequest>) =>
    void told.push(`${mode} ${policy} ${allowed}`);
  return { told, onDecision };
}

describe('a store that fails with what shadows count', () => {
  const limits = [
    { name: 'own', limit: 5, window: '1h' },
    { name: 'tried', limit: 5, window: '1h', mode: 'shadow' },
  ] as const;
  const broken = new Error('down');

  test.each([
    [
      'throws',
      (): never => {
        throw broken;
      },
    ],
    ['rejects', () => Promise.reject(broken) as never],
  ])('%s: the request passes, and the operator is warned', async (_, fail) => {
    class HalfStore extends MemoryStore {
      override consume(charges: readonly Charge[]) {
        return charges[0]!.policy.name === 'tried' ? fail() : super.consume(charges);
      }
    }
    const warnings: string[] = [];
    const { told, onDecision } = listener();
    const logger = { warn: (message: string) => void warnings.push(message) };
    const send = passing({ limits, store: new HalfStore(), logger, onDecision });
    expect(send(request)).toMatchObject({ action: 'pass', decision: { policy: 'own', remaining: 4 } });
    await Promise.resolve();
    await new Promise((resolve) => setImmediate(resolve));
    expect(warnings).toEqual([expect.stringMatching(/shadow.*down/i)]);
    expect(told).toEqual(['enforce own true']);
  });
});

test('a shadow is no breach, and blocks nobody', () => {
  const { told, onDecision } = listener();
  const penalty = { blockFor: '1h', banAfter: 1 } as const;
  const send = passing({ limit: 1, mode: 'shadow', penalty, onDecision, clock: new ManualClock() });
  for (let i = 0; i < 3; i++) expect(send(request)).toEqual({ action: 'skip' });
  expect(told).toEqual(['shadow default true', 'shadow default false', 'shadow default false']);
});

test('a shadow counts each of its policies by itself, and not all or nothing', () => {
  const { told, onDecision } = listener();
  const limits = [
    { name: 'a', limit: 1, window: '1h' },
    { name: 'b', limit: 2, window: '1h' },
  ] as const;
  const send = passing({ limits, mode: 'shadow', onDecision, clock: new ManualClock() });
  for (let i = 0; i < 3; i++) send(request);
  expect(told).toEqual([
    'shadow a true',
    'shadow b true',
    'shadow a false',
    'shadow b true',
    'shadow a false',
    'shadow b false',
  ]);
});

test('a rule in the shadow counts the requests at work, and refuses none', () => {
  const { told, onDecision } = listener();
  const rules = [{ match: '/a', limit: 9, window: '1h', concurrency: 1, mode: 'shadow' }] as const;
  const send = passing({ limit: 9, rules, onDecision, clock: new ManualClock() });
  for (let i = 0; i < 2; i++) expect(send({ ...request, url: '/a' })).toMatchObject({ action: 'pass' });
  expect(told.filter((line) => line.includes('concurrency'))).toEqual([
    'shadow a-concurrency true',
    'shadow a-concurrency false',
  ]);
});

test('a rule in earnest refuses beside limits in the shadow', () => {
  const { told, onDecision } = listener();
  const rules = [{ match: '/a', limit: 1, window: '1h', mode: 'enforce', stack: true }] as const;
  const send = passing({ limit: 1, mode: 'shadow', rules, onDecision, clock: new ManualClock() });
  expect([send({ ...request, url: '/a' }).action, send({ ...request, url: '/a' }).action]).toEqual(['pass', 'refuse']);
  expect(send(request).action).toBe('skip');
  expect(told).toEqual(['shadow default true', 'enforce a true', 'enforce a false', 'shadow default false']);
});

test('whom a percentage enforces, every larger one enforces too', () => {
  const pipelines = [10, 35, 60, 99].map((enforcePercent) =>
    passing({ limit: 0, enforcePercent, key: ({ ip }) => ip!, clock: new ManualClock() }),
  );
  fc.assert(
    fc.property(fc.stringMatching(/^[a-z0-9]{1,20}$/), (ip) => {
      const refused = pipelines.map((send) => send({ ip }).action === 'refuse');
      expect(refused).toEqual([...refused].sort());
    }),
  );
});

test('a percentage comes out as such for addresses in a row', () => {
  const send = passing({ limit: 0, enforcePercent: 20, clock: new ManualClock() });
  let refused = 0;
  for (let i = 0; i < 5_000; i++) {
    if (send({ ip: `198.51.${i >> 8}.${i & 255}` }).action === 'refuse') refused++;
  }
  expect(refused).toBeGreaterThan(850);
  expect(refused).toBeLessThan(1_150);
});

test.each([
  [{ mode: 'dry-run' }, /'mode' is 'enforce', 'shadow' or 'off'/],
  [{ mode: true }, /'mode'/],
  [{ enforcePercent: -1 }, /'enforcePercent' must be a number from 0 to 100/],
  [{ enforcePercent: 101 }, /'enforcePercent'/],
  [{ enforcePercent: Number.NaN }, /'enforcePercent'/],
  [{ enforcePercent: '50' }, /'enforcePercent'/],
  [{ mode: 'shadow', enforcePercent: 50 }, /Leave out one/],
])('%j throws at creation wherever it stands', (wrong, message) => {
  const places: object[] = [
    { limit: 1, ...wrong },
    { limits: [{ limit: 1, window: '1m', ...wrong }] },
    { rules: [{ match: '/a', limit: 1, window: '1m', ...wrong }] },
  ];
  for (const options of places) {
    expect(() => new Pipeline(reader, options as RateLimitOptions<FakeRequest>)).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION', message: expect.stringMatching(message) }),
    );
  }
});
