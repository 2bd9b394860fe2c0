import type { ManualClock } from '@sluice/testing';
import { type Charge, type Decision, type Known, MemoryStore, type Refund } from '../../src/index.ts';

/** A store that many processes share: it fails while it is down, and notes what it is told. */
export class FlakyStore extends MemoryStore {
  down = false;
  /** What it fails with. */
  error: Error = new Error('connection lost');
  readonly told: (readonly Known[])[] = [];
  readonly refunded: (readonly Refund[])[] = [];

  constructor(clock: ManualClock) {
    super({ clock });
  }

  /** Restarts without its counts. */
  lose(): void {
    super.close();
  }

  override consume(charges: readonly Charge[]): readonly Decision[] {
    this.#check();
    return super.consume(charges);
  }

  override peek(charges: readonly Charge[]): readonly Decision[] {
    this.#check();
    return super.peek(charges);
  }

  override release(refunds: readonly Refund[]): void {
    this.#check();
    this.refunded.push(refunds);
    super.release(refunds);
  }

  override lower(known: readonly Known[]): void {
    this.#check();
    this.told.push(known);
    super.lower(known);
  }

  #check(): void {
    if (this.down) throw this.error;
  }
}
