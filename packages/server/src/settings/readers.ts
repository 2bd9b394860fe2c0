import { isIP } from 'node:net';
import { compilePolicies, type Duration, type HeaderStyle, type PolicyText, SluiceError } from '@sluice/core';
import { parseDeadline, parseDuration, show } from '@sluice/core/toolkit';

/**
 * A Reader makes a setting of what was written for it: text from a flag or the environment, or a scalar of YAML.
 * @throws SluiceError that says what it must be; the place is put before it by whoever knows it.
 */
export type Reader<T> = (raw: unknown) => T;

export function refuse(message: string): never {
  throw new SluiceError('INVALID_OPTION', message);
}

/** Text that stands for itself. A number of YAML is refused: digits that a number cannot hold would be lost. */
export function text(raw: unknown): string {
  if (typeof raw !== 'string') return refuse(`must be text; got ${show(raw)}. In YAML, put it into quotes.`);
  if (raw.trim() !== raw) return refuse(`must not begin or end with space; got ${show(raw)}.`);
  return raw;
}

export function integer(from: number, to: number): Reader<number> {
  return (raw) => {
    const value = typeof raw === 'string' && /^\d{1,15}$/.test(raw) ? Number(raw) : raw;
    if (Number.isInteger(value) && (value as number) >= from && (value as number) <= to) return value as number;
    return refuse(`must be an integer from ${from} to ${to}; got ${show(raw)}.`);
  };
}

/** Units per second: a decimal number of at most six places. */
export function rate(raw: unknown): number {
  const written = String(raw);
  // More digits than a number holds would be another number.
  if (/^\d{1,12}(\.\d{1,6})?$/.test(written) && written.length <= 16 && Number(written) > 0) return Number(written);
  return refuse(
    `must be a number of units per second above 0, like 2 or 0.5, with six decimals and 15 digits at the most; got ${show(raw)}.`,
  );
}

/** A duration with its unit: a bare number would be taken for seconds by one and for milliseconds by another. */
export function duration(raw: unknown): Duration {
  return durationOf(raw, "like '500ms', '10s', '1m', '1h' or '30d', from 1ms to 366d", parseDuration);
}

/** How long a call may take. */
export function deadline(raw: unknown): Duration {
  return durationOf(raw, "like '50ms' or '1s', from 1ms to 1m", parseDeadline);
}

function durationOf(raw: unknown, example: string, parse: (raw: Duration, where: string) => number): Duration {
  if (typeof raw === 'number' || (typeof raw === 'string' && /^\d+$/.test(raw))) {
    return refuse(`needs a unit, ${example}; got ${show(raw)}.`);
  }
  try {
    parse(raw as Duration, '');
  } catch {
    return refuse(`must be a duration ${example}; got ${show(raw)}.`);
  }
  return raw as Duration;
}

export function oneOf<T extends string>(...names: readonly T[]): Reader<T> {
  return (raw) =>
    names.includes(raw as T) ? (raw as T) : refuse(`must be one of ${names.join(', ')}; got ${show(raw)}.`);
}

/** A switch, for which YAML may say true or false. */
export function onOrOff(raw: unknown): boolean {
  if (raw === true || raw === 'on') return true;
  if (raw === false || raw === 'off') return false;
  return refuse(`must be on or off; got ${show(raw)}.`);
}

/** A style of header fields, or `off`, for which YAML may say false. */
export function headerStyle(raw: unknown): HeaderStyle | 'off' {
  return oneOf('legacy', 'draft-6', 'draft-7', 'draft-8', 'draft-11', 'off')(raw === false ? 'off' : raw);
}

/** A limit in short form, or `off`, for which YAML may say false. */
export function policyOrOff(raw: unknown): PolicyText | false {
  if (raw === false || raw === 'off') return false;
  if (typeof raw !== 'string') return refuse(`must be a limit like 600/1m, or off; got ${show(raw)}.`);
  sayingWhy(() => compilePolicies([raw as PolicyText], 'limit'), 'limit');
  return raw as PolicyText;
}

export const howToMakeTokens = "Make one with 'openssl rand -hex 24'.";
const shortestToken = 16;

/** A bearer token, which no message shows. */
export function token(raw: unknown): string {
  if (typeof raw !== 'string') return refuse('a token is text. In YAML, put it into quotes.');
  if (raw.length < shortestToken) {
    return refuse(
      `a token has at least ${shortestToken} characters, so that nobody can guess it; this one has ${raw.length}. ` +
        howToMakeTokens,
    );
  }
  // The token68 of RFC 9110: nothing else can be sent as a bearer token.
  if (/^[A-Za-z0-9._~+/-]+=*$/.test(raw)) return raw;
  return refuse(
    `a token is of A-Z a-z 0-9 . _ ~ + / - only, with = at its end; this one has other characters. ${howToMakeTokens}`,
  );
}

const bytesPerUnit: Readonly<Record<string, number>> = { '': 1, B: 1, kB: 1e3, KiB: 1_024, MB: 1e6, MiB: 1_048_576 };

/** A size as whole bytes. */
export function bytes(from: number, to: number): Reader<number> {
  return (raw) => {
    const [, digits, unit] = /^(\d{1,12}) ?(B|kB|KiB|MB|MiB|)$/.exec(String(raw)) ?? [];
    const size = Number(digits) * bytesPerUnit[unit ?? '']!;
    if (size >= from && size <= to) return size;
    return refuse(
      `must be a size like 1MiB, 512KiB or 65536 (bytes), from ${from} to ${to} bytes; got ${show(raw)}. ` +
        'The units are B, kB, KiB, MB and MiB.',
    );
  };
}

/** What a server can listen on: an address or a name, without scheme and port. */
export function host(raw: unknown): string {
  const name = text(raw);
  if (isIP(name) > 0) return name;
  const looksLikeAddress = /^[\d.]+$/.test(name);
  if (!looksLikeAddress && /^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/.test(name)) return name;
  return refuse(
    `must be an address or a host name, like 127.0.0.1, 0.0.0.0, :: or localhost, without scheme, brackets and port; ` +
      `got ${show(name)}.`,
  );
}

/** The address of a Redis server, whose password is never shown. */
export function redisUrl(raw: unknown): string {
  const example = 'like redis://127.0.0.1:6379 or rediss://user:password@redis.example:6380/0';
  // What cannot be taken apart may hold a password anywhere.
  if (typeof raw !== 'string' || !URL.canParse(raw)) return refuse(`must be an address ${example}.`);
  const url = new URL(raw);
  if (url.protocol !== 'redis:' && url.protocol !== 'rediss:') {
    return refuse(`must begin with redis:// or rediss://, ${example}.`);
  }
  if (url.hostname === '') return refuse(`names no host; write an address ${example}.`);
  if (url.search !== '' || url.hash !== '') {
    return refuse(`must end behind the host, the port or the number of the database, ${example}: leave out ? and #.`);
  }
  if (!/^(\/\d{0,4})?$/.test(url.pathname)) {
    return refuse(`has a path that is no number of a database; write an address ${example}.`);
  }
  return raw;
}

/** An address of Redis as it may be shown. */
export function visibleUrl(redis: string): string {
  const { protocol, host, pathname } = new URL(redis);
  return `${protocol}//${host}${pathname === '/' ? '' : pathname}`;
}

/** What a check of core returns, which is to put `where` before what is wrong; thrown again, that is without. */
export function sayingWhy<T>(check: () => T, where: string): T {
  try {
    return check();
  } catch (error) {
    if (!(error instanceof SluiceError)) throw error;
    const { message } = error;
    return refuse(message.startsWith(where) ? message.slice(where.length).replace(/^:? /, '') : message);
  }
}
