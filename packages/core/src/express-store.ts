import { decision as decisionOf } from './algorithms/algorithm.js';
import { type Charge, checkCost, type Refund } from './charge.js';
import type { Clock } from './clock.js';
import type { Decision } from './decision.js';
import { formatDuration, micros } from './duration.js';
import { SluiceError, show } from './errors.js';
import type { MaybePromise } from './maybe-promise.js';
import { checkNames } from './options.js';
import type { CompiledPolicy } from './policy.js';
import type { Store } from './store.js';
import { Turns } from './turns.js';

/** What a store of express-rate-limit (version 6 or later) answers about a key. */
export interface ExpressRateLimitInfo {
  totalHits: number;
  /** When the key's window ends. */
  resetTime?: Date | undefined;
}

/** The part of express-rate-limit's `Store` that is used here. */
export interface ExpressRateLimitStore {
  init?(options: { windowMs: number }): MaybePromise<void>;
  get?(key: string): MaybePromise<ExpressRateLimitInfo | undefined>;
  increment(key: string): MaybePromise<ExpressRateLimitInfo>;
  decrement(key: string): MaybePromise<void>;
  resetKey(key: string): MaybePromise<void>;
  shutdown?(): MaybePromise<void>;
  /** Set by stores that keep their keys in this process. */
  localKeys?: boolean;
}

export interface ExpressStoreOptions {
  /** The clock that the store's `resetTime` is read by. @default the time of day */
  clock?: Pick<Clock, 'now'>;
}

/** Not the monotonic clock: `resetTime` is a time of day, and the two drift apart. */
const wallClock: Pick<Clock, 'now'> = { now: () => Date.now() * 1_000 };

/**
 * Lets an express-rate-limit store keep fixed windows, of one length for all policies: that store knows no other. The
 * windows are its own, most often from a key's first unit on, whatever the policy's `anchor`.
 *
 * Such a store adds and takes away one hit at a time, and nothing else. A cost of n is n hits, so that costs should be
 * small, and a refusal takes back the hits that it made. Requests of a key wait for one another in this process, and get
 * exact answers. Among several processes, hits that are about to be taken back can refuse others for that moment; never
 * is more granted than the limit. Hits that could fall into the next window are not taken back, nor are those of a
 * process that dies in between: they end with their window. A call that never returns holds up its key, so that a client
 * with a time limit of its own is needed below.
 * @throws SluiceError `INVALID_OPTION` for what is no such store; its methods `INVALID_POLICY` for a policy that it cannot keep.
 */
export function fromExpressRateLimitStore(store: ExpressRateLimitStore, options: ExpressStoreOptions = {}): Store {
  checkNames(options, ['clock'], 'fromExpressRateLimitStore');
  const { clock = wallClock } = options;
  if (typeof clock?.now !== 'function') {
    throw new SluiceError(
      'INVALID_OPTION',
      `fromExpressRateLimitStore: 'clock' needs the method now(); got ${show(clock)}.`,
    );
  }
  const methods = ['increment', 'decrement', 'resetKey'] as const;
  const missing = methods.filter((method) => typeof (store as ExpressRateLimitStore | null)?.[method] !== 'function');
  if (missing.length === 0) return new ExpressStore(store, clock);
  const legacy = typeof (store as { incr?: unknown } | null)?.incr === 'function';
  throw new SluiceError(
    'INVALID_OPTION',
    legacy
      ? "fromExpressRateLimitStore: this store has the callback 'incr' of express-rate-limit 5. " +
          "Update it to a version made for express-rate-limit 6 or later, which has 'increment'."
      : 'fromExpressRateLimitStore takes a store of express-rate-limit, such as new RedisStore({ … }); ' +
          `${show(store)} lacks ${missing.join(', ')}.`,
  );
}

/** Hits of a key in a window that ends at `reset`, in microseconds; `known` unless that is a guess. */
interface Count {
  readonly hits: number;
  readonly reset: number;
  readonly known: boolean;
}

/** What has been done for one charge so far: `made` of the hits that `count` tells are its own. */
interface Taking {
  count: Count;
  made: number;
  allowed: boolean;
}

class ExpressStore implements Store {
  readonly #store: ExpressRateLimitStore;
  readonly #clock: Pick<Clock, 'now'>;
  readonly #turns = new Turns();
  #windowMs: number | undefined;
  #ready: Promise<void> | undefined;

  constructor(store: ExpressRateLimitStore, clock: Pick<Clock, 'now'>) {
    this.#store = store;
    this.#clock = clock;
  }

  async consume(charges: readonly Charge[]): Promise<readonly Decision[]> {
    return this.#inTurn(charges, async () => {
      const takings: Taking[] = [];
      let granted = true;
      try {
        for (const charge of charges) {
          const taking = await this.#begin(charge, granted);
          takings.push(taking);
          if (granted && taking.allowed) await this.#take(charge, taking);
          granted &&= taking.allowed;
        }
      } catch (error) {
        await this.#undo(charges, takings).then(undefined, () => {});
        throw error;
      }
      if (!granted) await this.#undo(charges, takings);
      return charges.map((charge, i) => this.#decision(charge, takings[i]!));
    });
  }

  async peek(charges: readonly Charge[]): Promise<readonly Decision[]> {
    return this.#inTurn(charges, async () => {
      const decisions: Decision[] = [];
      for (const charge of charges) decisions.push(this.#decision(charge, await this.#begin(charge, false)));
      return decisions;
    });
  }

  async release(refunds: readonly Refund[]): Promise<void> {
    return this.#inTurn(refunds, async () => {
      for (const refund of refunds) if (refund.cost > 0) await this.#giveBack(refund);
    });
  }

  async reset(key: string, policies: readonly CompiledPolicy[]): Promise<void> {
    const charges = policies.map((policy) => ({ policy, key, cost: 0 }));
    return this.#inTurn(charges, async () => {
      for (const charge of charges) await this.#store.resetKey(nameOf(charge));
    });
  }

  close(): MaybePromise<void> {
    return this.#store.shutdown?.();
  }

  /**
   * Runs `work` when all before it on the same keys is done. That is not for exactness alone: express-rate-limit's own
   * memory store answers with an object that changes with every later hit.
   */
  async #inTurn<T>(charges: readonly Charge[], work: () => Promise<T>): Promise<T> {
    for (const { policy, cost } of charges) {
      checkCost(cost);
      this.check(policy);
    }
    return this.#turns.run(charges.map(nameOf), async () => {
      await this.#init();
      return work();
    });
  }

  check({ name, algorithm, windowMs, countRefused }: CompiledPolicy): void {
    const invalid = (message: string) =>
      new SluiceError('INVALID_POLICY', `Policy '${name}': a store of express-rate-limit ${message}`);
    if (algorithm === 'penalty') {
      throw invalid('cannot keep penalties. Leave out the penalty, or use a store such as new MemoryStore().');
    }
    if (algorithm !== 'fixed-window') {
      throw invalid(`cannot keep a ${algorithm}. Choose 'fixed-window', or a store such as new MemoryStore().`);
    }
    if (countRefused) throw invalid("cannot fill up a window. Leave out 'countRefused', or use another store.");
    if (this.#store.localKeys && windowMs > longestTimer) {
      throw invalid(
        `that keeps its keys in memory loses them at once where a window is longer than ${longestTimer} ms, the longest ` +
          'timer there is. Choose a shorter window, or another store.',
      );
    }
    this.#windowMs ??= windowMs;
    if (windowMs === this.#windowMs) return;
    throw invalid(
      `has one window length; this one has ${formatDuration(this.#windowMs)}, not ${formatDuration(windowMs)}. ` +
        'Give each length a store of its own.',
    );
  }

  /** Once; again only if that has failed. */
  #init(): Promise<void> {
    this.#ready ??= (async () => this.#store.init?.({ windowMs: this.#windowMs! }))().catch((error: unknown) => {
      this.#ready = undefined;
      throw error;
    });
    return this.#ready;
  }

  /** Says what can be said of a charge before a hit is made: of one that will be made, only whether it can ever pass. */
  async #begin(charge: Charge, willTake: boolean): Promise<Taking> {
    const { limit } = charge.policy;
    const possible = limit > 0 && charge.cost <= limit;
    if (willTake && possible && charge.cost > 0) return { count: this.#none(charge), made: 0, allowed: true };
    const count = await this.#look(charge);
    return { count, made: 0, allowed: possible && count.hits + charge.cost <= limit };
  }

  async #take(charge: Charge, taking: Taking): Promise<void> {
    for (let left = charge.cost; left > 0; left--) {
      const count = await this.#hit(charge);
      taking.made = isSameWindow(taking.count, count, charge.policy) ? taking.made + 1 : 1;
      taking.count = count;
      // Also when only the hits to come would be too many: they need not be made.
      if (count.hits + left - 1 > charge.policy.limit) {
        taking.allowed = false;
        return;
      }
    }
  }

  async #undo(charges: readonly Charge[], takings: readonly Taking[]): Promise<void> {
    for (const [i, taking] of takings.entries()) {
      const { count, made } = taking;
      taking.count = { ...count, hits: count.hits - made };
      await this.#takeBack(charges[i]!, count, made);
    }
  }

  async #giveBack(refund: Refund): Promise<void> {
    const { policy, cost, at } = refund;
    const count = await this.#look(refund);
    if (at !== undefined) {
      // Units that cannot be shown to be of the present window are lost: they would be units too many in it.
      const jitter = Math.min(longestJitter, policy.window / 100);
      if (micros(at) < count.reset - policy.window - jitter) return;
    }
    await this.#takeBack(refund, count, Math.min(cost, count.hits));
  }

  async #takeBack(charge: Charge, { reset, known }: Count, hits: number): Promise<void> {
    // A hit that is taken back too late is taken from the next window.
    const margin = Math.min(longestMargin, charge.policy.window / 10);
    for (let i = 0; i < hits; i++) {
      if (known && reset - this.#clock.now() < margin) return;
      await this.#store.decrement(nameOf(charge));
    }
  }

  async #look(charge: Charge): Promise<Count> {
    if (typeof this.#store.get !== 'function') {
      const count = await this.#hit(charge);
      await this.#takeBack(charge, count, 1);
      return { ...count, hits: count.hits - 1 };
    }
    const info = await this.#store.get(nameOf(charge));
    // Where there is no key, some answer with nothing, some with no number of hits, and some with a window that is over.
    if (!(typeof info?.totalHits === 'number' && info.totalHits > 0)) return this.#none(charge);
    const end = endOf(info);
    return end !== undefined && end <= this.#clock.now() ? this.#none(charge) : this.#count(charge, info);
  }

  async #hit(charge: Charge): Promise<Count> {
    const info = await this.#store.increment(nameOf(charge));
    if (Number.isSafeInteger(info?.totalHits) && info.totalHits > 0) return this.#count(charge, info);
    throw new Error(
      `A store of express-rate-limit must answer 'increment' with 'totalHits' above 0; got ${show(info?.totalHits)}.`,
    );
  }

  #count({ policy }: Charge, info: ExpressRateLimitInfo): Count {
    const latest = this.#clock.now() + policy.window;
    const end = endOf(info);
    return { hits: info.totalHits, reset: Math.min(end ?? latest, latest), known: end !== undefined };
  }

  #none({ policy }: Charge): Count {
    return { hits: 0, reset: this.#clock.now() + policy.window, known: false };
  }

  #decision({ policy, cost }: Charge, { count, allowed }: Taking): Decision {
    const now = this.#clock.now();
    const never = policy.limit === 0 || cost > policy.limit;
    // A window may be over by the time that its store has answered.
    const reset = Math.max(now + 1, count.reset);
    return decisionOf(
      policy,
      allowed,
      policy.limit - count.hits,
      now,
      count.hits > 0 ? reset : now,
      never ? Number.POSITIVE_INFINITY : reset,
      now,
    );
  }
}

/** Milliseconds; longer intervals run at once. express-rate-limit's memory store sweeps once per window. */
const longestTimer = 2 ** 31 - 1;
/** Hits are not taken back in the last second of a window, or the last tenth of a short one; in microseconds. */
const longestMargin = 1_000_000;
/** How far a `resetTime` may be off that was reckoned when a reply came; in microseconds. */
const longestJitter = 100_000;

/** Whether a hit fell into the window of the one before it: of windows that tell no end, one with more hits is the same. */
function isSameWindow(before: Count, after: Count, { window }: CompiledPolicy): boolean {
  return before.known && after.known ? after.reset - before.reset < window / 2 : after.hits > before.hits;
}

/** No id of a policy has a slash in it, so that no two pairs of policy and key have one name. */
function nameOf({ policy, key }: Charge): string {
  return `${policy.id}/${key}`;
}

function endOf({ resetTime }: ExpressRateLimitInfo): number | undefined {
  const ms = typeof resetTime?.getTime === 'function' ? resetTime.getTime() : Number.NaN;
  return Number.isFinite(ms) ? micros(ms) : undefined;
}
