import { SluiceError } from '../errors.js';

/**
 * Whether an error tells of wrong use, and not of a store that fails. Answered for, a bad cost or an unusable policy
 * would be no limit at all.
 */
export function isMisuse(error: unknown): boolean {
  if (!(error instanceof SluiceError)) return false;
  const { code } = error;
  return code.startsWith('INVALID_') || code === 'UNKNOWN_OPTION' || code === 'DUPLICATE_POLICY' || code === 'CLOSED';
}

/** Whether a store has not answered in time. */
export function isTimeout(error: unknown): boolean {
  return error instanceof SluiceError && error.code === 'STORE_TIMEOUT';
}

/** Whether a store is well, and only the state of a single key cannot be used. */
export function isUnusableState(error: unknown): boolean {
  return error instanceof SluiceError && error.code === 'UNUSABLE_STATE';
}

/** Whether a store that failed so may have lost its counts: one that only was too slow has lost nothing. */
export function mayLoseCounts(error: unknown): boolean {
  if (isTimeout(error) || isUnusableState(error)) return false;
  const isRefused = error instanceof SluiceError && error.code === 'STORE_UNAVAILABLE';
  return isRefused && error.cause !== undefined ? mayLoseCounts(error.cause) : true;
}
