import { combine, type Decision, type DecisionSource, governs } from '../decision.js';
import type { Judgement } from '../engine/judgement.js';
import type { Plan } from '../engine/plan.js';
import type { Hold, Occasion } from '../reservation.js';
import type { HeaderWriter, QuotaLine } from './headers.js';
import type { Reader } from './reader.js';

/** The decision on a request, of all its limiters so far: the tightest of them. */
export interface RequestDecision extends Decision {
  /** Who was limited, as the store knows it: identifiers that may be secret are hashed. */
  readonly key: string;
  /** The rule that applied, as it is written. */
  readonly rule: string | undefined;
  readonly tier: string | undefined;
  /** Units of the policy that are taken. */
  readonly used: number;
  /** When the key is as fresh as new if nobody takes anything; `undefined` for never. */
  readonly resetAt: Date | undefined;
}

/** A limiter, as far as a ledger knows it. */
export interface Owner {
  /** How it tells of its limits. */
  readonly voice: Voice;
}

/** A Voice is how a limiter tells clients of their limits. */
export interface Voice {
  readonly writer: HeaderWriter;
  /** The partition key of a key, where it is told. */
  readonly partitionOf: ((key: string) => string) | undefined;
}

/** The last instant that a Date can hold, in milliseconds. */
const latestDate = 8.64e15;

/** Ledgers of requests where limiters keep their decisions under various names; set aside until there are such. */
let elsewhere: WeakMap<object, Ledger> | undefined;

/**
 * A Ledger is the decision on a request as the adapter puts it there. Out of sight it keeps what the limiters have
 * taken, so that it can be given back if a later one refuses.
 */
export class Ledger implements RequestDecision {
  // Declared only: a field that is defined first and assigned then is written twice.
  declare readonly allowed: boolean;
  declare readonly policy: string;
  declare readonly limit: number;
  declare readonly remaining: number;
  declare readonly resetAfter: number;
  declare readonly retryAfter: number;
  declare readonly delay: number;
  declare readonly at: number;
  declare readonly source: DecisionSource;
  declare readonly policies?: readonly Decision[];
  declare readonly key: string;
  declare readonly rule: string | undefined;
  declare readonly tier: string | undefined;
  readonly #earlier: Ledger | undefined;
  readonly #owner: Owner;
  /** The owner's own. */
  readonly #judgement: Judgement;
  /** What the owner has taken. */
  readonly #hold: Hold | undefined;
  /** The ledger of the limiter whose decision it is. */
  readonly #from: Ledger;

  /** Adds the judgement of one more limiter, and what it took, to what is on the request already. */
  constructor(
    earlier: Ledger | undefined,
    owner: Owner,
    judgement: Judgement,
    key: string,
    { rule, tier }: Pick<Plan<unknown>, 'rule' | 'tier'>,
    hold: Hold | undefined,
  ) {
    const own = judgement.decision;
    const decision = earlier === undefined ? own : combine([...each(earlier), ...each(own)]);
    this.allowed = decision.allowed;
    this.policy = decision.policy;
    this.limit = decision.limit;
    this.remaining = decision.remaining;
    this.resetAfter = decision.resetAfter;
    this.retryAfter = decision.retryAfter;
    this.delay = decision.delay;
    this.at = decision.at;
    this.source = decision.source;
    if (decision.policies !== undefined) this.policies = decision.policies;
    // Whose decision it is.
    const isOwn = earlier === undefined || governs(own, earlier);
    this.key = isOwn ? key : earlier.key;
    this.rule = isOwn ? rule : earlier.rule;
    this.tier = isOwn ? tier : earlier.tier;
    this.#earlier = earlier;
    this.#owner = owner;
    this.#judgement = judgement;
    this.#hold = hold;
    this.#from = isOwn ? this : earlier.#from;
  }

  get used(): number {
    return Math.max(0, this.#capacity() - this.remaining);
  }

  get resetAt(): Date | undefined {
    const ms = Math.ceil(this.at + this.resetAfter);
    return ms <= latestDate ? new Date(ms) : undefined;
  }

  /** So that the two that are worked out when asked are not missing in JSON. */
  toJSON(): object {
    return { ...this, used: this.used, resetAt: this.resetAt };
  }

  /** Units that the policy which decided can grant at once. */
  #capacity(): number {
    const { demands } = this.#from.#judgement;
    return demands.find(({ policy }) => policy.name === this.policy)?.policy.capacity ?? this.limit;
  }

  /** From here on limiters keep their decisions under names of their own, and find one another all the same. */
  static keepElsewhere(): void {
    elsewhere ??= new WeakMap();
  }

  /** What is on a request, if it is from here: others use the same property. */
  static on<R>(request: R, reader: Reader<R>): Ledger | undefined {
    if (elsewhere !== undefined) return elsewhere.get(request as object);
    const found = reader.earlier(request);
    return typeof found === 'object' && found !== null && #owner in found ? found : undefined;
  }

  static keep(request: unknown, ledger: Ledger): void {
    elsewhere?.set(request as object, ledger);
  }

  /** Whether that limiter has decided on the request already. */
  static includes(ledger: Ledger | undefined, owner: Owner): boolean {
    for (let one = ledger; one !== undefined; one = one.#earlier) if (one.#owner === owner) return true;
    return false;
  }

  /** How all limiters up to this one tell of their limits, the first one's first; `undefined` where there is just one. */
  static voices(ledger: Ledger): readonly Voice[] | undefined {
    if (ledger.#earlier === undefined) return undefined;
    const voices: Voice[] = [];
    for (let one: Ledger | undefined = ledger; one !== undefined; one = one.#earlier) {
      voices.unshift(one.#owner.voice);
    }
    return voices;
  }

  /** Gives back what all limiters up to this one have taken. */
  static giveBack(ledger: Ledger | undefined, occasion: Occasion): void {
    for (let one = ledger; one !== undefined; one = one.#earlier) one.#hold?.giveBack(occasion);
  }

  /**
   * Every policy that the client should know of, the first limiter's first: its own limits, and what else has refused.
   */
  static lines(ledger: Ledger): readonly QuotaLine[] {
    const own = Ledger.ownLines(ledger);
    return ledger.#earlier === undefined ? own : [...Ledger.lines(ledger.#earlier), ...own];
  }

  /** Those of the last limiter. */
  static ownLines(ledger: Ledger): readonly QuotaLine[] {
    const { demands, answers } = ledger.#judgement;
    const lines: QuotaLine[] = [];
    for (const [i, { line, policy, key }] of demands.entries()) {
      const decision = answers[i]!;
      if (decision.allowed && line.kind !== 'limit' && line.kind !== 'slot') continue;
      const windowMs = line.kind === 'slot' ? undefined : policy.windowMs;
      const isPenalty = line.kind === 'block' || line.kind === 'ban';
      lines.push({ name: policy.name, key, limit: policy.limit, windowMs, unit: line.unit, isPenalty, decision });
    }
    return lines;
  }
}

function each(decision: Decision): readonly Decision[] {
  return decision.policies ?? [decision];
}
