import { ManualClock } from '@sluice/testing';
import { describe, expect, it } from 'vitest';
import type { Rule } from '../../src/index.ts';
import { type FakeRequest, passing } from './exchange.ts';

const tier = (request: FakeRequest) => (request.headers as Record<string, string> | undefined)?.['x-tier'];

/** Names of the policies that a request of that tier is charged for. */
function charged(rules: readonly Rule<FakeRequest>[], of: string | undefined, more: object = {}): readonly string[] {
  const policies: string[] = [];
  const send = passing({
    limit: 1_000,
    rules,
    tier,
    clock: new ManualClock(),
    onDecision: ({ decision }) => void policies.push(...(decision.policies ?? [decision]).map(({ policy }) => policy)),
    ...more,
  });
  send({ ip: '192.0.2.1', url: '/search', headers: of === undefined ? {} : { 'x-tier': of } });
  return policies;
}

const search = { match: '/search', limit: 5, window: '1m' } as const;

describe('a rule for one tier', () => {
  it('is for its requests alone, before one for all of the same path', () => {
    const rules = [
      { ...search, name: 'all' },
      { ...search, name: 'pro', tier: 'pro' },
      { ...search, name: 'free', tier: 'free' },
    ];
    for (const order of [rules, rules.toReversed()]) {
      expect(charged(order, 'pro')).toEqual(['pro']);
      expect(charged(order, 'free')).toEqual(['free']);
      expect(charged(order, 'gold')).toEqual(['all']);
      expect(charged(order, undefined)).toEqual(['all']);
    }
  });

  it('leaves others to the limits of the limiter, or to a rule that is less specific', () => {
    const own = { ...search, name: 'pro', tier: 'pro' };
    expect(charged([own], 'free')).toEqual(['default']);
    expect(charged([own, { ...search, match: '/*', name: 'rest' }], 'free')).toEqual(['rest']);
  });

  it('goes behind one that is more specific, or of a higher priority', () => {
    const wide = { ...search, match: '/*', name: 'pro', tier: 'pro' };
    expect(charged([wide, { ...search, name: 'all' }], 'pro')).toEqual(['all']);
    expect(
      charged(
        [
          { ...wide, priority: 1 },
          { ...search, name: 'all' },
        ],
        'pro',
      ),
    ).toEqual(['pro']);
  });

  it('is for who has no tier where it is for the default one', () => {
    const rules = [{ ...search, name: 'free', tier: 'free' }];
    expect(charged(rules, undefined, { defaultTier: 'free' })).toEqual(['free']);
  });

  it('takes nothing from a rule for all while it is a shadow', () => {
    const rules = [
      { ...search, name: 'all' },
      { ...search, name: 'pro', tier: 'pro', mode: 'shadow' as const },
    ];
    expect(charged(rules, 'pro').toSorted()).toEqual(['all', 'pro']);
    expect(charged(rules, 'free')).toEqual(['all']);
  });
});
