import { ManualClock } from '@sluice/testing';
import { createLimiter, MemoryStore, type PolicyInput, type Store } from '../../src/index.ts';

export const tenPerSecond = { algorithm: 'token-bucket', limit: 10, window: '1s' } as const;

/** A limiter on a clock of the test, with a store that counts what it is asked. */
export function setUp(
  policies: PolicyInput | readonly PolicyInput[],
  wrap: (store: MemoryStore) => Store = (store) => store,
) {
  const clock = new ManualClock();
  const memory = new MemoryStore({ clock: { now: () => clock.now(), after: () => () => {} } });
  const inner = wrap(memory);
  const asked = { consume: 0, release: 0 };
  const store: Store = {
    consume: (charges) => {
      asked.consume++;
      return inner.consume(charges);
    },
    peek: (charges) => inner.peek(charges),
    release: (refunds) => {
      asked.release++;
      return inner.release(refunds);
    },
    reset: (key, all) => inner.reset(key, all),
  };
  const limiter = createLimiter({ policies, store, clock });
  const start = clock.now();
  const log: string[] = [];
  /** Acquires, and writes down who was granted when, or why not. */
  const enter = (name: string, options: { cost?: number; maxWait?: number; signal?: AbortSignal } = {}, key = 'key') =>
    limiter.acquire(key, options).then(
      () => log.push(`${name} at ${(clock.now() - start) / 1_000}`),
      (error) => log.push(`${name}: ${error?.code ?? error?.message ?? error}`),
    );
  return { clock, memory, limiter, asked, log, enter };
}
