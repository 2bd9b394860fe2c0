import type { Clock } from '../clock.js';
import type { Engine } from '../engine/engine.js';
import { blocked, type Judgement } from '../engine/judgement.js';
import type { Plan } from '../engine/plan.js';
import type { Listing } from '../engine/screen.js';
import type { Hold } from '../reservation.js';
import { Ledger, type Owner } from './ledger.js';
import { keyOf, type Observers } from './observers.js';
import type { RateLimitOptions } from './options.js';
import type { Reader } from './reader.js';
import type { Responder } from './responder.js';

/** Parts are what a pipeline is made of, and its stages work with. */
export interface Parts<R, S> extends Owner {
  readonly reader: Reader<R>;
  readonly options: RateLimitOptions<R, S>;
  /** Milliseconds for which a request may be held. */
  readonly maxDelay: number;
  readonly engine: Engine<R>;
  readonly clock: Clock;
  readonly observers: Observers<R>;
  readonly responder: Responder<R, S>;
}

/** The decision as it is put on the request, after what is there from limiters before. */
export function ledgerOf<R>(
  owner: Owner,
  earlier: Ledger | undefined,
  plan: Plan<R>,
  judgement: Judgement,
  taken: Hold | undefined,
): Ledger {
  return new Ledger(earlier, owner, judgement, keyOf(plan, judgement), plan, taken);
}

/** The judgement on a client who is on a block list. */
export function judgementOn({ entry }: Listing, clock: Clock): Judgement {
  return blocked(entry.until, clock.now() / 1_000);
}
