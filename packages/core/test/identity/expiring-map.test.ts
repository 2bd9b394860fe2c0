import { ManualClock } from '@sluice/testing';
import { expect, test } from 'vitest';
import { ExpiringMap } from '../../src/identity/expiring-map.ts';

function expiring() {
  const clock = new ManualClock(0);
  const forgotten: string[] = [];
  const map = new ExpiringMap<string, { due: number | undefined }>(clock, (key) => forgotten.push(key));
  return { clock, forgotten, map };
}

test('what has expired gives its memory back while others come, and nothing that lasts goes', () => {
  const { clock, map, forgotten } = expiring();
  for (let i = 0; i < 10; i++) map.set(`lasting ${i}`, { due: undefined });
  let most = 0;
  for (let i = 0; i < 20_000; i++) {
    map.set(`${i}`, { due: clock.now() + 1_000_000 });
    clock.advance(1);
    most = Math.max(most, map.kept);
  }
  // A thousand are live at any time.
  expect(most).toBeLessThan(1_300);
  expect(map.size).toBe(10 + 999);
  expect(new Set(forgotten).size).toBe(forgotten.length);
  expect(forgotten).toHaveLength(19_001);
  expect(map.get('lasting 3')).toEqual({ due: undefined });
  expect(clock.pending).toBe(0);
});

test('no addition looks at all there are', () => {
  const { clock, map } = expiring();
  for (let i = 0; i < 1_000; i++) map.set(`${i}`, { due: 1 });
  clock.advance(1);
  map.set('another', { due: undefined });
  expect(map.kept).toBeGreaterThan(900);
});

test('what is replaced, deleted or cleared is forgotten once', () => {
  const { clock, map, forgotten } = expiring();
  map.set('a', { due: undefined });
  map.set('a', { due: 1_000 });
  map.set('b', { due: undefined });
  expect(map.delete('b')).toBe(true);
  expect(map.delete('b')).toBe(false);
  clock.advance(1);
  expect(map.delete('a')).toBe(false);
  map.set('c', { due: undefined });
  map.clear();
  expect(forgotten).toEqual(['a', 'b', 'a', 'c']);
  expect([map.size, [...map.values()]]).toEqual([0, []]);
});
