import type { Clock } from '@sluice/core';

/** The years 0 to 9999 in UTC, which is all that RFC 3339 can tell. */
const firstInstant = Date.parse('0000-01-01T00:00:00Z');
const lastInstant = Date.parse('9999-12-31T23:59:59.999Z');

/** Milliseconds since the epoch of an instant in RFC 3339; `undefined` for what is none, or is none in UTC. */
export function instantOf(text: string): number | undefined {
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/i.test(text)) return undefined;
  const ms = Date.parse(text);
  // Of the last day of the year 9999, an offset makes the year 10000.
  if (!(ms >= firstInstant && ms <= lastInstant)) return undefined;
  // Date.parse takes the 31st of each month, and makes it the first of the next.
  const day = Number(text.slice(8, 10));
  const last = new Date(Date.UTC(Number(text.slice(0, 4)), Number(text.slice(5, 7)), 0)).getUTCDate();
  return day <= last ? ms : undefined;
}

/** The present instant of the clock in RFC 3339, to the millisecond. */
export function instantNow(clock: Clock): string {
  return new Date(Math.floor(clock.now() / 1_000)).toISOString();
}
