import { ManualClock } from '@sluice/testing';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { firstAt, instantAt, secondAt, writeCells } from '../../src/algorithms/cells.ts';
import { compilePolicies, MemoryStore } from '../../src/index.ts';
import { type Owner, Owners } from '../../src/memory/owners.ts';
import { EMPTY, markAt, OPEN, REFUSED, ROW, STATE, setMark, setShape, shapeAt } from '../../src/memory/row.ts';
import { type Box, Shard } from '../../src/memory/shard.ts';
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
  const print = fc.record({
    low: fc.oneof(fc.integer({ min: -3 * 2 ** 28, max: 3 * 2 ** 28 }), fc.integer({ min: -3, max: 1 })),
    high: fc.nat(1),
  });
  const action = fc.oneof(
    { weight: 3, arbitrary: fc.record({ type: fc.constant('add' as const), print, boxed: fc.boolean() }) },
    { weight: 2, arbitrary: fc.record({ type: fc.constant('remove' as const), print }) },
    { weight: 1, arbitrary: fc.record({ type: fc.constant('mark' as const), print, refused: fc.boolean() }) },
    { weight: 1, arbitrary: fc.record({ type: fc.constant('move' as const), capacity: fc.constantFrom(17, 23, 40) }) },
  );

  test('finds exactly the keys that a map would hold, whatever was added, removed and moved', () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 120 }), (actions) => {
        let shard = new Shard(0, 17);
        const model = new Map<string, { low: number; high: number; box: Box | undefined; mark: number }>();
        let next = 0;
        for (const step of actions) {
          if (step.type === 'move') {
            const other = shard.successor(0, model.size >= 12 ? 40 : step.capacity);
            for (let row = 0; row < shard.words.length; row += ROW) {
              if (markAt(shard.words, row) !== EMPTY) other.take(shard, row);
            }
            shard = other;
          } else {
            const { low, high } = step.print;
            const name = `${low} ${high}`;
            const row = shard.find(low, high);
            expect(row >= 0).toBe(model.has(name));
            if (step.type === 'add' && row < 0 && !shard.isFull) {
              const added = shard.add(low, high);
              const box = step.boxed ? { owner: 0, state: name, freshAt: next } : undefined;
              if (box) shard.setBox(added, box);
              else {
                setShape(shard.words, added, 1 + (next++ % 16_383));
                shard.words[added + STATE] = low ^ 5;
              }
              model.set(name, { low, high, box, mark: OPEN });
            } else if (step.type === 'remove' && row >= 0) {
              shard.remove(row);
              model.delete(name);
            } else if (step.type === 'mark' && row >= 0) {
              const mark = step.refused ? REFUSED : OPEN;
              shard.mark(row, mark);
              model.get(name)!.mark = mark;
            }
          }
          expect(shard.count).toBe(model.size);
          const rows = Array.from({ length: shard.capacity }, (_, i) => ROW * i);
          expect(rows.filter((row) => markAt(shard.words, row) !== EMPTY).length).toBe(model.size);
          expect(shard.open).toBe([...model.values()].filter(({ mark }) => mark === OPEN).length);
          for (const { low, high, box, mark } of model.values()) {
            const row = shard.find(low, high);
            expect(row).toBeGreaterThanOrEqual(0);
            expect(shard.find(low, high, row)).toBe(-1);
            expect(markAt(shard.words, row)).toBe(mark);
            if (box === undefined) expect(shard.words[row + STATE]).toBe(low ^ 5);
            else expect(shard.box(row)).toBe(box);
          }
        }
      }),
      { numRuns: 300 },
    );
  });

  test('finds one after the other the keys of several owners that have one fingerprint', () => {
    const shard = new Shard(0, 17);
    const rows = [shard.add(-1, 7), shard.add(-1, 7), shard.add(-1, 8), shard.add(-1, 7)];
    expect(shard.find(-1, 7)).toBe(rows[0]);
    expect(shard.find(-1, 7, rows[0])).toBe(rows[1]);
    expect(shard.find(-1, 7, rows[1])).toBe(rows[3]);
    expect(shard.find(-1, 7, rows[3])).toBe(-1);
  });

  test('keeps the mark and the number of a shape apart in a row, and both from the state', () => {
    const words = new Int32Array(ROW);
    fc.assert(
      fc.property(fc.constantFrom(OPEN, REFUSED), fc.nat(2 ** 14 - 1), fc.nat(2 ** 30 - 1), (mark, shape, number) => {
        writeCells(words, STATE, number * 1_000_003, number, number ^ 1);
        setShape(words, 0, shape);
        setMark(words, 0, mark);
        expect([markAt(words, 0), shapeAt(words, 0)]).toEqual([mark, shape]);
        const state = [instantAt(words, STATE), firstAt(words, STATE), secondAt(words, STATE)];
        expect(state).toEqual([number * 1_000_003, number, number ^ 1]);
      }),
    );
  });
});

describe('a table', () => {
  const [policy, other] = compilePolicies(
    [
      { name: 'one', algorithm: 'fixed-window', limit: 3, window: '10s' },
      { name: 'other', algorithm: 'fixed-window', limit: 3, window: '10s' },
    ],
    'test',
  );

  /** Adds a key whose window ends at `end`. */
  function add(table: Table, owner: Owner, low: number, high: number, end: number): void {
    const shard = table.shardWithRoom(high);
    const row = shard.add(low, high);
    table.size++;
    table.write(shard, row, owner, { end, used: 1 }, end);
  }

  function endOf(table: Table, owner: Owner, low: number, high: number): number | undefined {
    const shard = table.shardOf(high);
    const row = table.find(shard, low, high, owner.number);
    return row < 0 ? undefined : (table.read(shard, row) as { end: number }).end;
  }

  function checkDirectory(table: Table): void {
    expect(table.shards.every((shard, i) => shard.position === i)).toBe(true);
    let misplaced = 0;
    for (const shard of table.shards) {
      for (let row = 0; row < shard.words.length; row += ROW) {
        if (markAt(shard.words, row) !== EMPTY && table.shardOf(shard.words[row + 1]!) !== shard) misplaced++;
      }
    }
    expect(misplaced).toBe(0);
  }

  test('keeps 200,000 keys apart while it grows, splits and is swept', () => {
    const random = seeded(7);
    const table = new Table();
    const owner = new Owners(table.shapes).of(policy!);
    const model = new Map<string, { low: number; high: number; end: number }>();
    const keys: string[] = [];
    const addAny = () => {
      const low = random(2 ** 32) | 0;
      const high = random(2 ** 32) | 0;
      const name = `${low} ${high}`;
      if (model.has(name)) return;
      const end = random(1_000);
      add(table, owner, low, high, end);
      model.set(name, { low, high, end });
      keys.push(name);
    };
    const check = () => {
      expect(table.size).toBe(model.size);
      expect(table.shards.reduce((sum, { count }) => sum + count, 0)).toBe(model.size);
      expect(owner.shape.rows).toBe(model.size);
      checkDirectory(table);
      let missing = 0;
      for (const { low, high, end } of model.values()) if (endOf(table, owner, low, high) !== end) missing++;
      expect(missing).toBe(0);
    };

    for (let i = 0; i < 200_000; i++) addAny();
    expect(table.shards.length).toBeGreaterThan(16);
    check();
    // Growth in small steps, and no shard far from full.
    const rows = table.shards.reduce((sum, { capacity }) => sum + capacity, 0);
    expect(table.size / rows).toBeGreaterThan(0.65);
    expect(Math.max(...table.shards.map(({ capacity }) => capacity))).toBeLessThan(2_500);

    for (let i = 0; i < 60_000; i++) {
      const name = keys[random(keys.length)]!;
      const key = model.get(name);
      if (key === undefined) continue;
      const shard = table.shardOf(key.high);
      table.remove(shard, table.find(shard, key.low, key.high, owner.number));
      model.delete(name);
    }
    check();

    for (const now of [20, 300, 900, 990]) {
      for (const shard of [...table.shards]) table.sweep(shard, now);
      for (const [name, { end }] of model) if (end <= now) model.delete(name);
      check();
      expect(Math.min(...table.shards.map(({ freshFrom }) => freshFrom))).toBe(
        [...model.values()].reduce((least, { end }) => Math.min(least, end), Number.POSITIVE_INFINITY),
      );
    }
    for (let i = 0; i < 50_000; i++) addAny();
    check();

    for (const shard of [...table.shards]) table.sweep(shard, 1_000);
    expect(table.size).toBe(0);
    expect(owner.shape.rows).toBe(0);
    expect(table.shards.length).toBe(1);
  });

  test('goes on splitting where the fingerprints share their leading bits', () => {
    const table = new Table();
    const owner = new Owners(table.shapes).of(policy!);
    // The lower halves spread, as those of real fingerprints do.
    const low = (i: number) => Math.imul(i, 0x9e3779b1);
    for (let i = 0; i < 20_000; i++) add(table, owner, low(i), 0x7ff00000 | i, i + 1);
    for (let i = 0; i < 20_000; i++) expect(endOf(table, owner, low(i), 0x7ff00000 | i)).toBe(i + 1);
    expect(endOf(table, owner, low(1), 0)).toBeUndefined();
  });

  test('keeps keys of two owners apart that have one fingerprint', () => {
    const table = new Table();
    const owners = new Owners(table.shapes);
    add(table, owners.of(policy!), 5, 6, 100);
    expect(endOf(table, owners.of(other!), 5, 6)).toBeUndefined();
    add(table, owners.of(other!), 5, 6, 200);
    expect(endOf(table, owners.of(policy!), 5, 6)).toBe(100);
    expect(endOf(table, owners.of(other!), 5, 6)).toBe(200);
    const shard = table.shardOf(6);
    table.remove(shard, table.find(shard, 5, 6, 0));
    expect(endOf(table, owners.of(policy!), 5, 6)).toBeUndefined();
    expect(endOf(table, owners.of(other!), 5, 6)).toBe(200);
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
