import { ManualClock } from '@sluice/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type CompiledPolicy, type Decision, MemoryStore } from '../../src/index.ts';
import { referenceFor } from '../reference/index.ts';
import { micros, names, newYear, policies, type Step, steps, stepsWithSetbacks } from './arbitraries.ts';

/** Plays a trace through the memory store and the reference; every field of every decision must be equal. */
function compare(policy: CompiledPolicy, start: number, trace: readonly Step[]): void {
  const clock = new ManualClock(start / 1_000);
  const store = new MemoryStore({ clock });
  const reference = referenceFor(policy);
  const grants: { cost: number; at: number }[] = [];
  const key = 'alice';

  let last: Decision = store.peek([{ policy, key, cost: 0 }])[0]!;
  expect(last).toStrictEqual(reference.peek(0, clock.now()));
  for (const step of trace) {
    // A jump runs no timers: a sweep every second of a year would take its time, and may not change an answer.
    clock.jump(step.gap(policy, last) / 1_000);
    const now = clock.now();
    const cost = step.cost(policy, last);
    if (step.ask === 'consume') {
      last = store.consume([{ policy, key, cost }])[0]!;
      expect(last).toStrictEqual(reference.consume(cost, now));
      if (last.allowed && cost > 0) grants.push({ cost, at: last.at });
    } else if (step.ask === 'release') {
      store.release([{ policy, key, cost }]);
      reference.release(cost, undefined, now);
    } else if (step.ask === 'return' && grants.length > 0) {
      const [grant] = grants.splice(step.which % grants.length, 1);
      store.release([{ policy, key, ...grant! }]);
      reference.release(grant!.cost, micros(grant!.at), now);
    }
    // Looks twice: at what is left, and at what a request like this one would be told next.
    for (const look of [0, 1, cost]) {
      const seen = store.peek([{ policy, key, cost: look }])[0]!;
      expect(seen).toStrictEqual(reference.peek(look, now));
      if (step.ask !== 'consume') last = seen;
    }
  }
  store.close();
}

describe.each(names)('%s', (name) => {
  const starts = fc.integer({ min: 0, max: 400 * 86_400_000_000 }).map((offset) => newYear + offset);

  it('answers as the exact reference does, in every field, whatever is asked and when', () => {
    const asks = ['consume', 'consume', 'consume', 'peek', 'release', 'return'] as const;
    fc.assert(fc.property(policies(name), starts, steps(asks), compare), { numRuns: 600 });
  });

  it('answers as the exact reference does while the clock is set back and forth', () => {
    const asks = ['consume', 'consume', 'peek'] as const;
    fc.assert(fc.property(policies(name), starts, stepsWithSetbacks(asks), compare), { numRuns: 300 });
  });
});
