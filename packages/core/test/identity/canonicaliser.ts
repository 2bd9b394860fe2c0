import { Identifier } from '../../src/identity/identifier.ts';
import { reader } from '../http/exchange.ts';

/** The store keys as a limiter makes them. */
export function canonicaliser(ipv6Prefix = 64): (entry: string) => string {
  const identifier = new Identifier(reader, { ipv6Prefix });
  return (entry) => identifier.canonical(entry);
}

export const keyOfSecret = `api-key:#${reader.digest('secret')}`;
