import assert from 'node:assert/strict';
import {
  type Charge,
  type CompiledPolicy,
  compilePolicies,
  type Decision,
  type Policy,
  type Store,
} from '@sluice/core';
import type { ManualClock } from '../manual-clock.js';

export const algorithmNames = [
  'fixed-window',
  'sliding-window-log',
  'sliding-window-counter',
  'token-bucket',
  'leaky-bucket',
] as const;

/** A program that fails where a store breaks a rule. */
export type StoreCase = (bench: StoreBench) => Promise<void>;

/** A StoreBench puts questions to the store under test. */
export class StoreBench {
  readonly store: Store;
  readonly clock: ManualClock;

  constructor(store: Store, clock: ManualClock) {
    this.store = store;
    this.clock = clock;
  }

  async take(policy: CompiledPolicy, key: string, cost = 1): Promise<Decision> {
    return only(await this.store.consume([{ policy, key, cost }]));
  }

  async takeAll(...charges: readonly Charge[]): Promise<readonly Decision[]> {
    return this.store.consume(charges);
  }

  async peek(policy: CompiledPolicy, key: string, cost = 1): Promise<Decision> {
    return only(await this.store.peek([{ policy, key, cost }]));
  }

  async remaining(policy: CompiledPolicy, key: string): Promise<number> {
    return (await this.peek(policy, key)).remaining;
  }

  async release(policy: CompiledPolicy, key: string, cost: number, at?: number): Promise<void> {
    await this.store.release([{ policy, key, cost, at }]);
  }
}

/** Compiles one policy. The window is so long that cases on real time see nothing come back. */
export function policyOf(policy: Omit<Policy, 'window'> & Partial<Policy>): CompiledPolicy {
  return compilePolicies([{ window: '300d', ...policy }], 'storeSuite')[0]!;
}

function only(decisions: readonly Decision[]): Decision {
  assert.equal(decisions.length, 1, 'one charge has one decision');
  return decisions[0]!;
}

export function grants(decision: Decision, remaining: number): void {
  assert.equal(decision.allowed, true, 'granted');
  assert.equal(decision.remaining, remaining, 'remaining');
  assert.equal(decision.retryAfter, 0, 'retryAfter of a grant');
}

export function refuses(decision: Decision, remaining: number): void {
  assert.equal(decision.allowed, false, 'refused');
  assert.equal(decision.remaining, remaining, 'remaining');
  assert.ok(decision.retryAfter > 0, 'retryAfter of a refusal is greater than 0');
  assert.equal(decision.delay, 0, 'a refusal carries no delay');
}

export const never = Number.POSITIVE_INFINITY;

/** Adds a case to the suite. */
export type Declare = (title: string, run: StoreCase) => void;
