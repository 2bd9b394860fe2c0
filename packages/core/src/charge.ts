import { SluiceError, show } from './errors.js';
import type { CompiledPolicy } from './policy.js';

/** A policy and one of its keys: together they have one state in a store. */
export interface Subject {
  readonly policy: CompiledPolicy;
  readonly key: string;
}

/** Names the state of a subject. No id of a policy contains a space. */
export function stateOf({ policy, key }: Subject): string {
  return `${policy.id} ${key}`;
}

/** A Charge asks one policy for units on behalf of one key. */
export interface Charge extends Subject {
  /** Units: an integer ≥ 0. */
  readonly cost: number;
}

/** A Refund gives units of an earlier grant back. */
export interface Refund extends Charge {
  /**
   * The `at` of the decision that granted the units. Window algorithms then give them back only to the window they
   * were taken from, and buckets only what has not refilled since; without it, all goes back, to the present window.
   */
  readonly at?: number | undefined;
}

/** Gives back what somebody took who is still held: of a leaky bucket, none of it has drained since the grant. */
export function refundOfHeld(charge: Charge, at: number | undefined): Refund {
  return { ...charge, at: charge.policy.algorithm === 'leaky-bucket' ? undefined : at };
}

/** @throws SluiceError `INVALID_COST` unless the cost is an integer ≥ 0; `what` is how the message calls it. */
export function checkCost(cost: unknown, what = 'A cost'): asserts cost is number {
  if (Number.isSafeInteger(cost) && (cost as number) >= 0) return;
  throw new SluiceError('INVALID_COST', `${what} must be an integer ≥ 0; got ${show(cost)}.`);
}

/** @throws SluiceError `INVALID_KEY` unless the key is a text that is not empty. */
export function checkKey(key: unknown): asserts key is string {
  if (typeof key === 'string' && key !== '') return;
  throw new SluiceError(
    'INVALID_KEY',
    `A key must be a string that is not empty; got ${show(key)}. ` +
      'Without a key of its own, a client would share one budget with everyone else who has none.',
  );
}
