import type { Decision, Outcome } from '@sluice/core';
import { describe, expect, it } from 'vitest';
import { answerOf, resetAt, retryAfter } from '../../src/decisions/answer.ts';

const at = Date.UTC(2026, 0, 1);

const decision = (more: Partial<Decision> = {}): Decision => ({
  allowed: true,
  policy: 'login',
  limit: 5,
  remaining: 2,
  resetAfter: 1_500,
  retryAfter: 0,
  delay: 12.5,
  at,
  source: 'store',
  ...more,
});

const outcome = (kind: Outcome['kind'], more?: Partial<Decision>): Outcome =>
  ({ kind, decision: more && decision(more), key: 'user:alice', rule: '/login', tier: undefined }) as Outcome;

describe('An answer', () => {
  it('says what was decided', () => {
    expect(answerOf(outcome('granted', {}), 'login', 'pro')).toEqual({
      allowed: true,
      reason: 'granted',
      rule: 'login',
      policy: 'login',
      limit: 5,
      remaining: 2,
      reset_at: '2026-01-01T00:00:01.500Z',
      retry_after: 0,
      delay_ms: 12.5,
      key: 'user:alice',
      tier: 'pro',
      source: 'store',
    });
  });

  it.each<[Outcome['kind'], string]>([
    ['skipped', 'unlimited'],
    ['unlimited', 'unlimited'],
    ['allow-listed', 'allow-list'],
  ])('of a request that no limit is for (%s) tells of no limit', (kind, reason) => {
    expect(answerOf(outcome(kind), undefined, undefined)).toEqual({
      allowed: true,
      reason,
      rule: null,
      policy: null,
      limit: null,
      remaining: null,
      reset_at: null,
      retry_after: 0,
      delay_ms: 0,
      key: 'user:alice',
      tier: null,
      source: 'store',
    });
  });

  it.each<[Outcome['kind'], string]>([
    ['quota', 'quota'],
    ['banned', 'quota'],
    ['blocked', 'block-list'],
    ['unavailable', 'unavailable'],
  ])('of a refusal (%s) has the reason %s', (kind, reason) => {
    const refused = { allowed: false, remaining: 0, retryAfter: 900, source: 'fallback' } as const;
    const answer = answerOf(outcome(kind, refused), 'login', undefined);
    expect(answer).toMatchObject({ allowed: false, reason, retry_after: 1, source: 'fallback' });
  });
});

describe('Retry-After', () => {
  it.each([
    [0, 1],
    [1, 1],
    [1_000, 1],
    [1_000.001, 2],
    [59_999, 60],
    [Number.POSITIVE_INFINITY, null],
  ])('of %d ms is %s whole seconds, at least one, and none for never', (ms, seconds) => {
    expect(retryAfter(decision({ allowed: false, retryAfter: ms }))).toBe(seconds);
  });
});

describe('The time of the reset', () => {
  it('is rounded up to the millisecond, and none for what no date can hold', () => {
    expect(resetAt(decision({ resetAfter: 0.001 }))).toBe('2026-01-01T00:00:00.001Z');
    expect(resetAt(decision({ resetAfter: Number.POSITIVE_INFINITY }))).toBeNull();
    expect(resetAt(decision({ resetAfter: 8.64e15 }))).toBeNull();
  });
});
