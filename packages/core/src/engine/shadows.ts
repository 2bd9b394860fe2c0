import type { Decision } from '../decision.js';
import { isPromise } from '../maybe-promise.js';
import type { Store } from '../store.js';
import type { Demand } from './line.js';

/** What is to be done with what a shadow has decided. */
export type ShadowConclusion = (demand: Demand, decision: Decision) => unknown;

/**
 * Charges what shadows count, each by itself, and has what they would have decided concluded. The request does not wait
 * for that, and no failure of it is the request's.
 */
export function castShadows(
  store: Store,
  demands: readonly Demand[],
  conclude: ShadowConclusion,
  report: (error: unknown) => void,
): void {
  for (const demand of demands) {
    const tell = ([decision]: readonly Decision[]) => conclude(demand, decision!);
    try {
      const answer = store.consume([demand]);
      const told = isPromise(answer) ? answer.then(tell) : tell(answer);
      if (isPromise(told)) (told as PromiseLike<unknown>).then(undefined, report);
    } catch (error) {
      report(error);
    }
  }
}
