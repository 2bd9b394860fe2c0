import type { Charge, Refund, Subject } from '../charge.js';
import { charging } from '../charging.js';
import type { Clock } from '../clock.js';
import type { Decision } from '../decision.js';
import { micros } from '../duration.js';
import { MemoryStore } from '../memory/memory-store.js';
import type { CompiledPolicy } from '../policy.js';
import type { Known } from '../store.js';
import { StoreClock } from './store-clock.js';

/** Keys remembered, counted per policy. Those that are being refused are forgotten last. */
const mostKeys = 100_000;

/**
 * LastKnown remembers what a store has last said of each key, and what the key would have had since then: it refills by
 * the arithmetic of its policy, on the store's clock.
 *
 * Nothing is remembered of units that are borrowed: those that others hold would keep a place taken long after they
 * have given it back.
 */
export class LastKnown {
  /** What is known; what is charged here counts as taken from the store. */
  readonly memory: MemoryStore;
  readonly #clock: StoreClock;
  #freshBy = 0;

  constructor(clock: Clock) {
    this.#clock = new StoreClock(clock);
    this.memory = new MemoryStore({ clock: this.#clock, maxKeys: mostKeys });
  }

  /** The store's clock, in microseconds. */
  now(): number {
    return this.#clock.now();
  }

  /** When, on the store's clock, all that is known will have become fresh, but for blocks. */
  get freshBy(): number {
    return this.#freshBy;
  }

  /**
   * Takes over what the store has decided. `isBesides` says of which charges the store did not know what was granted
   * without it: that and this come together.
   */
  learn(charges: readonly Charge[], decisions: readonly Decision[], isBesides?: (charge: Charge) => boolean): void {
    const granted = isBesides !== undefined && decisions.every(({ allowed }) => allowed);
    for (let i = 0; i < charges.length; i++) {
      const decision = decisions[i]!;
      if (!tells(decision)) continue;
      this.#clock.observe(decision.at);
      const charge = charges[i]!;
      const { policy, key } = charge;
      if (policy.borrowed) continue;
      if (policy.algorithm !== 'penalty') this.expect(decision);
      if (!isBesides?.(charge)) this.memory.recall(policy, key, decision);
      else {
        if (granted) this.memory.consume([{ ...charge, policy: charging(policy) }]);
        this.memory.lower([knownOf(charge, decision)]);
      }
    }
  }

  /** Takes note of when a key is fresh. */
  expect({ at, resetAfter }: Decision): void {
    const freshAt = micros(at) + micros(resetAfter);
    if (freshAt > this.#freshBy) this.#freshBy = freshAt;
  }

  /** What is known of the key of a charge by now; nothing where it is as fresh as new. */
  of({ policy, key }: Subject): Known | undefined {
    const [now] = this.memory.peek([{ policy, key, cost: 0 }]);
    return now!.resetAfter > 0 ? knownOf({ policy, key }, now!) : undefined;
  }

  /** Units that the store has taken back. */
  release(refunds: readonly Refund[]): void {
    this.memory.release(refunds.filter(({ policy }) => !policy.borrowed));
  }

  forget(key: string, policies: readonly CompiledPolicy[]): void {
    this.memory.reset(key, policies);
  }
}

function knownOf({ policy, key }: Subject, { remaining, resetAfter, at }: Decision): Known {
  return { policy, key, remaining, resetAfter, at };
}

/** Whether a decision is the store's own, and complete enough to go on from. */
function tells({ source, remaining, resetAfter, at }: Decision): boolean {
  return (
    source === 'store' && remaining >= 0 && at >= 0 && resetAfter >= 0 && Number.isSafeInteger(micros(at + resetAfter))
  );
}
