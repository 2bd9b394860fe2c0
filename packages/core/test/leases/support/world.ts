import { ManualClock } from '@sluice/testing';
import {
  type Charge,
  type CompiledPolicy,
  compilePolicies,
  type Decision,
  isPromise,
  Leases,
  type LeasesOptions,
  type PolicyInput,
} from '../../../src/index.ts';
import { HeldStore } from './held-store.ts';
import { LendingStore } from './lending-store.ts';

export const compiled = (policy: PolicyInput): CompiledPolicy => compilePolicies([policy], 'test')[0]!;

/** A lease of it lasts 600 ms. */
export const million = compiled({ limit: 1_000_000, window: '1m', algorithm: 'token-bucket' });
/** So does one of this, and it is easier to count. */
export const window = compiled({ limit: 100_000, window: '1m', algorithm: 'fixed-window' });

/** A lease of it lasts a second. */
export const hourly = compiled({ limit: 1_000_000, window: '1h', algorithm: 'token-bucket' });

/** Units that are taken until there is a lease of 16. */
export const heated = 15 + 256;

/** A process with leases, and a store whose answers to `lease` come when a test says so. */
export function world(options: Partial<LeasesOptions> = {}) {
  const clock = new ManualClock();
  const shared = new LendingStore(clock);
  const store = new HeldStore(shared);
  const leases = new Leases(store, { lessor: store, instances: 1, clock, ...options });
  const charge = (cost = 1, policy: CompiledPolicy = million, key = 'hot'): Charge => ({ policy, key, cost });
  const left = (policy: CompiledPolicy = million) => shared.peek([charge(0, policy)])[0]!.remaining;
  const ask = (cost = 1, policy: CompiledPolicy = million) => leases.consume([charge(cost, policy)]);
  /** Asks so many times at once, for one unit each. */
  const crowd = (count: number, policy: CompiledPolicy = million) =>
    Promise.all(Array.from({ length: count }, async () => (await ask(1, policy))[0]!));
  /** Asks so often and for so much that whoever asks next for one unit asks for a lease of ten. */
  const warm = async (policy: CompiledPolicy, key?: string) => {
    for (let i = 0; i < 15; i++) await leases.consume([charge(1, policy, key)]);
    await leases.consume([charge(159, policy, key)]);
  };
  /** Asks so often and so fast that there is a lease of 16 units, and tells of the last decision before that. */
  const heat = async (policy: CompiledPolicy = million) => {
    for (let i = 0; i < 15; i++) await ask(1, policy);
    const all = crowd(heated - 15, policy);
    await store.answer();
    await store.answer();
    return (await all).at(-1)!;
  };
  return { clock, shared, store, leases, charge, left, ask, warm, heat, crowd };
}

/** What is answered at once. */
export function now(answer: ReturnType<Leases['consume']>): Decision {
  if (isPromise(answer)) throw new Error('This is not answered at once.');
  return answer[0]!;
}
