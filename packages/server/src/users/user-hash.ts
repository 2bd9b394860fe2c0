import { SluiceError } from '@sluice/core';
import { show } from '@sluice/core/toolkit';
import { bucketWords, faultOf, limitsOf, limitWords } from './limits.js';
import type { User, UserLimits } from './user.js';

const epoch = new Date(0).toISOString();

/** The fields of a user's hash, in the order in which the scripts read them. `id` is there where the key has a digest. */
export const userFields = [...limitWords, 'created_at', 'updated_at', 'id'] as const;

type Text = string | null | undefined;

/**
 * The user that the values of `userFields` tell of; `undefined` where there is none. What an operator has written by hand
 * need not have its times: they are the epoch then.
 * @throws SluiceError `UNUSABLE_STATE` for limits that are none, naming the key and the field.
 */
export function userOf(id: string, key: string, values: readonly Text[]): User | undefined {
  const [maxTokens, refillRate, capacity, leakRate, created, updated] = values;
  if (values.every((value) => value == null)) return undefined;
  const hasTokens = maxTokens != null || refillRate != null;
  const hasQueue = capacity != null || leakRate != null;
  if (hasTokens && hasQueue) throw unusable(key, "has the fields of both 'max_tokens' and 'capacity'");
  const limits = hasTokens
    ? limitsIn('token-bucket', maxTokens, refillRate, key)
    : hasQueue
      ? limitsIn('leaky-bucket', capacity, leakRate, key)
      : undefined;
  const createdAt = created ?? updated ?? epoch;
  return { id, limits, createdAt, updatedAt: updated ?? createdAt };
}

function limitsIn(algorithm: keyof typeof bucketWords, holds: Text, rate: Text, key: string): UserLimits {
  const [holdsWord, rateWord] = bucketWords[algorithm];
  const limits = limitsOf(algorithm, numberIn(holds, holdsWord, key), numberIn(rate, rateWord, key));
  const fault = faultOf(limits);
  if (fault !== undefined) throw unusable(key, `cannot be used: ${fault.detail}`);
  return limits;
}

function numberIn(text: Text, field: string, key: string): number {
  if (text != null && /^\d+(\.\d+)?$/.test(text)) return Number(text);
  throw unusable(key, text == null ? `has no field '${field}'` : `has ${show(text)} as '${field}'`);
}

function unusable(key: string, what: string): SluiceError {
  return new SluiceError(
    'UNUSABLE_STATE',
    `The user kept in Redis as ${key} ${what}. Set his limits anew, or delete the key.`,
  );
}

/** A key that is no hash is that one user's trouble, not the server's. */
export function refuseWrongType(key: string): (error: unknown) => never {
  return (error) => {
    if (!(error instanceof Error) || !error.message.includes('WRONGTYPE')) throw error;
    throw new SluiceError(
      'UNUSABLE_STATE',
      `What Redis keeps under ${key} is no user. Set his limits anew, or delete the key.`,
      { cause: error },
    );
  };
}
