import { checkKey } from '../charge.js';
import { SluiceError, show } from '../errors.js';
import { checkNames } from '../options.js';
import { isNearby, type Neighbourhood, neighbourhood } from './address.js';
import { Memo } from './memo.js';
import type { Reader } from './reader.js';

export interface IdentityOptions {
  /** The header that carries an API key; `false` looks for none. @default 'x-api-key' */
  apiKeyHeader?: string | false;
  /** How many leading bits of an IPv6 address make one client: 32 to 128. @default 64 */
  ipv6Prefix?: number;
  /**
   * Identities that a client can change at will also count together, at this many times the limit: API keys per
   * address, IPv6 networks per /48. `false` lets them multiply. @default 10
   */
  ceiling?: number | false;
}

/** An Identity is who a request comes from. */
export interface Identity {
  readonly key: string;
  /** Keys of the neighbourhood that an identity which is cheap to change must not escape. */
  readonly ceilings: readonly string[];
}

const none: readonly string[] = [];

/** Tells who a request comes from: an API key, else a user, else an address. */
export class Identifier<R> {
  readonly ceiling: number | false;
  readonly #reader: Reader<R>;
  readonly #apiKeyHeader: string | false;
  readonly #addresses: Memo<{ own: Identity; all: readonly string[] }>;
  readonly #apiKeys: Memo<string>;
  readonly #users: Memo<Identity>;
  #warned = false;

  constructor(reader: Reader<R>, options: IdentityOptions = {}) {
    checkNames(options, ['apiKeyHeader', 'ipv6Prefix', 'ceiling'], 'identity');
    const { apiKeyHeader = 'x-api-key', ipv6Prefix = 64, ceiling = 10 } = options;
    if (apiKeyHeader !== false && (typeof apiKeyHeader !== 'string' || !/^[!#$%&'*+.^_`|~\w-]+$/.test(apiKeyHeader))) {
      throw new SluiceError(
        'INVALID_OPTION',
        `identity: 'apiKeyHeader' must be the name of a header, or false; got ${show(apiKeyHeader)}.`,
      );
    }
    if (!Number.isInteger(ipv6Prefix) || ipv6Prefix < 32 || ipv6Prefix > 128) {
      throw new SluiceError(
        'INVALID_OPTION',
        `identity: 'ipv6Prefix' must be an integer from 32 to 128 bits; got ${show(ipv6Prefix)}.`,
      );
    }
    if (ceiling !== false && (!Number.isInteger(ceiling) || ceiling < 1)) {
      throw new SluiceError(
        'INVALID_OPTION',
        `identity: 'ceiling' must be an integer ≥ 1, or false; got ${show(ceiling)}.`,
      );
    }
    this.#reader = reader;
    this.#apiKeyHeader = apiKeyHeader === false ? false : apiKeyHeader.toLowerCase();
    this.ceiling = ceiling;
    this.#addresses = new Memo((address) => addressIdentity(neighbourhood(address, ipv6Prefix), ceiling !== false));
    // An API key is a secret, whatever it looks like.
    this.#apiKeys = new Memo((apiKey) => `api-key:#${reader.digest(apiKey)}`);
    this.#users = new Memo((id) => ({ key: `user:${this.clean(id)}`, ceilings: none }));
  }

  identify(request: R): Identity {
    const apiKey = this.#apiKey(request);
    if (apiKey !== undefined) {
      return { key: this.#apiKeys.get(apiKey), ceilings: this.#behindApiKey(request) };
    }
    const user = this.#user(request);
    return user === undefined ? this.#address(request).own : this.#users.get(user);
  }

  /** Whoever sends a key that nobody has verified could send another with each request. */
  #behindApiKey(request: R): readonly string[] {
    if (this.ceiling === false) return none;
    const addresses = this.#address(request).all;
    const user = this.#user(request);
    return user === undefined ? addresses : [...addresses, this.#users.get(user).key];
  }

  /** The identity that a `key` function names. Of several parts, no two lists are taken for one another. */
  named(key: unknown): Identity {
    if (!Array.isArray(key)) {
      checkKey(key);
      return { key: this.clean(key), ceilings: none };
    }
    key.forEach(checkKey);
    const parts = key as readonly string[];
    if (parts.length === 0) checkKey('');
    const separable = parts.every((part) => isClean(part) && !part.includes(':'));
    return { key: separable ? this.clean(parts.join(':')) : this.#digest(JSON.stringify(parts)), ceilings: none };
  }

  /** Identifiers that are long, or could be taken for part of a store key, reach a store only as a digest. */
  clean(identifier: string): string {
    return isClean(identifier) ? identifier : this.#digest(identifier);
  }

  #digest(text: string): string {
    return `#${this.#reader.digest(text)}`;
  }

  /** Absent also when it was sent twice: Node joins such values by commas, and nobody can say which one counts. */
  #apiKey(request: R): string | undefined {
    if (this.#apiKeyHeader === false) return undefined;
    const value = this.#reader.header(request, this.#apiKeyHeader);
    return typeof value === 'string' && value !== '' && !value.includes(',') ? value : undefined;
  }

  #user(request: R): string | undefined {
    const user = this.#reader.user(request);
    if (typeof user !== 'object' || user === null) return undefined;
    const { id, sub } = user as { id?: unknown; sub?: unknown };
    return identifierOf(id) ?? identifierOf(sub);
  }

  #address(request: R): { own: Identity; all: readonly string[] } {
    const address = this.#ip(request);
    if (address !== undefined && address !== '') return this.#addresses.get(address);
    throw new SluiceError(
      'NO_IDENTITY',
      'The request has no address to count it by. Behind a Unix socket, let the framework trust the header of its ' +
        "proxy, name clients by the 'key' option, or, where all have API keys, set identity: { ceiling: false }.",
    );
  }

  #ip(request: R): string | undefined {
    const reader = this.#reader;
    if (!reader.proxies.trustsAnyone(request)) return reader.ip(request);
    if (!this.#warned) {
      this.#warned = true;
      reader.warn(
        'The application trusts every X-Forwarded-For header, so that a client could name its own address and be a ' +
          `new client with each request. The address added by the nearest proxy is used instead, if that proxy has a private address. ${reader.proxies.remedy}`,
      );
    }
    // A peer from the open internet is no proxy of this application's, and its header is its own to write.
    const peer = reader.proxies.peer(request);
    return peer === undefined || isNearby(peer) ? (nearest(reader.proxies.forwarded(request)) ?? peer) : peer;
  }
}

function addressIdentity(
  { group, wider }: Neighbourhood,
  ceilings: boolean,
): { own: Identity; all: readonly string[] } {
  const key = `ip:${group}`;
  if (!ceilings || wider === undefined) return { own: { key, ceilings: none }, all: [key] };
  const site = `ip:${wider}`;
  return { own: { key, ceilings: [site] }, all: [key, site] };
}

/** The address that the last hop, the nearest to this server, has added. */
function nearest(forwarded: string | string[] | undefined): string | undefined {
  const last = Array.isArray(forwarded) ? forwarded.at(-1) : forwarded;
  const address = last?.slice(last.lastIndexOf(',') + 1).trim();
  return address === '' ? undefined : address;
}

function identifierOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value === '' ? undefined : value;
  return Number.isFinite(value) || typeof value === 'bigint' ? String(value) : undefined;
}

function isClean(identifier: string): boolean {
  return identifier.length <= 64 && /^[A-Za-z0-9._:@-]+$/.test(identifier);
}
