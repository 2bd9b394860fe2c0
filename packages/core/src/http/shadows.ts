import type { Decision } from '../decision.js';
import { isPromise } from '../maybe-promise.js';
import { Hold } from '../reservation.js';
import type { Store } from '../store.js';
import type { Demand } from './line.js';
import type { ResponseLike } from './reader.js';

/**
 * Charges what shadows count, each by itself, and tells what they would have decided. The request does not wait for
 * that, and no failure of it is the request's.
 */
export function castShadows(
  store: Store,
  demands: readonly Demand[],
  response: ResponseLike,
  tell: (demand: Demand, decision: Decision) => void,
  report: (error: unknown) => void,
): void {
  for (const demand of demands) {
    const conclude = ([decision]: readonly Decision[]) => {
      if (demand.line.kind === 'slot' && decision!.allowed) {
        freeWhenClosed(response, new Hold(store, [demand], decision!.at));
      }
      tell(demand, decision!);
    };
    try {
      const answer = store.consume([demand]);
      if (isPromise(answer)) answer.then(conclude).then(undefined, report);
      else conclude(answer);
    } catch (error) {
      report(error);
    }
  }
}

/** Gives places among the requests at work back when the response has ended or the client has left. */
export function freeWhenClosed(response: ResponseLike, slots: Hold): void {
  if (response.destroyed) slots.giveBack('finished');
  else response.once('close', () => void slots.giveBack('finished'));
}
