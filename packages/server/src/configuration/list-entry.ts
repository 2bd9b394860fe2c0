import { SluiceError } from '@sluice/core';
import { readEntry } from '@sluice/core/toolkit';
import { keyNames } from '../digest.js';

/**
 * An entry of a list as it is kept, the same for all ways to write it: `203.0.113.7`, `203.0.113.0/24`, `user:42`, and
 * `api-key:#…` for an API key, of which only the digest is kept.
 * @throws SluiceError `INVALID_OPTION` for what names nobody, or nobody that a check could name.
 */
export function entryOf(text: string): string {
  const is = readEntry(text, 'The list');
  if ('network' in is) return is.network.text;
  if (!/^(?:user|api-key):./.test(is.key)) {
    throw new SluiceError(
      'INVALID_OPTION',
      'The list takes an address, a CIDR range, user:… with the id of a user, or api-key:… with an API key.',
    );
  }
  return is.key.startsWith('api-key:') ? keyNames.canonical(is.key) : is.key;
}
