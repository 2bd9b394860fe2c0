import type { Charge, Decision, Leased, LeaseRequest } from '@sluice/core';
import { show } from '@sluice/core/toolkit';
import type { Call } from './call.js';

/**
 * What a reply to `consume` or `peek` says of each charge, from its number `from` on, with what the policy says of itself.
 * Replies count microseconds.
 */
export function decisionsOf(charges: readonly Charge[], reply: readonly number[], from: number): readonly Decision[] {
  // Most charges are alone.
  if (charges.length === 1) return [decisionOf(charges[0]!, reply, from)];
  return charges.map((charge, i) => decisionOf(charge, reply, from + 3 * i));
}

function decisionOf({ policy }: Charge, reply: readonly number[], from: number): Decision {
  const left = reply[from]!;
  const wait = reply[from + 2]!;
  const allowed = left >= 0;
  return {
    allowed,
    policy: policy.name,
    limit: policy.limit,
    remaining: allowed ? left : -1 - left,
    resetAfter: reply[from + 1]! / 1_000,
    retryAfter: allowed ? 0 : wait < 0 ? Number.POSITIVE_INFINITY : wait / 1_000,
    delay: allowed ? wait / 1_000 : 0,
    at: reply[0]! / 1_000,
    source: 'store',
  };
}

/** What a reply to `lease` says, from its number `from` on. */
export function leasedOf({ policy, key }: LeaseRequest, reply: readonly number[], from: number): Leased {
  const decision = decisionOf({ policy, key, cost: 1 }, reply, from + 2);
  return { units: reply[from]!, lasts: reply[from + 1]! / 1_000, decision };
}

/** A call that was not answered: one that came too late, if there is no error. */
export interface Trouble {
  readonly call: Call;
  readonly error: Error | undefined;
}

/** What a script has answered to the calls that it was sent for. */
export interface Answers {
  /** The reply, of which the first is the time; a text stands where a call was not answered. */
  readonly numbers: readonly (number | string)[];
  readonly troubles: readonly Trouble[] | undefined;
}

/** @throws for a reply that answers other calls, or none. */
export function answersOf(calls: readonly Call[], reply: unknown): Answers {
  const numbers = Array.isArray(reply) && reply.length > 1 ? textsRead(reply) : numbersOf(reply);
  if (numbers.length === 1) {
    return { numbers: numbersOf(numbers), troubles: calls.map((call) => ({ call, error: undefined })) };
  }
  let troubles: Trouble[] | undefined;
  let at = 1;
  for (let i = 0; i < calls.length; i++) {
    const call = calls[i]!;
    const first = numbers[at];
    if (typeof first !== 'string') at += call.question.answers;
    else {
      troubles ??= [];
      troubles.push({ call, error: first === 'late' ? undefined : new Error(first) });
      at++;
    }
  }
  if (at !== numbers.length) throw unreadable(reply);
  return { numbers, troubles };
}

/** Gives each of the calls that were answered its part of the reply. */
export function resolveAll(calls: readonly Call[], numbers: Answers['numbers']): void {
  let at = 1;
  for (let i = 0; i < calls.length; i++) {
    const call = calls[i]!;
    if (typeof numbers[at] === 'string') at++;
    else {
      call.resolve(numbers as readonly number[], at);
      at += call.question.answers;
    }
  }
}

/** A reply of nothing but numbers, at least one. */
export function numbersOf(reply: unknown): readonly number[] {
  if (Array.isArray(reply) && reply.length > 0) {
    const numbers = textsRead(reply);
    if (areNumbers(numbers)) return numbers;
  }
  throw unreadable(reply);
}

/** Clients may be set to give numbers as texts. */
function textsRead(reply: readonly unknown[]): readonly (number | string)[] {
  if (areNumbers(reply)) return reply;
  return reply.map((value) => {
    if (typeof value === 'number') return value;
    if (typeof value !== 'string') throw unreadable(reply);
    const number = Number(value);
    return Number.isFinite(number) ? number : value;
  });
}

function areNumbers(values: readonly unknown[]): values is readonly number[] {
  for (let i = 0; i < values.length; i++) if (typeof values[i] !== 'number') return false;
  return true;
}

function unreadable(reply: unknown): Error {
  return new Error(`Redis answered a script with ${show(reply)}, not with what it was asked for.`);
}
