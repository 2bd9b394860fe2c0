import { ManualClock } from '@sluice/testing';
import { describe, expect, it } from 'vitest';
import {
  type Charge,
  type CompiledPolicy,
  compilePolicies,
  type Decision,
  isPromise,
  Leases,
  type LeasesOptions,
  type PolicyInput,
} from '../../src/index.ts';
import { HeldStore } from './support/held-store.ts';
import { LendingStore } from './support/lending-store.ts';

const compiled = (policy: PolicyInput) => compilePolicies([policy], 'test')[0]!;
const million = compiled({ limit: 1_000_000, window: '1m', algorithm: 'token-bucket' });

function world(options: Partial<LeasesOptions> = {}) {
  const clock = new ManualClock();
  const shared = new LendingStore(clock);
  const store = new HeldStore(shared);
  const leases = new Leases(store, { lessor: store, instances: 1, clock, ...options });
  const charge = (cost = 1, policy: CompiledPolicy = million, key = 'hot'): Charge => ({ policy, key, cost });
  const left = (policy: CompiledPolicy = million) => shared.peek([charge(0, policy)])[0]!.remaining;
  const ask = (cost = 1, policy: CompiledPolicy = million) => leases.consume([charge(cost, policy)]);
  /** Asks so often that the key is hot, and gets the first lease. */
  const heat = async (policy: CompiledPolicy = million) => {
    for (let i = 0; i < 15; i++) await ask(1, policy);
    const first = ask(1, policy);
    await store.answer();
    return (await first)[0]!;
  };
  return { clock, shared, store, leases, charge, left, ask, heat };
}

/** What is answered at once. */
function now(answer: ReturnType<Leases['consume']>): Decision {
  if (isPromise(answer)) throw new Error('This is not answered at once.');
  return answer[0]!;
}

describe('a hot key', () => {
  it('is answered at once from a lease, and never with more units than the store has handed out', async () => {
    const { store, ask, heat, left } = world();
    expect(await heat()).toMatchObject({ allowed: true, source: 'store', remaining: 999_984 });
    expect(store.asked).toBe(15);
    expect(store.requests).toMatchObject([{ demand: 1, extra: 16, share: 1, key: 'hot' }]);
    expect(left()).toBe(1_000_000 - 32);
    for (let i = 1; i <= 8; i++) {
      expect(now(ask())).toMatchObject({
        allowed: true,
        source: 'lease',
        remaining: 999_984 - i,
        delay: 0,
        retryAfter: 0,
      });
    }
    // Half of it is gone: the next one is on its way, and twice as large, since this went fast.
    expect(store.requests[1]).toMatchObject({ demand: 0, extra: 24 });
    for (let i = 0; i < 8; i++) expect(now(ask()).source).toBe('lease');
    expect(isPromise(ask())).toBe(true);
  });
});
