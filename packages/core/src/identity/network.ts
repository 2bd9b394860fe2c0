import ipaddr from 'ipaddr.js';
import { SluiceError, show } from '../errors.js';
import { Memo } from '../memo.js';
import { parse } from './address.js';

/** A Network is the addresses of one family that share their first bits. IPv4-mapped IPv6 is IPv4. */
export interface Network {
  readonly family: 4 | 6;
  /** How many bits are shared: 0 to 32, or to 128. */
  readonly length: number;
  /** The shared bits: a number of IPv4, a bigint of IPv6. */
  readonly prefix: number | bigint;
  /** `203.0.113.7`, `10.0.0.0/8`, `2001:db8::/32`: the same for all spellings. */
  readonly text: string;
}

interface Address {
  readonly family: 4 | 6;
  readonly value: number | bigint;
}

/** The text of no address that anybody writes is longer, with brackets, port and zone. */
const longestAddress = 100;

/**
 * Reads an address or a CIDR range.
 * @throws SluiceError `INVALID_OPTION` for what is neither, and for what can be read in two ways.
 */
export function parseNetwork(text: string, where: string): Network {
  const slash = text.indexOf('/');
  const base = slash === -1 ? text : text.slice(0, slash);
  if (base.includes('%')) {
    throw invalid(text, where, `a zone has no meaning to other hosts. Write ${show(base.replace(/%.*$/, ''))}.`);
  }
  const ip = parseBare(base);
  if (ip === undefined) {
    throw invalid(
      text,
      where,
      "write an address or a CIDR range, like '203.0.113.7' or '2001:db8::/32', without a port.",
    );
  }
  const longest = ip.kind() === 'ipv4' ? 32 : 128;
  const length = slash === -1 ? longest : Number(/^(?:0|[1-9]\d{0,2})$/.exec(text.slice(slash + 1))?.[0] ?? Number.NaN);
  if (!(length <= longest)) {
    throw invalid(text, where, `behind the slash belongs a number of bits from 0 to ${longest}.`);
  }
  const bytes = ip.toByteArray();
  if (hasBitsBehind(bytes, length)) {
    const first = ip.kind() === 'ipv4' ? ipaddr.IPv4 : ipaddr.IPv6;
    const network = first.networkAddressFromCIDR(`${ip.toNormalizedString()}/${length}`);
    throw invalid(text, where, `it is ${ip}/${longest} or ${network}/${length}: write the one you mean.`);
  }
  if (ip.kind() === 'ipv4') return networkOf(4, bytes, length, ip);
  const v6 = ip as ipaddr.IPv6;
  if (v6.isIPv4MappedAddress() && length >= 96) {
    return networkOf(4, bytes.slice(12), length - 96, v6.toIPv4Address());
  }
  // An address translated from IPv4 counts as that, so that one of IPv6 would never be found in here: RFC 6052.
  if (v6.range() === 'rfc6052') {
    if (length === 128) return networkOf(4, bytes.slice(12), 32, new ipaddr.IPv4(bytes.slice(12)));
    throw invalid(
      text,
      where,
      'translated addresses count as the IPv4 addresses that they hold. Write the range of these.',
    );
  }
  return networkOf(6, bytes, length, v6);
}

function networkOf(family: 4 | 6, bytes: readonly number[], length: number, ip: ipaddr.IPv4 | ipaddr.IPv6): Network {
  const prefix = leading(family, numberOf(family, bytes), length);
  return { family, length, prefix, text: length === (family === 4 ? 32 : 128) ? `${ip}` : `${ip}/${length}` };
}

/** NetworkMap finds the most specific network around an address, at a cost that does not grow with their number. */
export class NetworkMap<V> {
  /** By family: the lengths that occur, the longest first, each with its networks by their prefix. */
  readonly #tables: Record<4 | 6, { readonly length: number; readonly networks: Map<number | bigint, V> }[]> = {
    4: [],
    6: [],
  };
  readonly #addresses = new Memo<Address | 'none'>((text) => addressOf(text) ?? 'none');
  #size = 0;

  get size(): number {
    return this.#size;
  }

  set({ family, length, prefix }: Network, value: V): void {
    const tables = this.#tables[family];
    let table = tables.find((one) => one.length === length);
    if (table === undefined) {
      table = { length, networks: new Map() };
      tables.push(table);
      tables.sort((a, b) => b.length - a.length);
    }
    if (!table.networks.has(prefix)) this.#size++;
    table.networks.set(prefix, value);
  }

  delete({ family, length, prefix }: Network): boolean {
    const tables = this.#tables[family];
    const at = tables.findIndex((one) => one.length === length);
    if (at === -1 || !tables[at]!.networks.delete(prefix)) return false;
    this.#size--;
    if (tables[at]!.networks.size === 0) tables.splice(at, 1);
    return true;
  }

  has({ family, length, prefix }: Network): boolean {
    return this.#tables[family].find((one) => one.length === length)?.networks.has(prefix) ?? false;
  }

  /** What the most specific network holds around this address; `undefined` also for what is no address. */
  find(address: string, counts?: (value: V) => boolean): V | undefined {
    if (this.#size === 0) return undefined;
    const known = this.#addresses.get(address);
    if (known === 'none') return undefined;
    const { family, value } = known;
    for (const { length, networks } of this.#tables[family]) {
      const found = networks.get(leading(family, value, length));
      if (found !== undefined && (counts === undefined || counts(found))) return found;
    }
    return undefined;
  }

  clear(): void {
    this.#tables[4] = [];
    this.#tables[6] = [];
    this.#size = 0;
  }
}

/** A NetworkSet is a set of addresses and CIDR ranges, IPv4 and IPv6. */
export class NetworkSet {
  readonly #networks = new NetworkMap<true>();

  /** @throws SluiceError `INVALID_OPTION` for what is neither an address nor a range. */
  add(text: string, where = 'NetworkSet'): this {
    this.#networks.set(parseNetwork(text, where), true);
    return this;
  }

  delete(text: string, where = 'NetworkSet'): boolean {
    return this.#networks.delete(parseNetwork(text, where));
  }

  /** Whether the address is in one of the networks. What is no address is in none. */
  has(address: string): boolean {
    return this.#networks.find(address) !== undefined;
  }

  get size(): number {
    return this.#networks.size;
  }
}

/** Strictly an address: what is mapped or translated stays as it is, since the length of a range refers to that. */
function parseBare(text: string): ipaddr.IPv4 | ipaddr.IPv6 | undefined {
  if (text.length > longestAddress) return undefined;
  if (ipaddr.IPv4.isValidFourPartDecimal(text)) return ipaddr.IPv4.parse(text);
  return ipaddr.IPv6.isValid(text) ? ipaddr.IPv6.parse(text) : undefined;
}

function addressOf(text: string): Address | undefined {
  const ip = text.length > longestAddress ? undefined : parse(text);
  if (ip === undefined) return undefined;
  const family = ip.kind() === 'ipv4' ? 4 : 6;
  return { family, value: numberOf(family, ip.toByteArray()) };
}

function numberOf(family: 4 | 6, bytes: readonly number[]): number | bigint {
  if (family === 4) return bytes.reduce((value, byte) => value * 256 + byte, 0);
  return bytes.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);
}

function leading(family: 4 | 6, value: number | bigint, length: number): number | bigint {
  // The shift operators of numbers take the distance modulo 32.
  if (family === 4) return length === 0 ? 0 : (value as number) >>> (32 - length);
  return (value as bigint) >> BigInt(128 - length);
}

function hasBitsBehind(bytes: readonly number[], length: number): boolean {
  return bytes.some((byte, i) => (byte & (0xff >> Math.min(8, Math.max(0, length - i * 8)))) !== 0);
}

function invalid(text: string, where: string, remedy: string): SluiceError {
  return new SluiceError('INVALID_OPTION', `${where}: ${show(text)} is no network: ${remedy}`);
}
