import { type Charge, checkCost } from '../charge.js';
import { claim } from '../claims.js';
import { type Clock, checkClock, systemClock } from '../clock.js';
import { combine, type Decision } from '../decision.js';
import { SluiceError, show } from '../errors.js';
import { isPromise, type MaybePromise } from '../maybe-promise.js';
import { MemoryStore } from '../memory/memory-store.js';
import type { CompiledPolicy, PolicyText } from '../policy.js';
import { checkStore, type Store } from '../store.js';
import { exposeHeaders, type HeaderFields, type HeaderWriter, headerWriter, retryAfterSeconds } from './headers.js';
import { Identifier, type Identity } from './identity.js';
import { Entry, Ledger } from './ledger.js';
import { ceilingsOf, checkFixedCost, checkOptions, maxDelayOf, policiesOf, type RateLimitOptions } from './options.js';
import type { HeaderSource, Reader, ResponseLike } from './reader.js';
import { customised, type LimitedResponse, type Refusal, RefusalWriter } from './refusal.js';

/** A Verdict is what an adapter is to do with a request. */
export type Verdict =
  /** Hand it on: it is not limited. */
  | { readonly action: 'skip' }
  /** Hand it on, with these headers on its response. */
  | { readonly action: 'pass'; readonly decision: Decision; readonly headers: HeaderFields }
  /** Answer it. */
  | ({ readonly action: 'refuse'; readonly decision: Decision } & Refusal)
  /** Do nothing: the client has left. */
  | { readonly action: 'gone' };

const skipped: Verdict = { action: 'skip' };
const gone: Verdict = { action: 'gone' };

/** What the stages of one request hand on to one another. */
interface Exchange<R> {
  readonly request: R;
  readonly response: ResponseLike;
  readonly headers: HeaderSource;
}

/**
 * A Pipeline is the whole of a rate limiting middleware but for the framework. It answers at once where the store and
 * the callbacks do, and with a promise where they do not, or where a request is held.
 */
export class Pipeline<R> {
  readonly #reader: Reader<R>;
  readonly #options: RateLimitOptions<R>;
  readonly #policies: readonly CompiledPolicy[];
  readonly #ceilings: readonly CompiledPolicy[];
  readonly #identifier: Identifier<R>;
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #maxDelay: number;
  readonly #writeHeaders: HeaderWriter | undefined;
  readonly #refusals: RefusalWriter;

  /** @throws SluiceError for options that cannot work, with the remedy. */
  constructor(reader: Reader<R>, input: RateLimitOptions<R> | PolicyText = {}) {
    const options: RateLimitOptions<R> = typeof input === 'string' ? { limits: [input] } : input;
    checkOptions(options);
    this.#reader = reader;
    this.#options = options;
    this.#policies = policiesOf(options);
    this.#identifier = new Identifier(reader, options.identity);
    this.#ceilings = this.#identifier.ceiling ? ceilingsOf(this.#policies, this.#identifier.ceiling) : [];
    this.#clock = checkClock(options.clock === undefined ? systemClock : options.clock, 'rateLimit');
    this.#store = options.store === undefined ? new MemoryStore({ clock: this.#clock }) : options.store;
    checkStore(this.#store, 'rateLimit');
    const maxDelay = maxDelayOf(options);
    this.#maxDelay = options.shape === false ? Number.POSITIVE_INFINITY : maxDelay;
    this.#writeHeaders = headerWriter(options.headers ?? 'legacy');
    this.#refusals = new RefusalWriter([...this.#policies, ...this.#ceilings]);
    if (options.cost !== undefined && typeof options.cost !== 'function') checkFixedCost(options.cost, this.#policies);
    claim(this.#store, [...this.#policies, ...this.#ceilings], 'rateLimit');
  }

  /**
   * Decides on a request. `headers` is where the framework collects the headers of the response.
   * Errors of callbacks and of the store are thrown, or reject the promise.
   */
  handle(request: R, response: ResponseLike, headers: HeaderSource): MaybePromise<Verdict> {
    try {
      const verdict = this.#begin({ request, response, headers });
      return isPromise(verdict) ? verdict.then(undefined, rethrow) : verdict;
    } catch (error) {
      return rethrow(error);
    }
  }

  #begin(exchange: Exchange<R>): MaybePromise<Verdict> {
    const skip = this.#options.skip?.(exchange.request);
    if (isPromise(skip)) return skip.then((yes) => (yes ? skipped : this.#identify(exchange)));
    return skip ? skipped : this.#identify(exchange);
  }

  #identify(exchange: Exchange<R>): MaybePromise<Verdict> {
    const { key } = this.#options;
    if (key === undefined) {
      // A client that has left has no address any more.
      if (exchange.response.destroyed) return gone;
      return this.#price(exchange, this.#identifier.identify(exchange.request));
    }
    const named = key(exchange.request);
    if (isPromise(named)) return named.then((later) => this.#price(exchange, this.#identifier.named(later)));
    return this.#price(exchange, this.#identifier.named(named));
  }

  #price(exchange: Exchange<R>, identity: Identity): MaybePromise<Verdict> {
    const { cost = 1 } = this.#options;
    if (typeof cost === 'number') return this.#charge(exchange, identity, cost);
    const price = cost(exchange.request);
    if (isPromise(price)) return price.then((later) => this.#charge(exchange, identity, later));
    return this.#charge(exchange, identity, price);
  }

  #charge(exchange: Exchange<R>, identity: Identity, cost: number): MaybePromise<Verdict> {
    checkCost(cost);
    const charges: Charge[] = [];
    for (const policy of this.#policies) charges.push({ policy, key: identity.key, cost });
    for (const key of identity.ceilings) for (const policy of this.#ceilings) charges.push({ policy, key, cost });
    const decisions = this.#store.consume(charges);
    if (isPromise(decisions)) return decisions.then((answer) => this.#conclude(exchange, charges, combine(answer)));
    return this.#conclude(exchange, charges, combine(decisions));
  }

  #conclude(exchange: Exchange<R>, charges: readonly Charge[], granted: Decision): MaybePromise<Verdict> {
    const { request, response } = exchange;
    const { onDecision, skipSuccessful, skipFailed } = this.#options;
    let decision = granted;
    let entry: Entry | undefined;

    if (granted.allowed) {
      entry = new Entry(this.#store, charges, granted.at);
      if (granted.delay > this.#maxDelay) {
        entry.giveBack('refused');
        decision = combine((granted.policies ?? [granted]).map((one) => this.#impatient(one)));
      } else if (skipSuccessful || skipFailed) {
        this.#settleWhenFinished(response, entry);
      }
    }

    const told: unknown = onDecision?.({ decision, key: charges[0]!.key, cost: charges[0]!.cost, request });
    // An observer should not be asynchronous; if it is all the same, its rejection must not end the process.
    if (isPromise(told)) return told.then(() => this.#answer(exchange, decision, entry));
    return this.#answer(exchange, decision, entry);
  }

  #answer(exchange: Exchange<R>, decision: Decision, entry: Entry | undefined): MaybePromise<Verdict> {
    const earlier = Ledger.from(this.#reader.earlier(exchange.request));
    const ledger = new Ledger(earlier, decision, entry);
    if (!decision.allowed) return this.#refuse(exchange, ledger, decision);
    if (decision.delay === 0 || this.#options.shape === false) return this.#pass(exchange, ledger);
    return this.#hold(exchange, ledger, decision.delay);
  }

  /** A client that did not wait for the response has paid. Over HTTP/2, such a response is "finished" all the same. */
  #settleWhenFinished(response: ResponseLike, entry: Entry): void {
    const { skipSuccessful, skipFailed } = this.#options;
    response.once('finish', () => {
      if (!response.writableEnded || response.stream?.aborted) return;
      if (response.statusCode < 400 ? skipSuccessful : skipFailed) entry.giveBack('finished');
    });
  }

  /** A refusal, where the decision was to hold the request for too long: until the queue is short enough. */
  #impatient(granted: Decision): Decision {
    const { delay } = granted;
    if (delay <= this.#maxDelay) return granted;
    return {
      ...granted,
      allowed: false,
      remaining: 0,
      resetAfter: delay,
      retryAfter: delay - this.#maxDelay,
      delay: 0,
    };
  }

  #pass(exchange: Exchange<R>, ledger: Ledger): Verdict {
    const headers: HeaderFields = {};
    this.#writeHeaders?.(headers, ledger);
    this.#expose(exchange, headers);
    return { action: 'pass', decision: ledger, headers };
  }

  /** Holds the request until the drain reaches it; a client that leaves meanwhile has its units given back. */
  #hold(exchange: Exchange<R>, ledger: Ledger, delay: number): Promise<Verdict> {
    const { response } = exchange;
    return new Promise((resolve) => {
      const leave = () => {
        cancel();
        Ledger.giveBack(ledger, 'left');
        resolve(gone);
      };
      const cancel = this.#clock.after(delay, () => {
        response.removeListener('close', leave);
        resolve(this.#pass(exchange, ledger));
      });
      if (response.destroyed) leave();
      else response.once('close', leave);
    });
  }

  #refuse(exchange: Exchange<R>, decision: Ledger, own: Decision): MaybePromise<Verdict> {
    const { request } = exchange;
    Ledger.giveBack(decision, 'refused');
    const headers: HeaderFields = {};
    this.#writeHeaders?.(headers, decision);
    const seconds = retryAfterSeconds(own);
    if (seconds !== undefined) headers['Retry-After'] = String(seconds);
    this.#expose(exchange, headers);
    headers['Cache-Control'] = 'no-store';
    const refusal = this.#refusals.write(headers, own, this.#reader.header(request, 'accept'));
    const { onLimited } = this.#options;
    if (onLimited === undefined) return { action: 'refuse', decision, ...refusal };
    const conclude = (response: LimitedResponse | undefined): Verdict => ({
      action: 'refuse',
      decision,
      ...customised(refusal, response),
    });
    const response = onLimited(request, decision);
    return isPromise(response) ? response.then(conclude) : conclude(response);
  }

  /** Lets scripts of other origins read what is in `fields`. */
  #expose({ request, headers }: Exchange<R>, fields: HeaderFields): void {
    if (this.#reader.header(request, 'origin') === undefined) return;
    const names = Object.keys(fields);
    if (names.length === 0) return;
    const present = headers.getHeader('access-control-expose-headers');
    fields['Access-Control-Expose-Headers'] = exposeHeaders(present, names);
  }
}

/** Frameworks take some of what is no error, `undefined` above all, for the sign to go on. */
function rethrow(error: unknown): never {
  if (typeof error === 'object' && error !== null) throw error;
  throw new SluiceError('INVALID_ERROR', `A callback of rateLimit threw ${show(error)}; let it throw an Error.`, {
    cause: error,
  });
}
