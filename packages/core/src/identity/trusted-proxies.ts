import { SluiceError, show } from '../errors.js';
import { Memo } from '../memo.js';
import { checkNames } from '../options.js';
import { parse } from './address.js';
import { ForwardedForReader, ForwardedReader, type HopReader } from './forwarded.js';
import { NetworkSet, parseNetwork } from './network.js';

/**
 * TrustedProxies says whose word is taken for where a request comes from: how many proxies there are, 0 to 32, or their
 * addresses, CIDR ranges, `'loopback'`, `'linklocal'`, `'uniquelocal'` or `'private'` (the same as `'uniquelocal'`: the
 * private networks of IPv4 and IPv6). An object also names the one header to read. A proxy on a Unix socket has no
 * address: count the proxies there.
 */
export type TrustedProxies =
  | number
  | readonly string[]
  | { readonly proxies: number | readonly string[]; readonly header: ProxyHeader };

export type ProxyHeader = 'x-forwarded-for' | 'forwarded';

/** What stands for the address where two headers contradict each other. */
export const contradictory = 'contradiction';

/** A Client is where a request comes from, as far as its proxies can be believed. */
export interface Client {
  /** `undefined` where the connection has none; {@link contradictory} where two headers contradict each other. */
  readonly address: string | undefined;
  /** Why the headers cannot be believed, with the remedy. */
  readonly conflict: string | undefined;
  /**
   * Of two headers that contradict each other, the addresses that they lead to. One of them is the client's: whoever is
   * blocked at either must not get through by sending a second header.
   */
  readonly candidates: readonly string[];
}

/** Where a header leads to. */
interface Trail {
  /** `undefined` where the first hop cannot be read already: the peer is as near to the client as we can see. */
  readonly address: string | undefined;
  /** Whether it ends before the proxies do. */
  readonly short: boolean;
}

interface Hop {
  readonly address: string | undefined;
  readonly trusted: boolean;
}

const mostHops = 32;
/** The text of no address is longer, with brackets, port and zone. */
const longestHop = 100;

const privateNetworks = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'];
const namedNetworks: Readonly<Record<string, readonly string[]>> = {
  loopback: ['127.0.0.0/8', '::1'],
  linklocal: ['169.254.0.0/16', 'fe80::/10'],
  uniquelocal: privateNetworks,
  private: privateNetworks,
};
/** The shortest prefix of a network that can be somebody's own: 10.0.0.0/8, fc00::/7. */
const shortestPrefix = { 4: 8, 6: 7 };

const none: readonly string[] = [];
const contradiction =
  'A request has the headers X-Forwarded-For and Forwarded, and they name different clients. A proxy writes one of them, ' +
  'and the other may come from the client, so that neither is believed, and all such requests count as one client. Let ' +
  "the proxy remove the other header, or name the one it writes: trustedProxies: { proxies: …, header: 'x-forwarded-for' }.";

/** A ProxyChain tells the client of a request from the proxies between, by what the headers of the proxies say. */
export class ProxyChain {
  /** The number of proxies; `undefined` where their networks are known. */
  readonly #count: number | undefined;
  readonly #networks: NetworkSet;
  readonly #trustsNobody: boolean;
  readonly #header: ProxyHeader | undefined;
  readonly #hops: Memo<Hop>;
  readonly #forwardedFor: Memo<Trail>;
  readonly #forwarded: Memo<Trail>;
  /** What is said of peers that are no proxies, but send the headers of one: the first of them is the example. */
  #stranger: string | undefined;
  readonly #where: string;
  readonly #tooShort: string;

  /** @throws SluiceError `INVALID_OPTION` for a setting with which a client could choose his address. */
  constructor(setting: TrustedProxies, where: string) {
    const { proxies, header } = parts(setting, where);
    this.#header = header;
    this.#count = typeof proxies === 'number' ? proxies : undefined;
    this.#networks = typeof proxies === 'number' ? new NetworkSet() : networksOf(proxies, where);
    this.#trustsNobody = typeof proxies === 'number' ? proxies === 0 : proxies.length === 0;
    this.#hops = new Memo((text) => this.#hopOf(text));
    this.#forwardedFor = new Memo((text) => this.#follow(new ForwardedForReader(text)));
    this.#forwarded = new Memo((text) => this.#follow(new ForwardedReader(text)));
    this.#where = where;
    this.#tooShort =
      `A request has come through fewer proxies than the ${this.#count} of ${where}. Those who send it with a header of ` +
      'their own making could choose their address: set the number of proxies that every request passes, or, where ' +
      "some pass fewer, name the proxies: trustedProxies: ['10.0.0.0/8'].";
  }

  /** The client of a request with this peer and these headers. Whatever they are, it does not throw. */
  client(
    peer: string | undefined,
    forwardedFor: string | string[] | undefined,
    forwarded: string | string[] | undefined,
  ): Client {
    const { address, trusted } = this.#peer(peer);
    if (this.#trustsNobody) return clientAt(address);
    const first = this.#header === 'forwarded' ? '' : textOf(forwardedFor);
    const second = this.#header === 'x-forwarded-for' ? '' : textOf(forwarded);
    if (first === '' && second === '') return clientAt(address);
    if (!trusted) {
      if (address !== undefined) this.#stranger ??= strangerWarning(address, this.#where);
      return clientAt(address, address === undefined ? undefined : this.#stranger);
    }
    const one = first === '' ? undefined : this.#forwardedFor.get(first);
    const other = second === '' ? undefined : this.#forwarded.get(second);
    if (one !== undefined && other !== undefined && one.address !== other.address) {
      // The proxy's own address would be an answer that clients could bring about: it may be on an allow list, and
      // theirs may be on a block list.
      const candidates = [one.address, other.address].filter((each) => each !== undefined);
      return { address: contradictory, conflict: contradiction, candidates };
    }
    const trail = (one ?? other)!;
    return clientAt(trail.address ?? address, trail.short ? this.#tooShort : undefined);
  }

  #peer(peer: string | undefined): Hop {
    // Only the count of proxies can vouch for a peer without an address.
    if (peer === undefined || peer === '') return { address: undefined, trusted: this.#count !== undefined };
    const hop = this.#hops.get(peer);
    return hop.address === undefined ? { address: peer, trusted: hop.trusted } : hop;
  }

  /** From the nearest hop on, the first that is no proxy, or the last that can be read. */
  #follow(hops: HopReader): Trail {
    let address: string | undefined;
    const most = this.#count ?? mostHops;
    for (let passed = 0; passed < most; passed++) {
      if (!hops.more) return { address, short: this.#count !== undefined };
      const text = hops.next();
      const hop = text === undefined ? undefined : this.#hops.get(text);
      // Whoever wrote this may also have written what stands behind it.
      if (hop?.address === undefined) return { address, short: false };
      address = hop.address;
      if (!hop.trusted) break;
    }
    return { address, short: false };
  }

  #hopOf(text: string): Hop {
    const address = text.length > longestHop ? undefined : parse(text)?.toString();
    if (this.#count !== undefined) return { address, trusted: true };
    return { address, trusted: address !== undefined && this.#networks.has(address) };
  }
}

function clientAt(address: string | undefined, conflict?: string): Client {
  return { address, conflict, candidates: none };
}

function strangerWarning(peer: string, where: string): string {
  return (
    `A request from ${show(peer)} has the header of a proxy, but that address is none of ${where}: the header is not ` +
    'believed. If it is your proxy, add its address there; if not, a client has made the header up.'
  );
}

/** Several lines of a header are one list. */
function textOf(header: string | string[] | undefined): string {
  if (header === undefined) return '';
  const text = typeof header === 'string' ? header : header.join(', ');
  return text.trim();
}

function parts(setting: TrustedProxies, where: string): { proxies: number | readonly string[]; header?: ProxyHeader } {
  if (typeof setting !== 'object' || setting === null || Array.isArray(setting)) {
    checkProxies(setting, where);
    return { proxies: setting };
  }
  const example = "{ proxies: 1, header: 'x-forwarded-for' }";
  checkNames(setting, ['proxies', 'header'], where, example);
  const { proxies, header } = setting as Exclude<TrustedProxies, number | readonly string[]>;
  checkProxies(proxies, `${where}.proxies`);
  if (header === 'x-forwarded-for' || header === 'forwarded') return { proxies, header };
  throw new SluiceError(
    'INVALID_OPTION',
    `${where}: 'header' is 'x-forwarded-for' or 'forwarded', the one that your proxy writes, like ${example}; got ${show(header)}.`,
  );
}

function checkProxies(proxies: unknown, where: string): asserts proxies is number | readonly string[] {
  if (Array.isArray(proxies)) return;
  if (typeof proxies === 'number' && Number.isInteger(proxies) && proxies >= 0 && proxies <= mostHops) return;
  const remedy =
    proxies === true || proxies === '*'
      ? 'would let every client choose its address. Give'
      : typeof proxies === 'string'
        ? `belongs into a list: [${show(proxies)}]. It takes`
        : 'is neither';
  throw new SluiceError(
    'INVALID_OPTION',
    `${where}: ${show(proxies)} ${remedy} the number of your proxies, an integer from 0 to ${mostHops}, or a list of ` +
      "their addresses, like ['10.0.0.0/8', 'loopback']; [] trusts nobody.",
  );
}

function networksOf(proxies: readonly unknown[], where: string): NetworkSet {
  const networks = new NetworkSet();
  for (const [i, entry] of proxies.entries()) {
    const at = `${where}[${i}]`;
    if (typeof entry !== 'string') {
      throw new SluiceError(
        'INVALID_OPTION',
        `${at}: a proxy is named by a text, like '10.0.0.0/8'; got ${show(entry)}.`,
      );
    }
    if (Object.hasOwn(namedNetworks, entry)) {
      for (const network of namedNetworks[entry]!) networks.add(network, at);
      continue;
    }
    if (entry === '*') throw wildcard(entry, at);
    if (/^[a-z]+$/i.test(entry)) {
      throw new SluiceError(
        'INVALID_OPTION',
        `${at}: there is no network ${show(entry)}. Known names: ${Object.keys(namedNetworks).join(', ')}.`,
      );
    }
    const { family, length } = parseNetwork(entry, at);
    if (length < shortestPrefix[family]) throw wildcard(entry, at);
    networks.add(entry, at);
  }
  return networks;
}

function wildcard(entry: string, where: string): SluiceError {
  return new SluiceError(
    'INVALID_OPTION',
    `${where}: ${show(entry)} takes clients for proxies, so that they could choose their address. Name the networks of ` +
      "your proxies alone, like '10.0.0.0/8', or how many there are: trustedProxies: 1.",
  );
}
