import { type Charge, MemoryStore, type Refund, type Store } from '@sluice/core';
import { describe, expect, test } from 'vitest';
import { type ManualClock, type StoreSuiteOptions, storeSuite } from '../src/index.ts';

/** A runner that only remembers what it is given. */
function recorder() {
  const cases = new Map<string, () => Promise<void>>();
  const skipped: string[] = [];
  const run = (name: string, body: () => Promise<void>) => cases.set(name, body);
  return { cases, skipped, test: Object.assign(run, { skip: (name: string) => skipped.push(name) }) };
}

/** The titles of the cases that fail for a store. */
async function failures(create: StoreSuiteOptions['create']): Promise<string[]> {
  const { cases, test: run } = recorder();
  storeSuite(run, { create });
  const failed: string[] = [];
  for (const [title, body] of cases) {
    await body().catch(() => failed.push(title));
  }
  return failed;
}

/** A memory store with some of its methods replaced. */
function broken(clock: ManualClock, replace: (store: MemoryStore) => Partial<Store>): { store: Store } {
  const store = new MemoryStore({ clock });
  return {
    store: {
      consume: (charges) => store.consume(charges),
      peek: (charges) => store.peek(charges),
      release: (refunds) => store.release(refunds),
      reset: (key, policies) => store.reset(key, policies),
      ...replace(store),
    },
  };
}

describe('storeSuite', () => {
  test('passes a correct store, whatever the runner', async () => {
    expect(await failures((clock) => ({ store: new MemoryStore({ clock }) }))).toEqual([]);
  });

  const faults: [string, (store: MemoryStore) => Partial<Store>, string][] = [
    [
      'charges the policies one by one',
      (store) => ({ consume: (charges: readonly Charge[]) => charges.flatMap((charge) => store.consume([charge])) }),
      'several policies: a refusal by one charges none',
    ],
    [
      'takes when it peeks',
      (store) => ({ peek: (charges) => store.consume(charges) }),
      'token-bucket: peek answers as consume would, and takes nothing',
    ],
    [
      'does not give back',
      () => ({ release: () => {} }),
      'leaky-bucket: release gives units back, never above the capacity',
    ],
    [
      'ignores when returned units were granted',
      (store) => ({
        release: (refunds: readonly Refund[]) => store.release(refunds.map((refund) => ({ ...refund, at: undefined }))),
      }),
      'fixed-window: units of a past window are not given back to the present one',
    ],
    [
      'does not reset',
      () => ({ reset: () => {} }),
      'fixed-window: reset forgets one key of the given policies, and nothing else',
    ],
    [
      'checks first and takes later',
      (store) => ({
        consume: async (charges: readonly Charge[]) => {
          const answer = store.peek(charges);
          await new Promise((resolve) => setImmediate(resolve));
          if (answer.every(({ allowed }) => allowed)) store.consume(charges);
          return answer;
        },
      }),
      'sliding-window-log: parallel requests are granted exactly the limit',
    ],
    [
      'lets keys run together',
      (store) => ({
        consume: (charges: readonly Charge[]) => store.consume(charges.map((c) => ({ ...c, key: c.key.trim() }))),
        peek: (charges: readonly Charge[]) => store.peek(charges.map((c) => ({ ...c, key: c.key.trim() }))),
      }),
      'keys of any characters and length are kept apart',
    ],
    [
      'counts policies of all names together',
      (store) => ({
        consume: (charges: readonly Charge[]) =>
          store.consume(charges.map((c) => ({ ...c, policy: { ...c.policy, id: c.policy.algorithm } }))),
      }),
      'policies of different names or algorithms do not share a key’s units',
    ],
  ];
  test.each(faults)('fails a store that %s', async (_, replace, title) => {
    expect(await failures((clock) => broken(clock, replace))).toContain(title);
  });

  test('fails a store whose time is not the clock it was given', async () => {
    const failed = await failures(() => ({ store: new MemoryStore() }));
    expect(failed.length).toBeGreaterThan(0);
    const { cases, test: run } = recorder();
    storeSuite(run, { create: () => ({ store: new MemoryStore() }), realTime: true });
    for (const title of failed) expect([...cases.keys()]).not.toContain(title);
    for (const body of cases.values()) await body();
  });

  test('reports each case that is skipped with the reason, and runs all others', () => {
    const { cases, skipped, test: run } = recorder();
    const create: StoreSuiteOptions['create'] = (clock) => ({ store: new MemoryStore({ clock }) });
    storeSuite(run, { create });
    const all = cases.size;
    cases.clear();
    const title = 'token-bucket: the burst is the capacity';
    storeSuite(run, { create, skip: { [title]: 'bursts are not supported' } });
    expect(skipped).toEqual([`${title} (skipped: bursts are not supported)`]);
    expect(cases.has(title)).toBe(false);
    expect(cases.size).toBe(all - 1);

    cases.clear();
    skipped.length = 0;
    storeSuite(run, { create, realTime: true });
    expect(skipped.length).toBeGreaterThan(0);
    expect(skipped.every((name) => name.endsWith('(skipped: the time of this store cannot be advanced)'))).toBe(true);
    expect(cases.size + skipped.length).toBe(all);
  });

  test('reports a skipped case as a test where the runner has no way to skip', async () => {
    const { cases } = recorder();
    const title = 'token-bucket: the burst is the capacity';
    storeSuite((name, body) => cases.set(name, body), {
      create: () => {
        throw new Error('never called');
      },
      skip: { [title]: 'no bursts' },
    });
    await cases.get(`${title} (skipped: no bursts)`)!();
  });

  test('throws for a skip that names no case, or gives no reason', () => {
    const { test: run, cases } = recorder();
    const create = (clock: ManualClock) => ({ store: new MemoryStore({ clock }) });
    expect(() => storeSuite(run, { create, skip: { 'no such case': 'why' } })).toThrow('"no such case"');
    expect(() => storeSuite(run, { create, skip: { 'token-bucket: refills continuously': ' ' } })).toThrow('reason');
    expect(cases.size).toBe(0);
  });

  test('closes each store, also after a case that failed', async () => {
    const { cases, test: run } = recorder();
    let open = 0;
    storeSuite(run, {
      create: (clock) => {
        open++;
        return { ...broken(clock, () => ({ reset: () => {} })), close: () => void open-- };
      },
    });
    for (const body of cases.values()) await body().catch(() => {});
    expect(open).toBe(0);
  });
});
