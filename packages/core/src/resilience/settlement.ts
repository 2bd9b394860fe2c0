import { type Subject, stateOf } from '../charge.js';
import type { Clock } from '../clock.js';
import { isReachable, type Known, type Store } from '../store.js';
import type { LastKnown } from './last-known.js';
import type { Repair } from './repair.js';
import type { UnderWay } from './under-way.js';

/** Keys of which a store is told at a time. */
const most = 50;

/** Microseconds until it is told again, where it could be told of none. */
const pause = 1_000_000;

/**
 * A Settlement tells a store that answers again of all that was granted without it, some keys at a time and in the
 * background. Left until the next request for a key, the store would grant others meanwhile what is spent already.
 */
export class Settlement {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #repair: Repair;
  readonly #lastKnown: LastKnown;
  readonly #underWay: UnderWay;
  #isGoing = false;
  /** Microseconds: not before does it go on. */
  #from = 0;

  constructor(store: Store, clock: Clock, repair: Repair, lastKnown: LastKnown, underWay: UnderWay) {
    this.#store = store;
    this.#clock = clock;
    this.#repair = repair;
    this.#lastKnown = lastKnown;
    this.#underWay = underWay;
  }

  /** What the store is told of keys that are not fresh: what it has not answered yet, it may have granted besides. */
  knownOf(keys: readonly Subject[]): readonly Known[] {
    const all: Known[] = [];
    for (const owed of keys) {
      const known = this.#lastKnown.of(owed);
      if (known === undefined) continue;
      // What was asked for since then goes out behind what the store is told, which counts it itself.
      const ahead = this.#underWay.unitsOf(owed, this.#repair.round);
      all.push({ ...known, remaining: Math.max(0, known.remaining - ahead) });
    }
    return all;
  }

  /** Goes on with the next answer: a server that could not be reached may be back. */
  hurry(): void {
    this.#from = 0;
  }

  /** Goes on in the background, if there is anything to tell and nothing stands against it. */
  go(): void {
    if (this.#isGoing || this.#repair.owesNothing || this.#clock.now() < this.#from) return;
    this.#isGoing = true;
    this.#run().then(
      () => {
        this.#isGoing = false;
      },
      // A store that throws when it is asked whether it can be reached.
      () => {
        this.#isGoing = false;
        this.#from = this.#clock.now() + pause;
      },
    );
  }

  async #run(): Promise<void> {
    const canBeTold = (one: Subject) => isReachable(this.#store, [one]);
    for (;;) {
      const owed = this.#repair.owed(most, canBeTold);
      // To look through all that is owed to a server that is down takes time.
      if (owed.length === 0 && !this.#repair.owesNothing) this.#from = this.#clock.now() + pause;
      if (owed.length === 0 || !(await this.#tell(owed))) return;
    }
  }

  /** Tells the store of some keys. Resolves to whether it knows of any now. */
  async #tell(owed: readonly Subject[]): Promise<boolean> {
    const { round } = this.#repair;
    try {
      const known = this.knownOf(owed);
      if (known.length > 0) await this.#store.lower!(known);
    } catch {
      return this.#tellEach(owed);
    }
    let some = false;
    for (const one of owed) {
      const state = stateOf(one);
      if (!this.#repair.knew(state, round)) continue;
      this.#repair.told(state);
      some = true;
    }
    return some;
  }

  /** One key that cannot be told must not keep the others from it. */
  async #tellEach(owed: readonly Subject[]): Promise<boolean> {
    let some = false;
    if (owed.length === 1) this.#repair.postpone(owed[0]!);
    else for (const one of owed) some = (await this.#tell([one])) || some;
    if (!some) this.#from = this.#clock.now() + pause;
    return some;
  }
}
