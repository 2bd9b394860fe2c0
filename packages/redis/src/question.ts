import { type Charge, type CompiledPolicy, type Known, type LeaseRequest, leaseTime, type Refund } from '@sluice/core';
import { micros } from '@sluice/core/toolkit';
import { termsOf } from './scripts/script-family.js';
import type { Operation } from './scripts/scripts.js';

/** A policy and one of its keys. */
export type Subject = Pick<Charge, 'policy' | 'key'>;

/** A Question is what can be asked about different keys: an operation and its arguments. */
export interface Question {
  readonly operation: Operation;
  /** How many keys it is about. */
  readonly keys: number;
  /** The letters of the algorithms of its policies. */
  readonly letters: string;
  readonly args: readonly string[];
  /** The same for the same question, and for no other. */
  readonly text: string;
  /** How many numbers of a reply answer it. */
  readonly answers: number;
}

/** Numbers that answer for a key; what is not named here is answered with one in all. */
const numbers: Readonly<Partial<Record<Operation, number>>> = { consume: 3, peek: 3, lease: 5 };

/** Questions puts what is asked of a store into the words of the scripts. */
export class Questions {
  readonly #terms = new WeakMap<CompiledPolicy, string>();
  /** Most charges take one unit of one policy. */
  readonly #single = new WeakMap<CompiledPolicy, Question>();

  consume(charges: readonly Charge[]): Question {
    const [{ policy, cost }] = charges as readonly [Charge];
    if (charges.length > 1 || cost !== 1) return this.#ask('consume', charges);
    let question = this.#single.get(policy);
    if (question === undefined) {
      question = this.#ask('consume', charges);
      this.#single.set(policy, question);
    }
    return question;
  }

  peek(charges: readonly Charge[]): Question {
    return this.#ask('peek', charges);
  }

  release(refunds: readonly Refund[]): Question {
    const args = refunds.flatMap(({ policy, cost, at }) => {
      return [this.#termsOf(policy), String(cost), at === undefined ? '-1' : String(micros(at))];
    });
    return this.#of('release', refunds, args);
  }

  lower(known: readonly Known[]): Question {
    const args = known.flatMap(({ policy, remaining, resetAfter, at }) => {
      return [this.#termsOf(policy), String(remaining), String(micros(at) + micros(resetAfter))];
    });
    return this.#of('lower', known, args);
  }

  reset(subjects: readonly Subject[]): Question {
    const args = subjects.map(({ policy }) => this.#termsOf(policy));
    return this.#of('reset', subjects, args);
  }

  lease(request: LeaseRequest): Question {
    const { policy, demand, extra, share } = request;
    const lasts = micros(leaseTime(policy));
    const args = [this.#termsOf(policy), String(demand), String(extra), String(share), String(lasts)];
    return this.#of('lease', [request], args);
  }

  #ask(operation: 'consume' | 'peek', charges: readonly Charge[]): Question {
    return this.#of(
      operation,
      charges,
      charges.flatMap(({ policy, cost }) => [this.#termsOf(policy), String(cost)]),
    );
  }

  #of(operation: Operation, { length }: readonly Subject[], args: readonly string[]): Question {
    let letters = '';
    // Each of a policy's arguments begins where its terms stand.
    for (let i = 0; i < args.length; i += args.length / length)
      if (!letters.includes(args[i]![0]!)) letters += args[i]![0];
    const perKey = numbers[operation];
    const answers = perKey === undefined ? 1 : perKey * length;
    return { operation, keys: length, letters, args, text: `${operation} ${length} ${args.join(' ')}`, answers };
  }

  #termsOf(policy: CompiledPolicy): string {
    let terms = this.#terms.get(policy);
    if (terms === undefined) {
      terms = termsOf(policy);
      this.#terms.set(policy, terms);
    }
    return terms;
  }
}
