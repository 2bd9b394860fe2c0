import { ManualClock } from '@sluice/testing';
import { describe, expect, test } from 'vitest';
import { compilePolicies, MemoryStore, type PolicyInput, type Refund, type Store } from '../src/index.ts';
import { Hold } from '../src/reservation.ts';

function setUp(cost: number, ...policies: PolicyInput[]) {
  const clock = new ManualClock();
  const memory = new MemoryStore({ clock: { now: () => clock.now(), after: () => () => {} } });
  const released: (readonly Refund[])[] = [];
  const store: Store = {
    consume: (charges) => memory.consume(charges),
    peek: (charges) => memory.peek(charges),
    release: (refunds) => {
      released.push(refunds);
      return memory.release(refunds);
    },
    reset: (key, all) => memory.reset(key, all),
  };
  const charges = compilePolicies(policies, 'test').map((policy) => ({ policy, key: 'alice', cost }));
  const take = (from: Store = store) => new Hold(from, charges, memory.consume(charges)[0]!.at);
  const left = () => memory.peek(charges.map((charge) => ({ ...charge, cost: 0 }))).map(({ remaining }) => remaining);
  return { clock, memory, store, charges, take, left, released };
}

const minute = { name: 'minute', algorithm: 'fixed-window', limit: 10, window: '1m' } as const;
const counting = { name: 'counting', algorithm: 'fixed-window', limit: 10, window: '1m', countRefused: true } as const;
const leaky = { name: 'leaky', algorithm: 'leaky-bucket', limit: 10, window: '10s' } as const;

describe('what is held', () => {
  test('is given back once, whatever the occasions', () => {
    const { take, left, released } = setUp(2, minute);
    const [first, second] = [take(), take()];
    expect(left()).toEqual([6]);
    first.giveBack('left');
    first.giveBack('refused');
    first.giveBack('finished');
    expect(left()).toEqual([8]);
    second.giveBack('finished');
    expect(left()).toEqual([10]);
    expect(released.length).toBe(2);
  });

  test('stays charged after a refusal where refused requests count', () => {
    const { take, left } = setUp(2, minute, counting);
    take().giveBack('refused');
    expect(left()).toEqual([10, 8]);
    take().giveBack('finished');
    expect(left()).toEqual([10, 8]);
    take().giveBack('left');
    expect(left()).toEqual([10, 8]);
  });

  test('asks nothing of the store where nothing goes back', () => {
    const { take, released } = setUp(2, counting);
    take().giveBack('refused');
    take().settle(2);
    expect(released).toEqual([]);
  });

  test('of a leaky bucket has not drained while its owner was held, and has drained where the work was done', () => {
    const { take, left, clock } = setUp(4, leaky);
    const [first, second] = [take(), take()];
    clock.advance(3_000);
    expect(left()).toEqual([5]);
    second.giveBack('left');
    expect(left()).toEqual([9]);
    first.giveBack('finished');
    expect(left()).toEqual([10]);
  });

  test.each([
    [0, 10],
    [1, 9],
    [2, 8],
    [7, 3],
    [99, 0],
  ])('is settled once: a cost of %i leaves %i', async (actual, rest) => {
    const { take, left, charges } = setUp(2, minute);
    const hold = take();
    const decision = await hold.settle(actual);
    expect(left()).toEqual([rest]);
    expect(decision?.allowed).toBe(actual > 2 ? actual <= 10 : undefined);
    expect(hold.settle(5)).toBeUndefined();
    hold.giveBack('finished');
    expect(left()).toEqual([rest]);
    expect(charges[0]!.policy.countRefused).toBe(false);
  });

  test('is charged in whole where it has been given back before', async () => {
    const { take, left } = setUp(2, minute);
    const hold = take();
    hold.giveBack('finished');
    expect(await hold.settle(3)).toMatchObject({ allowed: true, remaining: 7 });
    expect(left()).toEqual([7]);
  });

  test('is charged anew only when the store has taken back what it was', async () => {
    const { take, left, store, memory } = setUp(10, minute);
    let arrive = () => {};
    const slow: Store = {
      ...store,
      release: (refunds) =>
        new Promise((resolve) => {
          arrive = () => resolve(memory.release(refunds));
        }),
    };
    const hold = take(slow);
    const returned = hold.giveBack('finished');
    const settled = hold.settle(4);
    expect(left()).toEqual([0]);
    arrive();
    await returned;
    expect(await settled).toMatchObject({ allowed: true, remaining: 6 });
  });

  test('is lost, and nothing thrown, where the store fails to take it back', async () => {
    const { take, left, store } = setUp(2, minute);
    const broken = new Error('the store is broken');
    const throwing = take({
      ...store,
      release: () => {
        throw broken;
      },
    });
    const rejecting = take({ ...store, release: () => Promise.reject(broken) });
    expect(throwing.giveBack('finished')).toBeUndefined();
    expect(await rejecting.giveBack('finished')).toBeUndefined();
    expect(left()).toEqual([6]);
  });
});
