// How much memory does one contender keep, once every key has been granted one unit?
import { collectGarbage, type Tasks } from './child.js';
import { contenderOf } from './contenders.js';
import { keyAt } from './keys.js';

export interface Filling {
  readonly contender: string;
  readonly keys: number;
}

const grant = { limit: 100, windowMs: 86_400_000 };

/** Bytes per key. The keys are made one by one, so that only what the contender keeps of them counts. */
async function fill({ contender, keys }: Filling): Promise<number> {
  const gate = await contenderOf(contender).open(grant);
  await gate.decide(keyAt(0));
  const before = bytes();
  for (let i = 1; i < keys; i++) {
    const answer = gate.decide(keyAt(i));
    if (typeof answer !== 'boolean') await answer;
  }
  const after = bytes();
  if (gate.keys() !== keys) throw new Error(`keeps ${gate.keys()} keys instead of ${keys}`);
  return (after - before) / (keys - 1);
}

function bytes(): number {
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

export const tasks = (): Tasks => ({ fill });
