import type { Decision } from '../../decision.js';
import type { HeaderStyle, QuotaLine } from '../headers.js';
import { LineTexts } from './line-texts.js';
import { NumberText } from './number-text.js';
import { integer, seconds, secondsLeft } from './seconds.js';

type PartitionOf = ((key: string) => string) | undefined;

/** A Field is one header field of a style. */
export interface Field {
  readonly name: string;
  /** Whether its text is made of the lines, and not of the tightest decision alone. */
  readonly usesLines: boolean;
  readonly usesPartition: boolean;
  /** `undefined` where there is nothing to tell: no field is sent then. */
  readonly text: (tightest: Decision, lines: readonly QuotaLine[], partitionOf: PartitionOf) => string | undefined;
}

/**
 * The fields of each style, with what they remember. The drafts are those of draft-ietf-httpapi-ratelimit-headers;
 * RateLimit and RateLimit-Policy of 7, 8 and 11 are structured fields as of RFC 9651.
 */
export const fieldsOf: Readonly<Record<HeaderStyle, () => readonly Field[]>> = {
  legacy: () => [
    ofTightest('X-RateLimit-Limit', ({ limit }) => integer(limit)),
    ofTightest('X-RateLimit-Remaining', ({ remaining }) => integer(remaining)),
    ofTightest('X-RateLimit-Reset', resetTime),
  ],
  'draft-6': () => [
    ofTightest('RateLimit-Limit', ({ limit }) => integer(limit)),
    ofTightest('RateLimit-Remaining', ({ remaining }) => integer(remaining)),
    ofTightest('RateLimit-Reset', reset),
    namelessPolicies(),
  ],
  'draft-7': () => [
    { name: 'RateLimit', usesLines: false, usesPartition: false, text: dictionary },
    namelessPolicies(),
  ],
  // What changed between the two does not show: 11 has no window of 0, requires 'r', and calls 't' the effective window.
  'draft-8': namedLists,
  'draft-11': namedLists,
};

/** A LegacyWriter writes the legacy fields under their own names, which most responses have, without asking field by field. */
export class LegacyWriter {
  readonly #limit = new NumberText();
  readonly #reset = new NumberText();

  write(fields: Record<string, string>, tightest: Decision): void {
    if (tightest.limit === Number.POSITIVE_INFINITY) return;
    const limit = integer(tightest.limit);
    const remaining = integer(tightest.remaining);
    const reset = resetTime(tightest);
    if (limit !== undefined) fields['X-RateLimit-Limit'] = this.#limit.of(limit);
    if (remaining !== undefined) fields['X-RateLimit-Remaining'] = remaining.toString();
    if (reset !== undefined) fields['X-RateLimit-Reset'] = this.#reset.of(reset);
  }
}

/** The store's own clock: epoch seconds that do not wobble from one response to the next. */
function resetTime({ at, resetAfter }: Decision): number | undefined {
  return seconds(at + resetAfter);
}

function ofTightest(name: string, value: (tightest: Decision) => number | undefined): Field {
  const text = (tightest: Decision) =>
    tightest.limit === Number.POSITIVE_INFINITY ? undefined : value(tightest)?.toString();
  return { name, usesLines: false, usesPartition: false, text };
}

/** Drafts 6 and 7 require a reset, also where the request can never pass: the time until the quota is as fresh as new. */
function reset(tightest: Decision): number | undefined {
  const left = secondsLeft(tightest) ?? seconds(tightest.resetAfter);
  return left === undefined || tightest.allowed ? left : Math.max(1, left);
}

/** RateLimit of draft 7: a Dictionary, whose `limit` and `reset` are required. */
function dictionary(tightest: Decision): string | undefined {
  const limit = integer(tightest.limit);
  const remaining = integer(tightest.remaining);
  const left = reset(tightest);
  if (limit === undefined || remaining === undefined || left === undefined) return undefined;
  return `limit=${limit}, remaining=${remaining}, reset=${left}`;
}

/**
 * RateLimit-Policy of drafts 6 and 7: `100;w=60`. The window is required there, which leaves out limits on concurrency,
 * and no two policies may have the same quota: of those that do, the longest window is the strictest.
 */
function namelessPolicies(): Field {
  const texts = new LineTexts(({ limit, windowMs, isPenalty }) => {
    if (isPenalty) return undefined;
    const quota = integer(limit);
    const window = windowSeconds(windowMs);
    return quota === undefined || window === undefined ? undefined : `${quota};w=${window}`;
  });
  const text = (_: Decision, lines: readonly QuotaLine[]) => {
    let list = '';
    for (const [i, line] of lines.entries()) {
      const item = isStrictest(line, i, lines) ? texts.of(line) : undefined;
      if (item !== undefined) list += list === '' ? item : `, ${item}`;
    }
    return list === '' ? undefined : list;
  };
  return { name: 'RateLimit-Policy', usesLines: true, usesPartition: false, text };
}

/** Whether no other line of the same quota has a longer window, nor an earlier one the same. */
function isStrictest({ limit, windowMs = 0 }: QuotaLine, at: number, lines: readonly QuotaLine[]): boolean {
  const quota = integer(limit);
  for (const [i, other] of lines.entries()) {
    const window = other.windowMs ?? 0;
    if (integer(other.limit) === quota && (window > windowMs || (window === windowMs && i < at))) return false;
  }
  return true;
}

/** The fields of drafts 8 and 11: Lists of Strings. */
function namedLists(): readonly Field[] {
  const texts = new LineTexts(policyItem);
  return [
    {
      name: 'RateLimit-Policy',
      usesLines: true,
      usesPartition: true,
      text: (_, lines, partitionOf) => listOf(lines, partitionOf, (line) => texts.of(line)),
    },
    {
      name: 'RateLimit',
      usesLines: true,
      usesPartition: true,
      text: (tightest, lines, partitionOf) => listOf(lines, partitionOf, tightest.allowed ? limitItem : violatedItem),
    },
  ];
}

function listOf(
  lines: readonly QuotaLine[],
  partitionOf: PartitionOf,
  itemOf: (line: QuotaLine) => string | undefined,
): string | undefined {
  let list = '';
  for (const line of lines) {
    const item = itemOf(line);
    if (item === undefined) continue;
    if (list !== '') list += ', ';
    list += partitionOf === undefined ? item : `${item};pk=:${partitionOf(line.key)}:`;
  }
  return list === '' ? undefined : list;
}

/** `"burst";q=100;w=60`. */
function policyItem({ name, limit, windowMs, unit, isPenalty }: QuotaLine): string | undefined {
  if (isPenalty) return undefined;
  const quota = integer(limit);
  if (quota === undefined) return undefined;
  const window = windowSeconds(windowMs);
  const quotaUnit = unit === 'requests' ? '' : `;qu="${unit}"`;
  return `"${name}";q=${quota}${quotaUnit}${window === undefined ? '' : `;w=${window}`}`;
}

/** `"burst";r=50;t=30`. When a place among concurrent requests becomes free is not known: such a line has no `t`. */
function limitItem({ name, windowMs, decision }: QuotaLine): string | undefined {
  const remaining = integer(decision.remaining);
  if (remaining === undefined) return undefined;
  const left = windowMs === undefined ? undefined : secondsLeft(decision);
  return `"${name}";r=${remaining}${left === undefined ? '' : `;t=${left}`}`;
}

function violatedItem(line: QuotaLine): string | undefined {
  return line.decision.allowed ? undefined : limitItem(line);
}

/**
 * A window in whole seconds, rounded up: the drafts know no parts of a second. `10` per 500 ms is told as 10 per second,
 * which misleads no client into being refused: who keeps to it asks for less than is granted.
 */
function windowSeconds(windowMs: number | undefined): number | undefined {
  if (windowMs === undefined) return undefined;
  const whole = seconds(windowMs);
  return whole === undefined ? undefined : Math.max(1, whole);
}
