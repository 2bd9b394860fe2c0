// How long does the event loop stand still in one process while all its keys expire?
import { setImmediate as nextTurn } from 'node:timers/promises';
import { collectGarbage, type Tasks } from './child.js';
import { contenderOf, type Gate } from './contenders.js';
import { keyAt } from './keys.js';
import { threadTime } from './thread-time.js';

export interface Expiry {
  /** None, to see what the machine itself does to an idle loop. */
  readonly contender: string | undefined;
  readonly keys: number;
  readonly windowMs: number;
}

export interface Watched {
  /** From one turn of the loop to the next, at most. */
  readonly longestMs: number;
  /** The most processor time of the main thread between two turns: what others on the machine take is not in it. */
  readonly busiestMs: number;
  /** Keys when the watch began, and when it ended. */
  readonly held: number;
  readonly left: number;
}

async function expire({ contender: name, keys, windowMs }: Expiry): Promise<Watched> {
  const contender = name === undefined ? undefined : contenderOf(name);
  // From the start of an aligned window, so that all keys of the window algorithms expire at one instant.
  while (contender?.from === 'sluice' && Date.now() % windowMs > windowMs / 20) await nextTurn();
  const gate = await contender?.open({ limit: 100, windowMs });
  if (gate) await fill(gate, keys);
  // What the filling left behind is not what expires; and the watch itself must be warm.
  collectGarbage();
  await watch(200, () => false);
  const held = gate?.keys() ?? 0;
  const watched = await watch(1.4 * windowMs * Math.max(1, contender?.forgetsAfter ?? 0), () => gate?.keys() === 0);
  return { ...watched, held, left: gate?.keys() ?? 0 };
}

async function fill(gate: Gate, keys: number): Promise<void> {
  for (let i = 0; i < keys; i++) {
    const answer = gate.decide(keyAt(i));
    if (typeof answer !== 'boolean') await answer;
    if (i % 10_000 === 0) await nextTurn();
  }
}

/** Turns the loop without a promise, so that the watch makes as little garbage as it can. */
function watch(ms: number, isOver: () => boolean): Promise<{ longestMs: number; busiestMs: number }> {
  const end = performance.now() + ms;
  let longestMs = 0;
  let busiestMs = 0;
  let turned = performance.now();
  let worked = threadTime();
  return new Promise((resolve) => {
    const turn = () => {
      const now = performance.now();
      const work = threadTime();
      longestMs = Math.max(longestMs, now - turned);
      busiestMs = Math.max(busiestMs, work - worked);
      turned = now;
      worked = work;
      if (now < end && !isOver()) setImmediate(turn);
      else resolve({ longestMs, busiestMs });
    };
    setImmediate(turn);
  });
}

export const tasks = (): Tasks => ({ expire });
