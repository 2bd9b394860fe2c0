import type { Reader } from '../http/reader.js';
import { isNearby } from './address.js';
import { type Client, ProxyChain, type TrustedProxies } from './trusted-proxies.js';

/**
 * Finds the address of the client behind a request: by the proxies that the options name, else as the framework
 * reports it. Headers that contradict the setting are told of once, with the remedy.
 */
export class ClientAddress<R> {
  readonly #reader: Reader<R>;
  readonly #chain: ProxyChain | undefined;
  readonly #warn: (message: string) => void;
  readonly #told = new Set<string>();
  #contradicted = false;

  constructor(reader: Reader<R>, trusted: TrustedProxies | undefined, warn: (message: string) => void) {
    this.#reader = reader;
    this.#chain = trusted === undefined ? undefined : new ProxyChain(trusted, "identity: 'trustedProxies'");
    this.#warn = warn;
  }

  of(request: R): string | undefined {
    const reader = this.#reader;
    if (this.#chain !== undefined) {
      const { address, conflict } = this.#behind(this.#chain, request);
      if (conflict !== undefined) this.#warnOnce(conflict);
      return address;
    }
    const trust = reader.proxies.trust(request);
    if (trust === 'anyone') return this.#nearestProxied(request);
    if (!this.#contradicted) this.#lookForContradiction(request, trust);
    return reader.ip(request);
  }

  /** The addresses that contradicting headers name, of which none is believed. */
  candidates(request: R): readonly string[] {
    return this.#chain === undefined ? none : this.#behind(this.#chain, request).candidates;
  }

  #behind(chain: ProxyChain, request: R): Client {
    const { peer, header } = this.#reader;
    return chain.client(peer(request), header(request, 'x-forwarded-for'), header(request, 'forwarded'));
  }

  /** The framework believes every hop. A peer from the open internet is no proxy of this application's. */
  #nearestProxied(request: R): string | undefined {
    const { proxies } = this.#reader;
    this.#warnOnce(
      'The application trusts every X-Forwarded-For header, so that a client could name its own address and be a ' +
        `new client with each request. The address added by the nearest proxy is used instead, if that proxy has a private address. ${proxies.remedy}`,
    );
    const peer = this.#reader.peer(request);
    return peer === undefined || isNearby(peer) ? (nearest(proxies.forwarded(request)) ?? peer) : peer;
  }

  #lookForContradiction(request: R, trust: 'nobody' | 'some'): void {
    const { proxies } = this.#reader;
    const hops = proxies.forwarded(request) !== undefined;
    const forwarded = this.#reader.header(request, 'forwarded') !== undefined;
    this.#contradicted = trust === 'nobody' ? hops || forwarded : forwarded && !hops;
    if (trust === 'nobody' && (hops || forwarded)) {
      this.#warnOnce(
        `A request has the header ${hops ? 'X-Forwarded-For' : 'Forwarded'}, but the application trusts no proxy: the ` +
          `header is not believed, and all clients behind a proxy count as one. ${proxies.remedy} If there is no proxy, ` +
          'a client has made the header up, and identity: { trustedProxies: [] } says that none is trusted.',
      );
    } else if (trust === 'some' && forwarded && !hops) {
      this.#warnOnce(
        'A request has the header Forwarded and no X-Forwarded-For, which is the one that the framework reads: the ' +
          "header is not believed. To read it, set identity: { trustedProxies: { proxies: …, header: 'forwarded' } } " +
          'with the number of your proxies, or their addresses.',
      );
    }
  }

  #warnOnce(message: string): void {
    if (this.#told.has(message)) return;
    this.#told.add(message);
    this.#warn(message);
  }
}

const none: readonly never[] = [];

/** The address that the last hop, the nearest to this server, has added. */
function nearest(forwarded: string | string[] | undefined): string | undefined {
  const last = Array.isArray(forwarded) ? forwarded.at(-1) : forwarded;
  const address = last?.slice(last.lastIndexOf(',') + 1).trim();
  return address === '' ? undefined : address;
}
