import { SluiceError, show } from './errors.js';

/** A Duration is a whole number of milliseconds, or a number with a unit: `'500ms'`, `'10s'`, `'1m'`, `'1h'`, `'1d'`. */
export type Duration = number | `${number}${DurationUnit}`;
export type DurationUnit = 'ms' | 's' | 'm' | 'h' | 'd';

const milliseconds: Readonly<Record<DurationUnit, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** The longest window: 366 days, in milliseconds. */
export const longestWindow = 366 * milliseconds.d;

/** How many milliseconds a duration has at the most, and what people call that. */
export interface LongestDuration {
  readonly ms: number;
  readonly name: string;
}

const aYear: LongestDuration = { ms: longestWindow, name: '366 days' };

/**
 * Reads a duration as whole milliseconds from 1 ms to the longest, by default a year.
 * @throws SluiceError `INVALID_WINDOW` for anything else.
 */
export function parseDuration(duration: unknown, where: string, longest = aYear): number {
  const ms = typeof duration === 'string' ? parseText(duration) : duration;
  if (typeof ms !== 'number' || !Number.isInteger(ms) || ms < 1 || ms > longest.ms) {
    throw new SluiceError(
      'INVALID_WINDOW',
      `${where} must be whole milliseconds or a duration like '500ms', '10s', '1m', '1h' or '1d', ` +
        `from 1 ms to ${longest.name}; got ${show(duration)}.`,
    );
  }
  return ms;
}

function parseText(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text);
  if (!match) return Number.NaN;
  // '0.1s' is 100 ms: decimal fractions that binary cannot hold must not make a whole number fractional.
  const ms = Number(match[1]) * milliseconds[match[2] as DurationUnit];
  const whole = Math.round(ms);
  return Math.abs(ms - whole) < 1e-6 ? whole : Number.NaN;
}

/** Writes whole milliseconds in the largest unit that divides them: 60000 → `'1m'`. */
export function formatDuration(ms: number): string {
  for (const unit of ['d', 'h', 'm', 's'] as const) {
    if (ms % milliseconds[unit] === 0) return `${ms / milliseconds[unit]}${unit}`;
  }
  return `${ms}ms`;
}

/** Milliseconds, as decisions count, in whole microseconds, as clocks and states do. */
export function micros(ms: number): number {
  return Math.round(ms * 1_000);
}
