import type { Store, SyncStore } from '../../src/index.ts';

/** Wraps a store so that it decides at once and answers some turns of the event loop later, as over a network. */
export function asyncStore(store: SyncStore, later: () => Promise<void> = nextTurn): Store {
  const answer = async <T>(value: T): Promise<T> => {
    await later();
    return value;
  };
  return {
    consume: (charges) => answer(store.consume(charges)),
    peek: (charges) => answer(store.peek(charges)),
    release: (refunds) => answer(store.release(refunds)),
    reset: (key, policies) => answer(store.reset(key, policies)),
  };
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
