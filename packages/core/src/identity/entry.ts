import { SluiceError, show } from '../errors.js';
import { type Network, parseNetwork } from './network.js';

/** What an operator calls a client, or several: an exact key, or the addresses of a network. */
export type Entry = { readonly key: string } | { readonly network: Network };

/**
 * Reads an entry of a list.
 * @throws SluiceError `INVALID_OPTION` for what looks like an address and is none: taken for a key, it would match nobody.
 */
export function readEntry(entry: unknown, where: string): Entry {
  if (typeof entry !== 'string' || entry === '' || entry.trim() !== entry) {
    throw new SluiceError(
      'INVALID_OPTION',
      `${where} takes an address, a CIDR range, or a key like 'user:42' or 'api-key:…', without space around it; got ` +
        `${typeof entry === 'string' ? nameOf(entry) : show(entry)}.`,
    );
  }
  if (entry.startsWith('ip:')) return { network: parseNetwork(entry.slice(3), where) };
  return looksLikeNetwork(entry) ? { network: parseNetwork(entry, where) } : { key: entry };
}

/** Shows an entry in a message. */
export function nameOf(entry: string): string {
  return show(masked(entry));
}

/** An entry as it may be shown: API keys are secrets, unless it is the digest of one. */
export function masked(entry: string): string {
  return entry.replace(/^(\s*api-key:)(?!#[\w-]{22}$).+$/s, '$1…');
}

function looksLikeNetwork(entry: string): boolean {
  const bare = entry.replace(/%.*$/, '').replace(/^\[|\](:\d+)?(?=\/|$)/g, '');
  // Of version 4, with what people write for ranges and ports: 10.0.0.*, 10.0.0.1-10.0.0.9, 10.0.0.1:80.
  if (/^[\d.*:/\s-]+$/.test(bare) && /\d\.|\.\d|\d\//.test(bare)) return true;
  if (/^[\d.]+\//.test(bare) && bare.includes('.')) return true;
  // Of version 6. A key of two numbers, like 12:34, is none.
  return /^[\da-f:.]+(\/.*)?$/i.test(bare) && /:.*:|:.*\/|^[\da-f]+:$/i.test(bare);
}
