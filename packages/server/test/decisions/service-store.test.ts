import {
  type Charge,
  type CompiledPolicy,
  compilePolicies,
  type Decision,
  MemoryStore,
  type Store,
} from '@sluice/core';
import { algorithmNames } from '@sluice/core/toolkit';
import { ManualClock } from '@sluice/testing';
import { describe, expect, it } from 'vitest';
import { ServiceStore } from '../../src/decisions/service-store.ts';

const [everybody] = compilePolicies([{ limit: 5, window: '1h', algorithm: 'token-bucket' }], 'test');
const override = (limit: number) =>
  compilePolicies([{ limit, window: '1h', algorithm: 'token-bucket' }], 'test', { name: 'override' })[0]!;
const [rule] = compilePolicies([{ name: 'login', limit: 5, window: '1h', algorithm: 'token-bucket' }], 'test');

const ignore = () => {};

/** A store in which one sees under which keys and names states are kept. */
function watched() {
  const clock = new ManualClock();
  const store = new MemoryStore({ clock });
  const asked: string[] = [];
  const note = (charges: readonly Charge[]) => {
    for (const { key, policy } of charges) asked.push(`${policy.id} ${key}`);
  };
  const watching: Store = {
    consume(charges) {
      note(charges);
      return store.consume(charges);
    },
    peek(charges) {
      note(charges);
      return store.peek(charges);
    },
    release(refunds) {
      note(refunds);
      return store.release(refunds);
    },
    reset(key, policies) {
      for (const { id } of policies) asked.push(`${id} ${key}`);
      return store.reset(key, policies);
    },
  };
  return { asked, own: new ServiceStore(watching, ignore) };
}

describe('The store of the service', () => {
  it('keeps the one state of a user, be the limits his own or those of everybody, under his id alone', async () => {
    const { asked, own } = watched();
    const [first] = await own.consume([{ key: 'user:alice', policy: everybody!, cost: 3 }]);
    expect(first).toMatchObject({ policy: 'default', remaining: 2 });
    const [second] = await own.consume([{ key: 'user:alice', policy: override(10), cost: 1 }]);
    expect(second).toMatchObject({ policy: 'override', remaining: 6 });
    const [third] = await own.peek([{ key: 'user:alice', policy: override(4), cost: 1 }]);
    expect(third).toMatchObject({ policy: 'override', remaining: 0 });
    await own.release([{ key: 'user:alice', policy: override(10), cost: 1 }]);
    expect(new Set(asked)).toEqual(new Set(['token-bucket alice']));
  });

  it('forgets what a user has taken under any algorithm he had, and what rules count of him as they say', async () => {
    const { own } = watched();
    const taken = algorithmNames.flatMap((algorithm) =>
      compilePolicies([{ algorithm, limit: 5, window: '1h' }], 'test'),
    );
    for (const id of ['alice', 'a:b', 'bob']) {
      for (const policy of [...taken, rule!]) await own.consume([{ key: `user:${id}`, policy, cost: 3 }]);
    }
    await own.reset('user:alice', [override(10)]);
    await own.reset('user:a:b', [everybody!, rule!]);
    const left = async (id: string, policy: CompiledPolicy) =>
      (await own.peek([{ key: `user:${id}`, policy, cost: 1 }]))[0]!.remaining;
    for (const policy of taken) {
      expect(await left('alice', policy), policy.algorithm).toBe(5);
      expect(await left('a:b', policy), policy.algorithm).toBe(5);
      expect(await left('bob', policy), policy.algorithm).toBe(2);
    }
    expect([await left('alice', rule!), await left('a:b', rule!)]).toEqual([2, 5]);
  });

  it('leaves an id with a colon its prefix, since it could be the key of somebody else', async () => {
    const { asked, own } = watched();
    await own.consume([{ key: 'user:ip:192.0.2.1', policy: everybody!, cost: 3 }]);
    const [decision] = await own.consume([{ key: 'user:ip:192.0.2.1', policy: override(10), cost: 1 }]);
    expect(decision!.remaining).toBe(6);
    expect(new Set(asked)).toEqual(new Set(['token-bucket user:ip:192.0.2.1']));
  });

  it('leaves rules, and clients who are no users, as they are', async () => {
    const { asked, own } = watched();
    await own.consume([
      { key: 'user:alice', policy: rule!, cost: 1 },
      { key: 'ip:192.0.2.1', policy: everybody!, cost: 1 },
      { key: 'api-key:#digest', policy: everybody!, cost: 1 },
    ]);
    expect(asked).toEqual([
      'token-bucket:login user:alice',
      'token-bucket ip:192.0.2.1',
      'token-bucket api-key:#digest',
    ]);
  });

  it('tells of each call how long it took, and whether it failed', async () => {
    const calls: boolean[] = [];
    const observe = (ms: number, failed: boolean) => {
      expect(ms).toBeGreaterThanOrEqual(0);
      calls.push(failed);
    };
    const charge = [{ key: 'user:alice', policy: everybody!, cost: 1 }];
    const lost = new Error('lost');
    const broken: Store = {
      consume: () => Promise.reject(lost),
      peek() {
        throw lost;
      },
      release: ignore,
      reset: ignore,
    };
    const failing = new ServiceStore(broken, observe);
    await expect(failing.consume(charge)).rejects.toBe(lost);
    expect(() => failing.peek(charge)).toThrow(lost);
    const memory = new MemoryStore({ clock: new ManualClock() });
    await new ServiceStore(memory, observe).consume(charge);
    expect(calls).toEqual([true, true, false]);
  });

  it('tells of no call where there was none: units of a lease, and refusals that were remembered', async () => {
    let calls = 0;
    const observe = () => calls++;
    const charge = [{ key: 'user:alice', policy: everybody!, cost: 1 }];
    const clock = new ManualClock();
    const answering = (source: Decision['source'], waits: boolean) => {
      const memory = new MemoryStore({ clock });
      const answer = (charges: readonly Charge[]) => memory.peek(charges).map((decision) => ({ ...decision, source }));
      const store: Store = {
        consume: (charges) => (waits ? Promise.resolve(answer(charges)) : answer(charges)),
        peek: answer,
        release: ignore,
        reset: ignore,
      };
      return new ServiceStore(store, observe);
    };
    for (const source of ['lease', 'deny-cache'] as const) {
      expect(await answering(source, false).consume(charge)).toMatchObject([{ source }]);
    }
    expect(calls).toBe(0);
    // What answers in the store's stead is told of, and so is who waited for the call that brought a lease.
    for (const source of ['store', 'fallback', 'closed'] as const) await answering(source, false).consume(charge);
    await answering('lease', true).consume(charge);
    expect(calls).toBe(4);
  });
});
