import { hash } from 'node:crypto';
import { KeyNames } from '@sluice/core/toolkit';

/** The first 128 bits of a SHA-256, as 22 characters of base64url. */
export function digest(text: string): string {
  return hash('sha256', text, 'base64url').slice(0, 22);
}

/** How clients are called wherever the service keeps something of them: API keys, and ids that are long, by digest. */
export const keyNames = new KeyNames(digest, 64);
