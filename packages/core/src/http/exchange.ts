import type { Ledger } from './ledger.js';
import type { HeaderSource, ResponseLike } from './reader.js';

/** An Exchange is a request and its response, as the stages of the pipeline hand it on to one another. */
export interface Exchange<R, S> {
  readonly request: R;
  readonly response: ResponseLike;
  /** The framework's own response. */
  readonly headers: S & HeaderSource;
  /** What limiters before this one have decided. */
  earlier: Ledger | undefined;
  /** What the phase before authentication has decided, where it ran as part of this one. */
  before: Ledger | undefined;
}
