import { type Policy, SluiceError } from '@sluice/core';
import { parseDuration, show } from '@sluice/core/toolkit';
import { Problem, type ProblemPart } from '../problem.js';
import { nearestRate, rateOf, ratioOf } from './rate.js';
import type { UserLimits } from './user.js';

/** The names of the two numbers of a bucket: what it holds, and how fast that comes back. */
export const bucketWords = {
  'token-bucket': ['max_tokens', 'refill_rate'],
  'leaky-bucket': ['capacity', 'leak_rate'],
} as const;

type Bucket = keyof typeof bucketWords;

/** The four names, in the order in which they are written. */
export const limitWords = [...bucketWords['token-bucket'], ...bucketWords['leaky-bucket']];

const largest = 1_000_000_000;
const century = 100 * parseDuration('366d', 'A year');

/**
 * The policy that grants what the limits say: a bucket of `burst` units, of which exactly `limit` per `window` come back.
 * @throws SluiceError `INVALID_POLICY` naming the number that no policy can grant, with one that can.
 */
export function limitsPolicy(limits: UserLimits): Policy {
  const fault = faultOf(limits);
  if (fault !== undefined) throw new SluiceError('INVALID_POLICY', fault.detail);
  const { holds, rate } = numbersOf(limits);
  return { algorithm: limits.algorithm, ...ratioOf(rate)!, burst: holds };
}

/** The limits that say what a policy grants; `undefined` for one that is no bucket, or whose rate six decimals cannot tell. */
export function policyLimits(policy: Pick<Policy, 'algorithm' | 'limit' | 'window' | 'burst'>): UserLimits | undefined {
  const { algorithm, limit, window, burst = limit } = policy;
  if ((algorithm !== 'token-bucket' && algorithm !== 'leaky-bucket') || limit === 0) return undefined;
  const rate = rateOf({ limit, window: parseDuration(window, "'window'") });
  return rate === undefined ? undefined : limitsOf(algorithm, burst, rate);
}

/** Limits in the words of their bucket. */
export function limitsOf(algorithm: Bucket, holds: number, rate: number): UserLimits {
  return algorithm === 'token-bucket'
    ? { algorithm, max_tokens: holds, refill_rate: rate }
    : { algorithm, capacity: holds, leak_rate: rate };
}

/** Whether two users have the same limits, or neither has any. */
export function sameLimits(a: UserLimits | undefined, b: UserLimits | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  const [one, other] = [numbersOf(a), numbersOf(b)];
  return a.algorithm === b.algorithm && one.holds === other.holds && one.rate === other.rate;
}

/** The two names and texts under which limits are written. */
export function limitFields(limits: UserLimits): readonly [string, string, string, string] {
  const { holds, rate } = numbersOf(limits);
  const [holdsWord, rateWord] = bucketWords[limits.algorithm];
  // Below a millionth, numbers would be written with an exponent; such rates are refused.
  return [holdsWord, String(holds), rateWord, String(rate)];
}

/**
 * Reads limits from the texts of a query, `max_tokens` and `refill_rate` or `capacity` and `leak_rate`. Other
 * parameters are left alone.
 * @throws Problem 400 naming each parameter that is wrong.
 */
export function parseLimits(query: Readonly<Record<string, unknown>>): UserLimits {
  const given = limitWords.filter((word) => query[word] !== undefined);
  const algorithm: Bucket = given.includes('capacity') || given.includes('leak_rate') ? 'leaky-bucket' : 'token-bucket';
  const [holdsWord, rateWord] = bucketWords[algorithm];
  if (given.length === 0) {
    throw refusal([
      { parameter: 'max_tokens', detail: "Give 'max_tokens' and 'refill_rate', or 'capacity' and 'leak_rate'." },
    ]);
  }
  const strangers = given.filter((word) => word !== holdsWord && word !== rateWord);
  if (strangers.length > 0) {
    const detail =
      "A user has either 'max_tokens' and 'refill_rate' or 'capacity' and 'leak_rate'. Leave out one pair.";
    throw refusal(given.map((parameter) => ({ parameter, detail })));
  }
  const wrong: ProblemPart[] = [];
  const holds = read(query, holdsWord, rateWord, wrong, wholeNumber);
  const rate = read(query, rateWord, holdsWord, wrong, decimalNumber);
  if (wrong.length > 0) throw refusal(wrong);
  const limits = limitsOf(algorithm, holds, rate);
  const fault = faultOf(limits);
  if (fault !== undefined) throw refusal([fault]);
  return limits;
}

/** What is wrong with limits, and with which of their numbers. */
export function faultOf(limits: UserLimits): { readonly parameter: string; readonly detail: string } | undefined {
  const { holds, rate } = numbersOf(limits);
  const [holdsWord, rateWord] = bucketWords[limits.algorithm];
  if (!Number.isInteger(holds) || holds < 1 || holds > largest) {
    return { parameter: holdsWord, detail: `'${holdsWord}' is an integer from 1 to ${largest}; got ${show(holds)}.` };
  }
  if (typeof rate !== 'number' || !(rate > 0) || rate === Number.POSITIVE_INFINITY) {
    return {
      parameter: rateWord,
      detail: `'${rateWord}' is a number above 0, in units per second; got ${show(rate)}.`,
    };
  }
  const ratio = ratioOf(rate);
  if (ratio === undefined) {
    const detail =
      `'${rateWord}' has too many digits to be counted exactly: ${rate} per second. Rates have up to six decimals, and ` +
      `about nine digits in all. Write ${nearestRate(rate)}.`;
    return { parameter: rateWord, detail };
  }
  const most = Math.floor((ratio.limit * century) / ratio.window);
  if (holds <= most) return undefined;
  const detail =
    `At a '${rateWord}' of ${rate} per second, a '${holdsWord}' of ${holds} takes over a century to come back. ` +
    `Choose one of at most ${most}, or a higher rate.`;
  return { parameter: holdsWord, detail };
}

function numbersOf(limits: UserLimits): { readonly holds: number; readonly rate: number } {
  return limits.algorithm === 'token-bucket'
    ? { holds: limits.max_tokens, rate: limits.refill_rate }
    : { holds: limits.capacity, rate: limits.leak_rate };
}

function read(
  query: Readonly<Record<string, unknown>>,
  word: string,
  other: string,
  wrong: ProblemPart[],
  numberOf: (text: string, word: string) => number | string,
): number {
  const value = query[word];
  let found: number | string;
  if (value === undefined) found = `'${word}' is missing: it goes with '${other}'.`;
  else if (Array.isArray(value)) found = `'${word}' is given ${value.length} times. Give it once.`;
  else if (typeof value !== 'string') found = `'${word}' is the text of a number; got ${show(value)}.`;
  else found = numberOf(value, word);
  if (typeof found === 'number') return found;
  wrong.push({ parameter: word, detail: found });
  return Number.NaN;
}

/** The number, or what is wrong with the text. */
function wholeNumber(text: string, word: string): number | string {
  if (/^[1-9]\d{0,9}$/.test(text) && Number(text) <= largest) return Number(text);
  return `'${word}' is an integer from 1 to ${largest}, in digits alone; got ${show(text)}.`;
}

/** The number, or what is wrong with the text. */
function decimalNumber(text: string, word: string): number | string {
  const parts = /^(0|[1-9]\d*)(?:\.(\d+?)0*)?$/.exec(text);
  if (parts === null || !/[1-9]/.test(text)) {
    return `'${word}' is a number above 0 like 2 or 0.5, in units per second, without sign, exponent or spaces; got ${show(text)}.`;
  }
  const [, whole, decimals = '0'] = parts;
  const rate = Number(text);
  // More digits than a number holds would be another number.
  if (String(rate) === (decimals === '0' ? whole : `${whole}.${decimals}`)) return rate;
  return (
    `'${word}' has too many digits to be counted exactly: ${show(text)}. Rates have up to six decimals, and about nine ` +
    `digits in all. Write ${nearestRate(rate)}.`
  );
}

function refusal(errors: readonly ProblemPart[]): Problem {
  return new Problem(400, 'Invalid parameter', errors.map(({ detail }) => detail).join(' '), errors);
}
