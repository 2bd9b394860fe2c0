import type { Charge, Decision, Leased, LeaseRequest, Refund, Store } from '../../../src/index.ts';
import type { LendingStore } from './lending-store.ts';

/** A store whose answers to `lease` come when a test says so; what is asked of it reaches the store behind it at once. */
export class HeldStore implements Store {
  /** What leases were asked for. */
  readonly requests: LeaseRequest[] = [];
  /** How often anything else was asked for. */
  asked = 0;
  readonly #store: LendingStore;
  #held: { answer(): void; fail(error: Error): void }[] = [];

  constructor(store: LendingStore) {
    this.#store = store;
  }

  /** Whether anybody waits for an answer to `lease`. */
  get isHolding(): boolean {
    return this.#held.length > 0;
  }

  lease(request: LeaseRequest): Promise<Leased> {
    this.requests.push(request);
    const leased = this.#store.lease(request);
    return new Promise((resolve, reject) => {
      this.#held.push({ answer: () => resolve(leased), fail: reject });
    });
  }

  /** Lets through what has been asked for so far. */
  async answer(): Promise<void> {
    for (const { answer } of this.#held.splice(0)) answer();
    await settled();
  }

  async fail(error: Error): Promise<void> {
    for (const { fail } of this.#held.splice(0)) fail(error);
    await settled();
  }

  async consume(charges: readonly Charge[]): Promise<readonly Decision[]> {
    this.asked++;
    return this.#store.consume(charges);
  }

  async peek(charges: readonly Charge[]): Promise<readonly Decision[]> {
    this.asked++;
    return this.#store.peek(charges);
  }

  async release(refunds: readonly Refund[]): Promise<void> {
    this.#store.release(refunds);
  }

  async reset(...args: Parameters<Store['reset']>): Promise<void> {
    this.#store.reset(...args);
  }
}

function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
