import type { Charge, Decision, Leased, LeaseRequest } from '@sluice/core';
import { show } from '@sluice/core/toolkit';
import type { Call } from './call.js';

/**
 * What a reply to `consume` or `peek` says of each charge, from its number `from` on, with what the policy says of itself.
 * Replies count microseconds.
 */
export function decisionsOf(charges: readonly Charge[], reply: readonly number[], from: number): readonly Decision[] {
  const at = reply[0]! / 1_000;
  return charges.map(({ policy }, i) => {
    const left = reply[from + 3 * i]!;
    const wait = reply[from + 3 * i + 2]!;
    const allowed = left >= 0;
    return {
      allowed,
      policy: policy.name,
      limit: policy.limit,
      remaining: allowed ? left : -1 - left,
      resetAfter: reply[from + 3 * i + 1]! / 1_000,
      retryAfter: allowed ? 0 : wait < 0 ? Number.POSITIVE_INFINITY : wait / 1_000,
      delay: allowed ? wait / 1_000 : 0,
      at,
      source: 'store',
    };
  });
}

/** What a reply to `lease` says, from its number `from` on. */
export function leasedOf({ policy, key }: LeaseRequest, reply: readonly number[], from: number): Leased {
  const [decision] = decisionsOf([{ policy, key, cost: 1 }], reply, from + 2);
  return { units: reply[from]!, lasts: reply[from + 1]! / 1_000, decision: decision! };
}

/** What a script has answered to the calls that it was sent for. */
export interface Answers {
  /** The reply as numbers, of which the first is the time. */
  readonly numbers: readonly number[];
  /** `at` is the first number that answers the call. */
  readonly done: readonly { readonly call: Call; readonly at: number }[];
  readonly late: readonly Call[];
  readonly failed: readonly { readonly call: Call; readonly error: Error }[];
}

/** @throws for a reply that answers other calls, or none. */
export function answersOf(calls: readonly Call[], reply: unknown): Answers {
  const numbers = Array.isArray(reply) && reply.length > 1 ? textsRead(reply) : numbersOf(reply);
  const done: { call: Call; at: number }[] = [];
  const late: Call[] = [];
  const failed: { call: Call; error: Error }[] = [];
  if (numbers.length === 1) return { numbers: numbersOf(numbers), done, late: calls, failed };
  let at = 1;
  for (const call of calls) {
    const first = numbers[at];
    if (typeof first !== 'string') {
      done.push({ call, at });
      at += call.question.answers;
    } else {
      if (first === 'late') late.push(call);
      else failed.push({ call, error: new Error(first) });
      at++;
    }
  }
  if (at !== numbers.length) throw unreadable(reply);
  return { numbers: numbers as readonly number[], done, late, failed };
}

/** A reply of nothing but numbers, at least one. */
export function numbersOf(reply: unknown): readonly number[] {
  if (Array.isArray(reply) && reply.length > 0) {
    const numbers = textsRead(reply);
    if (numbers.every((value) => typeof value === 'number')) return numbers;
  }
  throw unreadable(reply);
}

/** Clients may be set to give numbers as texts. */
function textsRead(reply: readonly unknown[]): readonly (number | string)[] {
  if (reply.every((value) => typeof value === 'number')) return reply;
  return reply.map((value) => {
    if (typeof value === 'number') return value;
    if (typeof value !== 'string') throw unreadable(reply);
    const number = Number(value);
    return Number.isFinite(number) ? number : value;
  });
}

function unreadable(reply: unknown): Error {
  return new Error(`Redis answered a script with ${show(reply)}, not with what it was asked for.`);
}
