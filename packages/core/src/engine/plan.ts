import type { Identity } from '../identity/identifier.js';
import type { Demand } from './line.js';
import type { Listing } from './screen.js';

/** A Plan is what one request is to be charged for, as far as it has been worked out. */
export class Plan<R> {
  readonly request: R;
  /** Who the request counts as; `undefined` for whom `key` exempts. */
  identity: Identity | undefined;
  /** The entry of a list that has settled the matter. */
  listed: Listing | undefined;
  /** The entry of a rule's list by which that rule does not limit the request; others may. */
  exempt: Listing | undefined;
  /** The rule that applies, as it is written. */
  rule: string | undefined;
  tier: string | undefined;
  /** The key of the wider network among those that the request is counted by. */
  wider: string | undefined;
  /** Whether any limit of the request's is more than a shadow. */
  isLimited = false;
  /** Whether there is any limit of the request's, be it a shadow. */
  isCounted = false;
  /** All are granted, or none is charged. */
  demands: Demand[] = [];
  /** What shadows count, each by itself. */
  shadows: Demand[] | undefined;

  constructor(request: R) {
    this.request = request;
  }
}
