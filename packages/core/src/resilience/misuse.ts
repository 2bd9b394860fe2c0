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
