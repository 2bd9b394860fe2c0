// How long does one contender take for a round of decisions?
import { collectGarbage, type Tasks } from './child.js';
import { contenderOf, type Gate } from './contenders.js';
import { keyAt, picks } from './keys.js';

export interface Prepared {
  readonly contender: string;
  readonly keys: number;
}

export interface Round {
  /** Per second of processor time, garbage collection included: what others on the machine take is not in it. */
  readonly perSecond: number;
  readonly granted: number;
}

/** Half of the keys are granted everything, the other half has had all it gets. */
const generous = { limit: 1_000_000, windowMs: 86_400_000 };
const spent = { limit: 1, windowMs: 86_400_000 };

export function tasks(): Tasks {
  let gates: readonly [Gate, Gate];
  let keys: readonly string[];
  let order: Uint32Array;
  let sync: boolean;
  let next: number;

  function decideAtOnce(decisions: number): number {
    let granted = 0;
    for (let i = next; i < next + decisions; i++) {
      if (gates[i & 1]!.decide(keys[order[i & (order.length - 1)]!]!)) granted++;
    }
    return granted;
  }

  async function decideInTurn(decisions: number): Promise<number> {
    let granted = 0;
    for (let i = next; i < next + decisions; i++) {
      if (await gates[i & 1]!.decide(keys[order[i & (order.length - 1)]!]!)) granted++;
    }
    return granted;
  }

  return {
    async prepare(input: Prepared): Promise<void> {
      const contender = contenderOf(input.contender);
      sync = contender.sync;
      gates = [await contender.open(generous), await contender.open(spent)];
      keys = Array.from({ length: Math.ceil(input.keys / 2) }, (_, i) => keyAt(i));
      order = picks(keys.length, 2 ** 20);
      next = 0;
      for (const gate of gates) for (const key of keys) await gate.decide(key);
      collectGarbage();
    },

    async run(decisions: number): Promise<Round> {
      const start = process.cpuUsage();
      const granted = sync ? decideAtOnce(decisions) : await decideInTurn(decisions);
      const { user, system } = process.cpuUsage(start);
      next += decisions;
      return { perSecond: (decisions * 1e6) / (user + system), granted: granted / decisions };
    },
  };
}
