import { ManualClock } from '@sluice/testing';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compilePolicies, MemoryStore } from '../../src/index.ts';
import { EMPTY, OPEN, REFUSED, ROW, Shard } from '../../src/memory/shard.ts';
import { Table } from '../../src/memory/table.ts';

/** A generator of numbers below a bound, the same in every run. */
function seeded(seed: number): (bound: number) => number {
  let state = seed;
  return (bound) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * bound);
  };
}

describe('a shard', () => {
  // Few fingerprints and a small shard, so that keys collide and their runs wrap around the end.
  const print = fc.record({ low: fc.integer({ min: -3, max: 20 }), high: fc.nat(1), owner: fc.nat(1) });
  const action = fc.oneof(
    { weight: 3, arbitrary: fc.record({ type: fc.constant('add' as const), print, freshAt: fc.nat(100) }) },
    { weight: 2, arbitrary: fc.record({ type: fc.constant('remove' as const), print }) },
    { weight: 1, arbitrary: fc.record({ type: fc.constant('mark' as const), print, refused: fc.boolean() }) },
    { weight: 1, arbitrary: fc.record({ type: fc.constant('sweep' as const), now: fc.nat(100) }) },
    { weight: 1, arbitrary: fc.record({ type: fc.constant('move' as const), capacity: fc.constantFrom(16, 32) }) },
  );

  test('finds exactly the keys that a map would hold, whatever was added, removed, swept and moved', () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 120 }), (actions) => {
        let shard = new Shard(0, 16);
        const model = new Map<string, { low: number; high: number; owner: number; freshAt: number; mark: number }>();
        for (const next of actions) {
          if (next.type === 'sweep') {
            const due = [...model].filter(([, { freshAt }]) => freshAt <= next.now);
            expect(shard.sweep(next.now)).toBe(due.length);
            for (const [name] of due) model.delete(name);
            expect(shard.freshFrom).toBe(
              Math.min(Number.POSITIVE_INFINITY, ...[...model.values()].map((m) => m.freshAt)),
            );
          } else if (next.type === 'move') {
            const other = new Shard(0, model.size >= 12 ? 32 : next.capacity);
            shard.moveTo(() => other);
            shard = other;
          } else {
            const { low, high, owner } = next.print;
            const name = `${low} ${high} ${owner}`;
            const slot = shard.find(low, high, owner);
            expect(slot >= 0).toBe(model.has(name));
            if (next.type === 'add' && slot < 0 && !shard.isFull) {
              const added = shard.add(low, high, owner);
              shard.cells[ROW * added] = next.freshAt;
              shard.freshFrom = Math.min(shard.freshFrom, next.freshAt);
              shard.setObject(added, name);
              model.set(name, { low, high, owner, freshAt: next.freshAt, mark: OPEN });
            } else if (next.type === 'remove' && slot >= 0) {
              shard.remove(slot);
              model.delete(name);
            } else if (next.type === 'mark' && slot >= 0) {
              const mark = next.refused ? REFUSED : OPEN;
              shard.mark(slot, mark);
              model.get(name)!.mark = mark;
            }
          }
          expect(shard.count).toBe(model.size);
          expect(shard.marks.filter((mark) => mark !== EMPTY).length).toBe(model.size);
          expect(shard.open).toBe([...model.values()].filter(({ mark }) => mark === OPEN).length);
          for (const [name, { low, high, owner, freshAt, mark }] of model) {
            const slot = shard.find(low, high, owner);
            expect(slot).toBeGreaterThanOrEqual(0);
            expect(shard.object(slot)).toBe(name);
            expect(shard.cells[ROW * slot]).toBe(freshAt);
            expect(shard.marks[slot]).toBe(mark);
          }
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe('a table', () => {
  test('keeps 200,000 keys apart while it grows, splits and is swept', () => {
    const random = seeded(7);
    const table = new Table();
    const model = new Map<string, { low: number; high: number; freshAt: number }>();
    const names: string[] = [];
    const add = () => {
      const low = random(2 ** 32) | 0;
      const high = random(2 ** 32) | 0;
      const name = `${low} ${high}`;
      if (model.has(name)) return;
      const shard = table.shardWithRoom(high);
      const slot = shard.add(low, high, 3);
      const freshAt = random(1_000);
      shard.cells[ROW * slot] = freshAt;
      shard.freshFrom = Math.min(shard.freshFrom, freshAt);
      table.size++;
      model.set(name, { low, high, freshAt });
      names.push(name);
    };
    const check = () => {
      expect(table.size).toBe(model.size);
      expect(table.shards.reduce((sum, { count }) => sum + count, 0)).toBe(model.size);
      expect(table.shards.every((shard, i) => shard.position === i)).toBe(true);
      let missing = 0;
      for (const { low, high, freshAt } of model.values()) {
        const shard = table.shardOf(high);
        const slot = shard.find(low, high, 3);
        if (slot < 0 || shard.cells[ROW * slot] !== freshAt) missing++;
      }
      expect(missing).toBe(0);
    };

    for (let i = 0; i < 200_000; i++) add();
    expect(table.shards.length).toBeGreaterThan(16);
    check();

    for (let i = 0; i < 60_000; i++) {
      const name = names[random(names.length)]!;
      const key = model.get(name);
      if (key === undefined) continue;
      const shard = table.shardOf(key.high);
      table.remove(shard, shard.find(key.low, key.high, 3));
      model.delete(name);
    }
    check();

    for (const now of [300, 900, 990]) {
      for (const shard of [...table.shards]) table.sweep(shard, now);
      for (const [name, { freshAt }] of model) if (freshAt <= now) model.delete(name);
      check();
    }
    for (let i = 0; i < 50_000; i++) add();
    check();

    for (const shard of [...table.shards]) table.sweep(shard, 1_000);
    expect(table.size).toBe(0);
    expect(table.shards.length).toBe(1);
  });

  test('goes on splitting where the fingerprints share their leading bits', () => {
    const table = new Table();
    for (let i = 0; i < 20_000; i++) {
      const high = 0x7ff00000 | i;
      table.shardWithRoom(high).add(i, high, 0);
      table.size++;
    }
    for (let i = 0; i < 20_000; i++) {
      expect(table.shardOf(0x7ff00000 | i).find(i, 0x7ff00000 | i, 0)).toBeGreaterThanOrEqual(0);
    }
    expect(table.shardOf(0).find(1, 0, 0)).toBe(-1);
  });
});

describe('a store of 200,000 keys', () => {
  test('counts each key as a map of counters would, through growth, returns, resets and sweeps', () => {
    const random = seeded(11);
    const clock = new ManualClock();
    const store = new MemoryStore({ clock });
    const policies = compilePolicies(
      [
        { name: 'one', algorithm: 'fixed-window', limit: 3, window: '10s' },
        { name: 'log', algorithm: 'sliding-window-log', limit: 3, window: '10s' },
      ],
      'test',
    );
    /** Units used in the present aligned window; the clock only ever advances by whole windows. */
    let used = new Map<string, number>();
    let wrong = 0;
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 300_000; i++) {
        const number = random(200_000);
        const policy = policies[number % 50 === 0 ? 1 : 0]!;
        const key = `user:${number}`;
        const count = used.get(key) ?? 0;
        const action = random(10);
        if (action < 8) {
          const cost = 1 + random(3);
          const [decision] = store.consume([{ policy, key, cost }]);
          if (decision!.allowed !== count + cost <= 3) wrong++;
          if (decision!.allowed) used.set(key, count + cost);
          if (decision!.remaining !== 3 - (used.get(key) ?? 0)) wrong++;
        } else if (action < 9) {
          store.release([{ policy, key, cost: 1 }]);
          if (count > 1) used.set(key, count - 1);
          else used.delete(key);
        } else {
          store.reset(key, [policy]);
          used.delete(key);
        }
      }
      expect(wrong).toBe(0);
      expect(store.size).toBe(used.size);
      clock.advance(10_000);
      used = new Map();
    }
    clock.advance(2_000);
    expect(store.size).toBe(0);
    expect(store.evictions).toBe(0);
  });
});
