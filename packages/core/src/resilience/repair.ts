import { type Subject, stateOf } from '../charge.js';

/** Keys that are kept track of: beyond them, repair is left to the other processes. */
const most = 100_000;

/**
 * Repair knows of which keys a store must be told what is known, once, before it decides on them again: of all keys
 * where it may have lost its counts, until what was known of them is fresh again, and of single ones that have taken
 * units without it.
 */
export class Repair {
  /** Keys that have taken units without the store. */
  readonly #owed = new Map<string, Subject & { readonly round: number }>();
  /** Keys of which the store has been told. */
  readonly #done = new Set<string>();
  /** Microseconds, on the store's clock; 0 while no counts may be lost. */
  #until = 0;
  #round = 0;
  #suspectedIn = 0;

  get isIdle(): boolean {
    return this.#until === 0 && this.#owed.size === 0;
  }

  /** Grows whenever there is more to tell: what was asked in an earlier round was asked of a store that was not told. */
  get round(): number {
    return this.#round;
  }

  /** The store may have lost its counts; what is known of it is fresh by `until`. */
  suspect(now: number, until: number): void {
    this.#done.clear();
    this.#suspectedIn = ++this.#round;
    this.#until = until > now ? until : 0;
  }

  /** The key has taken units without the store. */
  owe({ policy, key }: Subject): void {
    this.#owed.set(stateOf({ policy, key }), { policy, key, round: ++this.#round });
    if (this.#owed.size > most) this.#owed.delete(this.#owed.keys().next().value!);
  }

  get owesNothing(): boolean {
    return this.#owed.size === 0;
  }

  /** Some of the keys that have taken units without the store, if they can be told now. */
  owed(atMost: number, canBeTold: (owed: Subject) => boolean): readonly Subject[] {
    const some: Subject[] = [];
    for (const owed of this.#owed.values()) {
      if (canBeTold(owed) && some.push(owed) === atMost) break;
    }
    return some;
  }

  /** The key could not be told: all others come first. */
  postpone({ policy, key }: Subject): void {
    const state = stateOf({ policy, key });
    const owed = this.#owed.get(state);
    if (owed === undefined) return;
    this.#owed.delete(state);
    this.#owed.set(state, owed);
  }

  /** Whether a store that was asked in that round had been told before of all that is to be told of the key. */
  knew(state: string, round: number): boolean {
    return round >= this.#suspectedIn && round >= (this.#owed.get(state)?.round ?? 0);
  }

  isDue(state: string, now: number): boolean {
    if (this.#until !== 0 && now >= this.#until) this.#end();
    return this.#owed.has(state) || (this.#until !== 0 && !this.#done.has(state));
  }

  /** The store has been told of the key. */
  told(state: string): void {
    this.#owed.delete(state);
    if (this.#until === 0) return;
    this.#done.add(state);
    if (this.#done.size > most) this.#end();
  }

  #end(): void {
    this.#until = 0;
    this.#done.clear();
  }
}
