import { Chain } from '../chain.js';
import type { Charge } from '../charge.js';
import type { Decision } from '../decision.js';
import { micros } from '../duration.js';
import type { CompiledPolicy } from '../policy.js';
import { Denial } from './denial.js';

/** Refusals of one key that are remembered at a time: more would have to be looked through. */
const mostPerKey = 8;

/** Keys of which it is known that they were freed; those before are only counted. */
const freedKept = 1_024;

/** Denials remember refusals, a bounded number of them, the newest. Instants are microseconds. */
export class Denials {
  readonly #most: number;
  readonly #byKey = new Map<string, Denial>();
  #count = 0;
  /** The oldest first. */
  readonly #all = new Chain<Denial>();
  /** The last keys that have units back, in turn; `undefined` stands for any. */
  readonly #freed: (string | undefined)[] = [];
  #freedCount = 0;

  constructor(most: number) {
    this.#most = most;
  }

  get size(): number {
    return this.#count;
  }

  /** Changes when a key has units back: what was refused to it before then is not to be remembered. */
  get freedCount(): number {
    return this.#freedCount;
  }

  /** The denial that answers these charges: of several, the one that is trusted the longest. */
  of(charges: readonly Charge[], now: number): Denial | undefined {
    // The usual case, without a loop.
    if (charges.length === 1) {
      const first = this.#byKey.get(charges[0]!.key);
      return first === undefined ? undefined : this.#find(first, charges, now);
    }
    let last: string | undefined;
    for (let i = 0; i < charges.length; i++) {
      const { key } = charges[i]!;
      // Most often several policies have the same key.
      if (key === last) continue;
      last = key;
      const first = this.#byKey.get(key);
      if (first === undefined) continue;
      const found = this.#find(first, charges, now);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** `freedCount` is what it was when the store was asked: refusals may be overtaken by the news that they are void. */
  remember(denial: Denial, freedCount: number, now: number): void {
    const { key } = denial.holder;
    if (this.#isFreedSince(key, freedCount)) return;
    let same = 0;
    let oldestOfKey: Denial | undefined;
    for (let one = this.#byKey.get(key); one !== undefined; ) {
      const { next } = one;
      if (one.isOver(now) || one.isSame(denial.charges)) this.#remove(one);
      else {
        same++;
        oldestOfKey = one;
      }
      one = next;
    }
    if (same >= mostPerKey) this.#remove(oldestOfKey!);
    // Two at a time, so that those that nobody asks for again go sooner than new ones come.
    for (let i = 0; i < 2 && this.#all.first?.isOver(now); i++) this.#remove(this.#all.first);
    if (this.#count >= this.#most) this.#remove(this.#all.first!);
    this.#add(denial);
  }

  /** The key has units back, of these policies or of any. */
  free(key: string, policies?: readonly CompiledPolicy[]): void {
    this.#freed[this.#freedCount++ % freedKept] = key;
    for (let one = this.#byKey.get(key); one !== undefined; ) {
      const { next } = one;
      const { id } = one.holder.policy;
      if (policies === undefined || policies.some((policy) => policy.id === id)) this.#remove(one);
      one = next;
    }
  }

  /** Any key may have units back. */
  freeAll(): void {
    this.#freed[this.#freedCount++ % freedKept] = undefined;
    this.#byKey.clear();
    this.#count = 0;
    this.#all.clear();
  }

  #find(first: Denial, charges: readonly Charge[], now: number): Denial | undefined {
    if (first.next === undefined && !first.isOver(now)) return first.covers(charges) ? first : undefined;
    let found: Denial | undefined;
    for (let one: Denial | undefined = first; one !== undefined; ) {
      const { next }: Denial = one;
      if (one.isOver(now)) this.#remove(one);
      else if ((found === undefined || one.until > found.until) && one.covers(charges)) found = one;
      one = next;
    }
    return found;
  }

  #isFreedSince(key: string, count: number): boolean {
    if (this.#freedCount - count > freedKept) return true;
    for (let i = count; i < this.#freedCount; i++) {
      const freed = this.#freed[i % freedKept];
      if (freed === undefined || freed === key) return true;
    }
    return false;
  }

  #add(denial: Denial): void {
    const { key } = denial.holder;
    denial.next = this.#byKey.get(key);
    this.#byKey.set(key, denial);
    this.#all.append(denial);
    this.#count++;
  }

  #remove(denial: Denial): void {
    const { key } = denial.holder;
    const first = this.#byKey.get(key)!;
    if (first !== denial) {
      let before = first;
      while (before.next !== denial) before = before.next!;
      before.next = denial.next;
    } else if (denial.next === undefined) this.#byKey.delete(key);
    else this.#byKey.set(key, denial.next);

    this.#all.remove(denial);
    // An old one would keep those alive that came after it, until all garbage is collected.
    denial.next = undefined;
    this.#count--;
  }
}

/**
 * What of a refusal is to be remembered: nothing where a refusal takes units or records a breach; where units may come
 * back at any moment, since they are borrowed; or where it is not the store's own. `sent` and `received` are the instants
 * of the question and of its answer, `trust` how long nobody's word is taken.
 *
 * The charge that refuses the longest holds the denial: until its time has come the store would refuse all of the list,
 * whatever becomes of the others, since what anybody takes only makes the wait longer. Units that are given back make it
 * shorter, and free the key.
 */
export function denialOf(
  charges: readonly Charge[],
  decisions: readonly Decision[],
  sent: number,
  received: number,
  trust: number,
): Denial | undefined {
  let holder: number | undefined;
  let punishes = false;
  for (let i = 0; i < charges.length; i++) {
    const { policy, cost } = charges[i]!;
    const decision = decisions[i];
    if (decision?.source !== 'store' || policy.countRefused) return undefined;
    if (!decision.allowed && policy.borrowed) return undefined;
    const isPenalty = policy.algorithm === 'penalty';
    if (isPenalty && cost > 0) return undefined;
    // Whoever is refused by a limit may be blocked for it, which is to be seen at the next request: only a block holds.
    if (isPenalty && !punishes) {
      punishes = true;
      holder = undefined;
    }
    if (decision.allowed || isPenalty !== punishes) continue;
    if (holder === undefined || decision.retryAfter > decisions[holder]!.retryAfter) holder = i;
  }
  if (holder === undefined) return undefined;
  // From the sending on: the store has decided later, and is asked again sooner than it would grant.
  const until = sent + Math.min(micros(decisions[holder]!.retryAfter), trust);
  return until > received ? new Denial(charges, charges[holder]!, decisions, received, until) : undefined;
}
