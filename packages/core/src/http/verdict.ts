import type { HeaderFields } from './headers.js';
import type { RequestDecision } from './ledger.js';
import type { Refusal } from './refusal.js';

/** A Verdict is what an adapter is to do with a request. */
export type Verdict =
  /** Hand it on: it is not limited. */
  | { readonly action: 'skip' }
  /** Hand it on, with these headers on its response. */
  | { readonly action: 'pass'; readonly decision: RequestDecision; readonly headers: HeaderFields }
  /** Answer it. */
  | ({ readonly action: 'refuse'; readonly decision: RequestDecision } & Refusal)
  /** Hand the error to the framework's error handling, with these headers on the response. */
  | {
      readonly action: 'fail';
      readonly decision: RequestDecision;
      readonly headers: HeaderFields;
      readonly error: unknown;
    }
  /** It has been answered by a callback, whose headers are on the response. */
  | { readonly action: 'answered'; readonly decision: RequestDecision }
  /** Do nothing: the client has left. */
  | { readonly action: 'gone' };
