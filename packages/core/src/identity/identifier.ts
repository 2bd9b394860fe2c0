import { SluiceError, show } from '../errors.js';
import type { Reader } from '../http/reader.js';
import { abandon, isPromise, type MaybePromise } from '../maybe-promise.js';
import { Memo } from '../memo.js';
import { type Neighbourhood, neighbourhood } from './address.js';
import { ClientAddress } from './client-address.js';
import { KeyNames } from './key-names.js';
import { checkIdentity, type IdentityOptions } from './options.js';
import { contradictory } from './trusted-proxies.js';
import { identifierOf, userIdOf } from './user-id.js';

/** Which kind of identifier an identity rests on. */
export type IdentitySource = 'api-key' | 'user' | 'ip' | 'key';

/** An Identity is who a request comes from. */
export interface Identity {
  readonly key: string;
  readonly from: IdentitySource;
  /** Keys of the neighbourhood that an identity which is cheap to change must not escape. */
  readonly ceilings: readonly string[];
  /** The one among the ceilings that is a wider network, in which there may be many others. */
  readonly wider: string | undefined;
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
  readonly #names: KeyNames;
  readonly #warn: (message: string) => void;
  readonly #told = new Set<'apiKey' | 'user'>();
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
    this.#names = new KeyNames((text) => reader.digest(text), ipv6Prefix);
    this.#warn = warn;
    this.#addresses = new Memo((address) => {
      if (address === contradictory) return addressIdentity({ group: address, wider: undefined }, false);
      return addressIdentity(neighbourhood(address, ipv6Prefix), ceiling !== false);
    });
    this.#users = new Memo((id) => ({ key: this.#names.user(id), from: 'user', ceilings: none, wider: undefined }));
  }

  /** Who the request comes from: at once, unless API keys are verified by something that takes its time. */
  identify(request: R): MaybePromise<Identity> {
    const apiKey = this.#apiKey(request);
    if (apiKey === undefined) return this.user(request);
    if (this.#verify === undefined) {
      const { ceilings, wider } = this.#behindApiKey(request);
      return { key: this.#names.apiKey(apiKey), from: 'api-key', ceilings, wider };
    }
    const verified = this.#verify(apiKey, request);
    const conclude = (yes: unknown): Identity =>
      yes ? { key: this.#names.apiKey(apiKey), from: 'api-key', ceilings: none, wider: undefined } : this.user(request);
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
  names(request: R, identity: Identity | undefined, address: string | undefined): readonly string[] {
    const names = identity === undefined ? [] : [identity.key];
    // Where nobody verifies API keys, whoever knows one that is listed is the one who is meant.
    const apiKey = this.#verify === undefined ? this.#apiKey(request) : undefined;
    if (apiKey !== undefined) names.push(this.#names.apiKey(apiKey));
    const user = this.#user(request);
    if (user !== undefined) names.push(this.#users.get(user).key);
    if (address !== undefined) names.push(this.#addresses.get(address).own.key);
    return names;
  }

  /** The identity that a `key` function names. */
  named(key: unknown): Identity {
    return { key: this.#names.of(key), from: 'key', ceilings: none, wider: undefined };
  }

  /** The key under which a store knows whom an operator calls `user:42`, `api-key:secret`, `203.0.113.7` or `tenant-7`. */
  canonical(name: string | readonly string[]): string {
    return this.#names.canonical(name);
  }

  /** Whoever sends a key that nobody has verified could send another with each request. */
  #behindApiKey(request: R): Pick<Identity, 'ceilings' | 'wider'> {
    if (this.ceiling === false || this.#reader.vouches?.(request)) return { ceilings: none, wider: undefined };
    const { all, own } = this.#address(request);
    const user = this.#user(request);
    const ceilings = user === undefined ? all : [...all, this.#users.get(user).key];
    return { ceilings, wider: own.wider };
  }

  /** Absent also when it was sent twice: Node joins such values by commas, and nobody can say which one counts. */
  #apiKey(request: R): string | undefined {
    if (this.#findApiKey !== undefined) return this.#foundApiKey(this.#findApiKey(request));
    if (this.#apiKeyHeader === undefined) return undefined;
    const value = this.#reader.header(request, this.#apiKeyHeader);
    return typeof value === 'string' && value !== '' && !value.includes(',') ? value : undefined;
  }

  #foundApiKey(found: unknown): string | undefined {
    const apiKey = identifierOf(found);
    if (apiKey !== undefined || isAbsent(found)) return apiKey;
    this.#refusePromise(found, 'apiKey');
    this.#warnOnce(
      'apiKey',
      `identity: 'apiKey' has returned ${show(found)}, which is no API key: it counts as absent. Return a text, or ` +
        'undefined where there is none.',
    );
    return undefined;
  }

  #user(request: R): string | undefined {
    const found = this.#findUser === undefined ? this.#reader.user(request) : this.#findUser(request);
    if (isAbsent(found)) return undefined;
    if (this.#findUser === undefined) {
      // What else is there may be no user at all, but something of the application's.
      if (typeof found !== 'object') return undefined;
    } else {
      this.#refusePromise(found, 'user');
    }
    const id = identifierOf(found) ?? userIdOf(found);
    if (id !== undefined) return id;
    this.#warnOnce(
      'user',
      `A request has a user (${show(found)}) without an 'id' or 'sub' that is a text or a number, and is counted by its ` +
        'address. Say how to find the id: identity: { user: (request) => … }, which returns it, or undefined for nobody.',
    );
    return undefined;
  }

  #refusePromise(found: unknown, option: 'apiKey' | 'user'): void {
    if (!isPromise(found)) return;
    abandon(found);
    throw new SluiceError(
      'INVALID_KEY',
      `identity: '${option}' has returned a promise. Return the id at once; for what takes its time use 'key'.`,
    );
  }

  /** Of each option once: what the message shows may be of a client's choosing. */
  #warnOnce(about: 'apiKey' | 'user', message: string): void {
    if (this.#told.has(about)) return;
    this.#told.add(about);
    this.#warn(message);
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
  if (!ceilings || wider === undefined)
    return { own: { key, from: 'ip', ceilings: none, wider: undefined }, all: [key] };
  const site = `ip:${wider}`;
  return { own: { key, from: 'ip', ceilings: [site], wider: site }, all: [key, site] };
}

function isAbsent(found: unknown): boolean {
  return found === undefined || found === null || found === '' || found === false;
}
