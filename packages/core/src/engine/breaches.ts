import type { Decision } from '../decision.js';
import { micros } from '../duration.js';
import { isPromise, type MaybePromise } from '../maybe-promise.js';
import type { Store } from '../store.js';
import { type Demand, isSameState, type Line } from './line.js';

/** A demand and the answer to it. */
export interface Answered {
  readonly demand: Demand;
  readonly answer: Decision;
}

/**
 * Records the breaches of a refused request: of each limit that refused, where it has a penalty; of a block that starts
 * anew; and against the ban, which counts blocks where there are any. Answers with what blocks or bans the client from
 * now on. A breach that the store fails to record is reported; the request is refused all the same, as it was.
 */
export function recordBreaches(
  store: Store,
  demands: readonly Demand[],
  answers: readonly Decision[],
  ban: Line | undefined,
  wider: string | undefined,
  report: (error: unknown) => void,
): MaybePromise<readonly Answered[]> {
  // Whoever is banned has breached nothing by being refused.
  if (demands.some(({ line }, i) => line.kind === 'ban' && !answers[i]!.allowed)) return [];
  const recorded: MaybePromise<readonly Answered[]>[] = [];
  const seen: Demand[] = [];
  for (const [i, { line, key }] of demands.entries()) {
    if (answers[i]!.allowed) continue;
    const restarted = line.kind === 'block' && line.policy.penalty?.restarts === true;
    if (!restarted && (!isBreach(line, key, wider) || isBlocked(line.block, key, demands, answers))) continue;
    const block = restarted ? line : line.block;
    const breach = demandOf(block ?? ban, key);
    if (breach === undefined || seen.some((other) => isSameState(other, breach))) continue;
    seen.push(breach);
    recorded.push(recordBreach(store, breach, restarted || block === undefined ? undefined : ban, report));
  }
  if (recorded.some(isPromise)) return Promise.all(recorded).then((all) => all.flat().filter(refuses));
  return (recorded as (readonly Answered[])[]).flat().filter(refuses);
}

/**
 * Records a breach, and if that began a block, counts the block against the ban. One after the other: of parallel
 * refusals only the first begins a block, and of several charges one that grants would not be recorded beside one that
 * refuses.
 */
function recordBreach(
  store: Store,
  breach: Demand,
  ban: Line | undefined,
  report: (error: unknown) => void,
): MaybePromise<readonly Answered[]> {
  const failed = (error: unknown): readonly Answered[] => {
    report(error);
    return [];
  };
  const count = ([answer]: readonly Decision[]): MaybePromise<readonly Answered[]> => {
    const first = { demand: breach, answer: answer! };
    const second = hasBegun(first) ? demandOf(ban, breach.key) : undefined;
    if (second === undefined) return [first];
    const conclude = ([answer]: readonly Decision[]) => [first, { demand: second, answer: answer! }];
    const counted = store.consume([second]);
    return isPromise(counted) ? counted.then(conclude) : conclude(counted);
  };
  try {
    const answers = store.consume([breach]);
    const recorded = isPromise(answers) ? answers.then(count) : count(answers);
    return isPromise(recorded) ? recorded.then(undefined, failed) : recorded;
  } catch (error) {
    return failed(error);
  }
}

/** Whether a block lasts as long from now on as it ever does: it was begun by this very breach. */
function hasBegun({ demand: { policy }, answer }: Answered): boolean {
  const left = micros(answer.retryAfter);
  const { doubles, longest } = policy.penalty!;
  for (let whole = policy.window; ; whole *= 2) {
    const duration = Math.min(whole, longest);
    if (left === duration) return true;
    if (!doubles || duration === longest || left < duration) return false;
  }
}

/** Whether a refusal is held against the key. Of a wider network it is not: too many others may be in it. */
function isBreach({ kind }: Line, key: string, wider: string | undefined): boolean {
  return kind === 'limit' || (kind === 'ceiling' && key !== wider);
}

/** Whether the key was blocked before the request. What it asks for meanwhile is no further breach. */
function isBlocked(
  block: Line | undefined,
  key: string,
  demands: readonly Demand[],
  answers: readonly Decision[],
): boolean {
  if (block === undefined) return false;
  const state = { policy: block.policy, key };
  return demands.some((one, i) => !answers[i]!.allowed && isSameState(one, state));
}

function demandOf(line: Line | undefined, key: string): Demand | undefined {
  return line && { policy: line.policy, key, cost: 1, line };
}

/** What stands in for a store that fails knows of no breaches. */
function refuses({ answer: { allowed, source } }: Answered): boolean {
  return !allowed && source !== 'closed';
}
