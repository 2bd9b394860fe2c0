import { MemoryStore, type MemoryStoreOptions, type Refund } from '@sluice/core';
import type { Answer } from './setup.js';

/** A handler that answers nobody until it is told what, and from then on everybody. */
export function gate() {
  let begun = 0;
  let ended = 0;
  let answer: (answer: Answer) => void = () => {};
  const answered = new Promise<Answer>((resolve) => {
    answer = resolve;
  });
  const handle = async () => {
    begun++;
    const given = await answered;
    ended++;
    return given;
  };
  return { answer, handle, begun: () => begun, ended: () => ended };
}

/** A WatchedStore remembers what was given back. */
class WatchedStore extends MemoryStore {
  readonly refunds: Refund[] = [];

  override release(given: readonly Refund[]): void {
    this.refunds.push(...given);
    super.release(given);
  }
}

export function watchedStore(options: MemoryStoreOptions = {}): { store: MemoryStore; refunds: readonly Refund[] } {
  const store = new WatchedStore(options);
  return { store, refunds: store.refunds };
}
