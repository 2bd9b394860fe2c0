import type ipaddr from 'ipaddr.js';
import { checkKey } from '../charge.js';
import { Memo } from '../memo.js';
import { neighbourhood, parse } from './address.js';

/** The text of no address is longer, with its zone. */
const longestAddress = 100;

/** KeyNames makes the keys under which a store knows clients, the same for all names that mean the same client. */
export class KeyNames {
  readonly #digestOf: (text: string) => string;
  readonly #ipv6Prefix: number;
  readonly #apiKeys: Memo<string>;
  readonly #texts: Memo<string>;
  /** Whether a text says of itself what kind of name it is. */
  readonly #saysWhat: Memo<boolean>;

  constructor(digest: (text: string) => string, ipv6Prefix: number) {
    this.#digestOf = digest;
    this.#ipv6Prefix = ipv6Prefix;
    this.#apiKeys = new Memo((apiKey) => `api-key:${this.#digest(apiKey)}`);
    this.#texts = new Memo((text) => this.#text(text));
    this.#saysWhat = new Memo((text) => /^(?:api-key|user|ip):/.test(text) || this.#address(text) !== undefined);
  }

  /** An API key is a secret, whatever it looks like. */
  apiKey(apiKey: string): string {
    return this.#apiKeys.get(apiKey);
  }

  user(id: string): string {
    return `user:${this.#clean(id)}`;
  }

  /**
   * What a `key` function returns: a text, or a list of parts, of which no two are taken for one another.
   * @throws SluiceError `INVALID_KEY` for what names nobody.
   */
  of(name: unknown): string {
    if (Array.isArray(name)) return this.#list(name);
    checkKey(name);
    return this.#texts.get(name);
  }

  /**
   * What an operator calls a client: as a `key` function would, or by the key that a decision shows. The latter goes
   * for operators alone: a client that sends the digest of another is not that other.
   * @throws SluiceError `INVALID_KEY` for what names nobody.
   */
  canonical(name: string | readonly string[]): string {
    return typeof name === 'string' && /^(?:api-key:|user:)?#[\w-]{22}$/.test(name) ? name : this.of(name);
  }

  #text(text: string): string {
    if (text.startsWith('api-key:')) return this.apiKey(text.slice(8));
    if (text.startsWith('user:')) return this.user(text.slice(5));
    return this.#address(text) ?? this.#clean(text);
  }

  #list(parts: readonly unknown[]): string {
    for (const part of parts) checkKey(part);
    const [first, second] = parts as readonly string[];
    if (first === undefined) checkKey('');
    if (parts.length === 2 && isKind(first!)) return this.#texts.get(`${first}:${second}`);
    const text = parts.join(':');
    const saysWhat = this.#saysWhat.get(text);
    if (parts.length === 1 && (saysWhat || !text.includes(':'))) return this.#texts.get(text);
    // Parts are not to become an address, or a user, that none of them is.
    const separable = parts.every((part) => isClean(part as string) && !(part as string).includes(':'));
    return separable && !saysWhat ? this.#clean(text) : this.#digestJson(parts);
  }

  /** The key of a text that is an address, or a network exactly as `ipKey` writes it. */
  #address(text: string): string | undefined {
    const isMarked = text.startsWith('ip:');
    const address = isMarked ? text.slice(3) : text;
    if (isMarked ? parseAlone(address) !== undefined : isAddress(address)) {
      return `ip:${neighbourhood(address, this.#ipv6Prefix).group}`;
    }
    const [, base, length] = /^([\da-f:]{2,39})\/([1-9]\d{0,2})$/.exec(address) ?? [];
    if (base === undefined || Number(length) > 127) return undefined;
    return neighbourhood(base, Number(length)).group === address ? `ip:${address}` : undefined;
  }

  /** Identifiers that are long, or could be taken for part of a store key, reach a store only as a digest. */
  #clean(identifier: string): string {
    return isClean(identifier) ? identifier : this.#digest(identifier);
  }

  /** Halves of surrogate pairs have no encoding, and would all be digested as one and the same character. */
  #digest(text: string): string {
    return /\p{Surrogate}/u.test(text) ? this.#digestJson(text) : `#${this.#digestOf(text)}`;
  }

  /** No identifier comes to the same, though it be this very JSON: one that looks like a digest is never digested. */
  #digestJson(value: unknown): string {
    return `#${this.#digestOf(this.#digestOf(JSON.stringify(value)))}`;
  }
}

function isKind(part: string): boolean {
  return part === 'api-key' || part === 'user' || part === 'ip';
}

/** What is marked as an API key is secret in the middle of a text too. */
function isClean(text: string): boolean {
  return text.length <= 64 && /^[A-Za-z0-9._:@-]+$/.test(text) && !text.includes('api-key:');
}

/** An address without a port: 203.0.113.7:42 may well be that address and the user 42. */
function parseAlone(text: string): ipaddr.IPv4 | ipaddr.IPv6 | undefined {
  if (text.length > longestAddress || text.startsWith('[') || /^\d+\.[\d.]+:/.test(text)) return undefined;
  return parse(text);
}

/**
 * Whether a text that says nothing else of itself is an address. `12::34` could be one too, but nobody's: it is rather
 * the tenant 12 and the user 34. IPv6 addresses of clients are global or local: RFC 4291 and 4193.
 */
function isAddress(text: string): boolean {
  const ip = parseAlone(text);
  if (ip === undefined || ip.kind() === 'ipv4') return ip !== undefined;
  const first = (ip as ipaddr.IPv6).parts[0]!;
  const isGlobal = first >> 13 === 1;
  return isGlobal || first >> 9 === 0x7e || first >> 6 === 0x3fa || ip.range() === 'loopback';
}
