import ipaddr from 'ipaddr.js';
import { SluiceError } from '../errors.js';

/** A Neighbourhood is what one address is counted as, and the wider network it must not escape. */
export interface Neighbourhood {
  /** The address, or the network it is grouped by: `203.0.113.7`, `2001:db8:1:2::/64`. */
  readonly group: string;
  /** The network whose members also count together, where the group is cheap to change. */
  readonly wider: string | undefined;
}

/** Bits of the network that an IPv6 customer usually gets, beside the /64 of each of his links: RFC 6177. */
const site = 48;

/**
 * Canonicalises an address as a framework reports it. IPv4-mapped IPv6 is the IPv4 address; IPv6 is grouped by its
 * first `prefix` bits; zone ids and ports are cut off. What is no address at all counts as one and the same.
 */
export function neighbourhood(address: string, prefix: number): Neighbourhood {
  const ip = parse(address);
  if (ip === undefined) return { group: 'invalid', wider: undefined };
  if (ip.kind() === 'ipv4') return { group: ip.toString(), wider: undefined };
  return {
    group: network(ip as ipaddr.IPv6, prefix),
    wider: prefix > site ? network(ip as ipaddr.IPv6, site) : undefined,
  };
}

/**
 * The key of the client at an address, for `key` functions that count by address: all spellings of it are one, and so
 * are the IPv6 addresses that share their first `ipv6Prefix` bits. Without a `key`, the networks of a /48 have a ceiling
 * too, which a key alone cannot bring along.
 * @throws SluiceError `NO_IDENTITY` where there is no address.
 */
export function ipKey(address: string | undefined, ipv6Prefix = 64): string {
  if (address) return `ip:${neighbourhood(address, ipv6Prefix).group}`;
  throw new SluiceError('NO_IDENTITY', 'ipKey needs an address. Connections of a Unix socket have none.');
}

const nearby: readonly string[] = ['loopback', 'private', 'linkLocal', 'uniqueLocal', 'carrierGradeNat'];

/** Whether an address belongs to the network around this server, and not to the open internet. */
export function isNearby(address: string): boolean {
  return nearby.includes(parse(address)?.range() ?? 'invalid');
}

/** Reads an address as a framework, a proxy or a socket writes it: see {@link neighbourhood} for what is cut off. */
export function parse(address: string): ipaddr.IPv4 | ipaddr.IPv6 | undefined {
  const bare = withoutPort(address);
  // Strictly four decimal parts: 010.0.0.1 and 0x7f.1 are spellings for those who want to look like somebody else.
  if (ipaddr.IPv4.isValidFourPartDecimal(bare)) return ipaddr.IPv4.parse(bare);
  const ip = bare.replace(/%.*$/, '');
  if (!ipaddr.IPv6.isValid(ip)) return undefined;
  const v6 = ipaddr.IPv6.parse(ip);
  if (v6.isIPv4MappedAddress()) return v6.toIPv4Address();
  // A network without IPv4 sees all of its IPv4 clients inside 64:ff9b::/96: RFC 6052.
  return v6.range() === 'rfc6052' ? new ipaddr.IPv4(v6.toByteArray().slice(12)) : v6;
}

/** Some proxies write the port behind the address: `203.0.113.7:52100`, `[2001:db8::1]:52100`. */
function withoutPort(address: string): string {
  const bracketed = /^\[([^\]]+)\](?::\d+)?$/.exec(address);
  if (bracketed) return bracketed[1]!;
  return address.replace(/^(\d+\.\d+\.\d+\.\d+):\d+$/, '$1');
}

function network(ip: ipaddr.IPv6, prefix: number): string {
  if (prefix === 128) return ip.toString();
  return `${ipaddr.IPv6.networkAddressFromCIDR(`${ip.toNormalizedString()}/${prefix}`).toString()}/${prefix}`;
}
