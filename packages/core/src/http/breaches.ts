import type { Charge } from '../charge.js';
import type { Decision } from '../decision.js';
import { isPromise, type MaybePromise } from '../maybe-promise.js';
import type { Store } from '../store.js';
import type { Demand, Line } from './line.js';

/**
 * Records the breaches of a refused request: of each limit that refused, where it has a penalty; of a block that starts
 * anew; and against the ban. Answers with what blocks or bans the client from now on.
 */
export function recordBreaches(
  store: Store,
  demands: readonly Demand[],
  answers: readonly Decision[],
  ban: Line | undefined,
): MaybePromise<readonly Answered[]> {
  const breaches: Demand[] = [];
  const record = (line: Line, key: string) => {
    if (breaches.some((other) => other.line === line && other.key === key)) return;
    breaches.push({ policy: line.policy, key, cost: 1, line });
  };
  for (const [i, { line, key }] of demands.entries()) {
    if (answers[i]!.allowed) continue;
    // Whoever is banned has breached nothing by being refused.
    if (line.kind === 'ban') return [];
    if (line.kind === 'block' && line.policy.penalty?.restarts) record(line, key);
    if (line.kind !== 'limit' || isBlocked(line.block, key, demands, answers)) continue;
    if (line.block !== undefined) record(line.block, key);
    if (ban !== undefined) record(ban, key);
  }
  const recorded: MaybePromise<Answered>[] = [];
  // One by one: of several charges, one that grants would not be recorded beside one that refuses.
  for (const breach of breaches) recorded.push(consume(store, breach));
  if (recorded.some(isPromise)) return Promise.all(recorded).then((all) => all.filter(refuses));
  return (recorded as Answered[]).filter(refuses);
}

/** Whether the key was blocked before the request. What it asks for meanwhile is no further breach. */
function isBlocked(
  block: Line | undefined,
  key: string,
  demands: readonly Demand[],
  answers: readonly Decision[],
): boolean {
  if (block === undefined) return false;
  return demands.some((one, i) => !answers[i]!.allowed && one.policy.id === block.policy.id && one.key === key);
}

/** A demand and the answer to it. */
export interface Answered {
  readonly demand: Demand;
  readonly answer: Decision;
}

function consume(store: Store, demand: Demand): MaybePromise<Answered> {
  const charges: readonly Charge[] = [demand];
  const answers = store.consume(charges);
  if (isPromise(answers)) return answers.then(([answer]) => ({ demand, answer: answer! }));
  return { demand, answer: answers[0]! };
}

function refuses({ answer }: Answered): boolean {
  return !answer.allowed;
}
