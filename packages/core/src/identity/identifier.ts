import { checkKey } from '../charge.js';
import { SluiceError } from '../errors.js';
import { type Neighbourhood, neighbourhood } from '../http/address.js';
import { Memo } from '../http/memo.js';
import type { Reader } from '../http/reader.js';
import { isPromise, type MaybePromise } from '../maybe-promise.js';
import { ClientAddress } from './client-address.js';
import { checkIdentity, type IdentityOptions } from './options.js';

/** Which kind of identifier an identity rests on. */
export type IdentitySource = 'api-key' | 'user' | 'ip' | 'key';

/** An Identity is who a request comes from. */
export interface Identity {
  readonly key: string;
  readonly from: IdentitySource;
  /** Keys of the neighbourhood that an identity which is cheap to change must not escape. */
  readonly ceilings: readonly string[];
}

interface Address {
  readonly own: Identity;
  /** The address itself and its wider network, as ceilings of whatever is behind it. */
  readonly all: readonly string[];
}

const none: readonly string[] = [];

/** The key by which it is drawn which part of the clients a limit is enforced for: one that is not cheap to change. */
export function lotOf({ key, ceilings }: Identity): string {
  return ceilings[0] ?? key;
}

/** Tells who a request comes from: an API key, else a user, else an address. */
export class Identifier<R> {
  readonly ceiling: number | false;
  readonly #reader: Reader<R>;
  readonly #apiKeyHeader: string | undefined;
  readonly #findApiKey: ((request: R) => unknown) | undefined;
  readonly #verify: IdentityOptions<R>['verifyApiKey'];
  readonly #findUser: ((request: R) => unknown) | undefined;
  readonly #client: ClientAddress<R>;
  readonly #addresses: Memo<Address>;
  readonly #apiKeys: Memo<string>;
  readonly #users: Memo<Identity>;

  constructor(reader: Reader<R>, options: IdentityOptions<R> = {}, warn: (message: string) => void = reader.warn) {
    checkIdentity(options);
    const { apiKey = 'x-api-key', ipv6Prefix = 64, ceiling = 10 } = options;
    this.#reader = reader;
    this.#apiKeyHeader = typeof apiKey === 'string' ? apiKey.toLowerCase() : undefined;
    this.#findApiKey = typeof apiKey === 'function' ? apiKey : undefined;
    this.#verify = options.verifyApiKey;
    this.#findUser = options.user;
    this.#client = new ClientAddress(reader, options.trustedProxies, warn);
    this.ceiling = ceiling;
    this.#addresses = new Memo((address) => addressIdentity(neighbourhood(address, ipv6Prefix), ceiling !== false));
    // An API key is a secret, whatever it looks like.
    this.#apiKeys = new Memo((apiKey) => `api-key:#${reader.digest(apiKey)}`);
    this.#users = new Memo((id) => ({ key: `user:${this.#clean(id)}`, from: 'user', ceilings: none }));
  }

  /** Who the request comes from: at once, unless API keys are verified by something that takes its time. */
  identify(request: R): MaybePromise<Identity> {
    const apiKey = this.#apiKey(request);
    if (apiKey === undefined) return this.user(request);
    if (this.#verify === undefined) {
      return { key: this.#apiKeys.get(apiKey), from: 'api-key', ceilings: this.#behindApiKey(request) };
    }
    const verified = this.#verify(apiKey, request);
    const conclude = (yes: unknown): Identity =>
      yes ? { key: this.#apiKeys.get(apiKey), from: 'api-key', ceilings: none } : this.user(request);
    return isPromise(verified) ? verified.then(conclude) : conclude(verified);
  }

  /** The user, else the address. */
  user(request: R): Identity {
    const user = this.#user(request);
    return user === undefined ? this.address(request) : this.#users.get(user);
  }

  address(request: R): Identity {
    return this.#address(request).own;
  }

  /** The address as text, where there is one. */
  ip(request: R): string | undefined {
    return this.#client.of(request) || undefined;
  }

  /** The addresses between which the headers of proxies leave a doubt. */
  candidates(request: R): readonly string[] {
    return this.#client.candidates(request);
  }

  /** The keys by which a list may know who sends a request: who he counts as, and his user and address beside. */
  names(request: R, identity: Identity | undefined): readonly string[] {
    const names = identity === undefined ? [] : [identity.key];
    // Where nobody verifies API keys, whoever knows one that is listed is the one who is meant.
    const apiKey = this.#verify === undefined ? this.#apiKey(request) : undefined;
    if (apiKey !== undefined) names.push(this.#apiKeys.get(apiKey));
    const user = this.#user(request);
    if (user !== undefined) names.push(this.#users.get(user).key);
    const address = this.ip(request);
    if (address !== undefined) names.push(this.#addresses.get(address).own.key);
    return names;
  }

  /** The identity that a `key` function names. Of several parts, no two lists are taken for one another. */
  named(key: unknown): Identity {
    return { key: this.#nameOf(key), from: 'key', ceilings: none };
  }

  /** The key under which a store knows whom an operator calls `user:42`, `api-key:secret`, `203.0.113.7` or `tenant-7`. */
  canonical(name: string): string {
    checkKey(name);
    if (name.startsWith('api-key:') && !name.startsWith('api-key:#')) return this.#apiKeys.get(name.slice(8));
    if (name.startsWith('user:') && !name.startsWith('user:#')) return this.#users.get(name.slice(5)).key;
    const address = this.#addresses.get(name.startsWith('ip:') ? name.slice(3) : name).own.key;
    if (address !== 'ip:invalid') return address;
    return name.startsWith('ip:') || name.includes(':#') ? name : this.#clean(name);
  }

  /** Whoever sends a key that nobody has verified could send another with each request. */
  #behindApiKey(request: R): readonly string[] {
    if (this.ceiling === false) return none;
    const addresses = this.#address(request).all;
    const user = this.#user(request);
    return user === undefined ? addresses : [...addresses, this.#users.get(user).key];
  }

  #nameOf(key: unknown): string {
    if (!Array.isArray(key)) {
      checkKey(key);
      return this.#clean(key);
    }
    key.forEach(checkKey);
    const parts = key as readonly string[];
    if (parts.length === 0) checkKey('');
    const separable = parts.every((part) => isClean(part) && !part.includes(':'));
    return separable ? this.#clean(parts.join(':')) : this.#digest(JSON.stringify(parts));
  }

  /** Identifiers that are long, or could be taken for part of a store key, reach a store only as a digest. */
  #clean(identifier: string): string {
    return isClean(identifier) ? identifier : this.#digest(identifier);
  }

  #digest(text: string): string {
    return `#${this.#reader.digest(text)}`;
  }

  /** Absent also when it was sent twice: Node joins such values by commas, and nobody can say which one counts. */
  #apiKey(request: R): string | undefined {
    if (this.#findApiKey !== undefined) return identifierOf(this.#findApiKey(request));
    if (this.#apiKeyHeader === undefined) return undefined;
    const value = this.#reader.header(request, this.#apiKeyHeader);
    return typeof value === 'string' && value !== '' && !value.includes(',') ? value : undefined;
  }

  #user(request: R): string | undefined {
    if (this.#findUser === undefined) return idOf(this.#reader.user(request));
    const found = this.#findUser(request);
    return identifierOf(found) ?? idOf(found);
  }

  #address(request: R): Address {
    const address = this.#client.of(request);
    if (address !== undefined && address !== '') return this.#addresses.get(address);
    throw new SluiceError(
      'NO_IDENTITY',
      'The request has no address to count it by. Behind a Unix socket, let the framework trust the header of its ' +
        "proxy, name clients by the 'key' option, or, where all have API keys, set identity: { ceiling: false }.",
    );
  }
}

function addressIdentity({ group, wider }: Neighbourhood, ceilings: boolean): Address {
  const key = `ip:${group}`;
  if (!ceilings || wider === undefined) return { own: { key, from: 'ip', ceilings: none }, all: [key] };
  const site = `ip:${wider}`;
  return { own: { key, from: 'ip', ceilings: [site] }, all: [key, site] };
}

function idOf(user: unknown): string | undefined {
  if (typeof user !== 'object' || user === null) return undefined;
  const { id, sub } = user as { id?: unknown; sub?: unknown };
  return identifierOf(id) ?? identifierOf(sub);
}

function identifierOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value === '' ? undefined : value;
  return Number.isFinite(value) || typeof value === 'bigint' ? String(value) : undefined;
}

function isClean(identifier: string): boolean {
  return identifier.length <= 64 && /^[A-Za-z0-9._:@-]+$/.test(identifier);
}
