// How long does one contender take for a round of decisions?
import { collectGarbage, type Tasks } from './child.js';
import { contenderOf, type Gate } from './contenders.js';
import { type Draw, keyAt, picks, zipfPicks } from './keys.js';

export interface Prepared {
  readonly contender: string;
  readonly draw: Draw;
}

export interface Round {
  /** Per second of processor time, garbage collection included: what others on the machine take is not in it. */
  readonly perSecond: number;
  readonly granted: number;
}

/**
 * Half of the keys are granted everything, the other half has had all it gets. The window is as long as the timers of
 * all contenders can be, so that a bucket's key is not as fresh as new again before the next decision on it.
 */
const windowMs = 20 * 86_400_000;
const generous = { limit: 1_000_000, windowMs };
const spent = { limit: 1, windowMs };

export function tasks(): Tasks {
  let gates: readonly [Gate, Gate];
  let order: Uint32Array;
  let sync: boolean;
  let next: number;

  function decideAtOnce(keys: readonly string[]): number {
    let granted = 0;
    for (let i = 0; i < keys.length; i++) if (gates[i & 1]!.decide(keys[i]!)) granted++;
    return granted;
  }

  async function decideInTurn(keys: readonly string[]): Promise<number> {
    let granted = 0;
    for (let i = 0; i < keys.length; i++) if (await gates[i & 1]!.decide(keys[i]!)) granted++;
    return granted;
  }

  /** A text of its own for each decision, as each request brings one: no Map has seen it, nor knows its hash. */
  function newKeys(count: number): readonly string[] {
    const keys = Array.from({ length: count }, (_, i) => keyAt(order[(next + i) & (order.length - 1)]!));
    next += count;
    collectGarbage();
    return keys;
  }

  return {
    async prepare({ contender: name, draw }: Prepared): Promise<void> {
      const contender = contenderOf(name);
      sync = contender.sync;
      gates = [await contender.open(generous), await contender.open(spent)];
      const keys = Math.ceil(draw.keys / 2);
      order = draw.zipf ? zipfPicks(keys, 2 ** 20) : picks(keys, 2 ** 20);
      next = 0;
      for (const gate of gates) for (let i = 0; i < keys; i++) await gate.decide(keyAt(i));
    },

    async run(decisions: number): Promise<Round> {
      const keys = newKeys(decisions);
      const start = process.cpuUsage();
      const granted = sync ? decideAtOnce(keys) : await decideInTurn(keys);
      const { user, system } = process.cpuUsage(start);
      return { perSecond: (decisions * 1e6) / (user + system), granted: granted / decisions };
    },
  };
}
