import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Recent } from '../../src/users/recent.ts';

describe('what is recent', () => {
  test('is never more than the bound, and holds what was put in or looked up last', () => {
    const step = fc.record({
      id: fc.integer({ min: 0, max: 40 }).map(String),
      what: fc.constantFrom('set', 'get', 'delete'),
    });
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 20 }), fc.array(step, { maxLength: 300 }), (most, steps) => {
        const recent = new Recent<number>(most);
        // The latest first.
        let model: (readonly [id: string, value: number])[] = [];
        for (const [i, { id, what }] of steps.entries()) {
          const before = model.find(([known]) => known === id);
          const found = recent.get(id);
          if (found !== undefined) expect(found).toBe(before?.[1]);
          if (before !== undefined && model.indexOf(before) < Math.floor(most / 2)) expect(found).toBe(before[1]);
          model = model.filter(([known]) => known !== id);
          if (what === 'set') recent.set(id, i);
          if (what === 'delete') recent.delete(id);
          const now = what === 'set' ? i : what === 'get' ? found : undefined;
          if (now !== undefined) model.unshift([id, now]);
          expect(recent.size).toBeLessThanOrEqual(most);
        }
      }),
    );
  });
});
