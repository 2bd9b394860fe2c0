import type { Clock } from '../clock.js';
import type { DecisionEvent } from '../decision.js';
import { type Duration, parseDuration } from '../duration.js';
import { type KeySource, type Limiting, limitingNames, type Rule } from '../engine/limiting.js';
import { SluiceError, show } from '../errors.js';
import type { Lists } from '../identity/access-list.js';
import type { IdentityOptions } from '../identity/options.js';
import type { Overrides } from '../identity/overrides.js';
import { checkLogger, type Logger } from '../logger.js';
import type { MaybePromise } from '../maybe-promise.js';
import { checkNames, checkType } from '../options.js';
import type { PolicyInput } from '../policy.js';
import type { StoreErrorMode } from '../resilience/outage-options.js';
import type { Store } from '../store.js';
import type { HeaderOptions } from './headers.js';
import type { RequestDecision } from './ledger.js';
import type { LimitedResponse } from './refusal.js';
import type { ResponseOptions } from './response.js';

/** What observes a decision on a request is told. */
export interface RequestEvent<R> extends DecisionEvent<R> {
  readonly request: R;
  /** Whether the decision counts, or is what a shadow would have decided. */
  readonly mode: 'enforce' | 'shadow';
  /** The rule that applied, as it is written. */
  readonly rule: string | undefined;
  readonly tier: string | undefined;
}

export type RefusalAnswer = LimitedResponse | Error | 'answered' | undefined;

/**
 * Answers a request that may not pass: by what it returns, which is put in place of the default; by an error, for the
 * framework's error handling; or by itself, and then it returns `'answered'`. The headers are on the response already.
 */
export type RefusalHandler<R, S> = (request: R, decision: RequestDecision, response: S) => MaybePromise<RefusalAnswer>;

/** Says whether a response that was completed is one whose units go back. */
export type ResponseTest<R, S> = (request: R, response: S) => MaybePromise<boolean>;

/**
 * What `rateLimit` takes; `R` is the framework's own request, which every callback is given, and `S` its response.
 */
export interface RateLimitOptions<R, S = unknown> extends Limiting<R> {
  /** Who is limited. @default API key, else user, else address */
  key?: KeySource<R>;
  /** Requests that are not limited at all. */
  skip?: (request: R) => MaybePromise<boolean>;
  /** Limits of routes. What none of them matches falls to the limits above. */
  rules?: readonly Rule<R>[];
  /** Which of the tiers a request belongs to; none, or an unknown one, is the default tier. */
  tier?: (request: R) => MaybePromise<string | undefined>;
  defaultTier?: string;
  /** Limits of single keys, instead of those above; rules keep theirs. */
  overrides?: Readonly<Record<string, PolicyInput | readonly PolicyInput[]>> | Overrides;
  lists?: Lists;
  /** How clients are told apart. */
  identity?: IdentityOptions<R>;
  /** Limits by address, for the phase before authentication. */
  beforeAuth?: PolicyInput | readonly PolicyInput[];

  /** @default 'legacy' */
  headers?: HeaderOptions;
  /** How requests are answered. */
  response?: ResponseOptions<R>;
  /** Answers a refused request in another way than with problem details. */
  onLimited?: RefusalHandler<R, S>;
  /** Answers, in the same way, who is blocked or banned. */
  onBanned?: RefusalHandler<R, S>;
  /** Observes every request that this limiter lets pass; one behind it may still refuse it. */
  onAllowed?: (request: R, decision: RequestDecision) => void;
  /** Observes every decision, also of shadows, and should be quick. If it throws, the request fails and its units stay taken. */
  onDecision?: (event: RequestEvent<R>) => void;

  /** Holds requests that a leaky bucket has granted until its drain reaches them. @default true */
  shape?: boolean;
  /** The longest time that a leaky bucket holds a request; one that would wait longer is refused. @default '30s' */
  maxDelay?: Duration;
  /** Gives the units back when the response was completed with a status below 400, or the function says so. @default false */
  skipSuccessful?: boolean | ResponseTest<R, S>;
  /** Gives the units back when the response was completed with a status of 400 or above, or the function says so. @default false */
  skipFailed?: boolean | ResponseTest<R, S>;

  /** @default a MemoryStore of its own */
  store?: Store;
  /**
   * What becomes of a request when the store fails; by `'fallback'` this process decides, on from what the store has
   * last said of the client. @default 'throw', or what the store says for itself
   */
  onStoreError?: StoreErrorMode;
  /** Times the holding of requests, and the default store. @default systemClock */
  clock?: Clock;
  /** @default warnings of the process */
  logger?: Logger;
}

export const optionNames = [
  ...limitingNames,
  'key',
  'skip',
  'rules',
  'tier',
  'defaultTier',
  'overrides',
  'lists',
  'identity',
  'beforeAuth',
  'headers',
  'response',
  'onLimited',
  'onBanned',
  'onAllowed',
  'onDecision',
  'shape',
  'maxDelay',
  'skipSuccessful',
  'skipFailed',
  'store',
  'onStoreError',
  'clock',
  'logger',
] as const;

/** @throws SluiceError for a name that does not exist or a value of the wrong type. */
export function checkOptions<R, S>(options: RateLimitOptions<R, S>): void {
  checkNames(
    options,
    optionNames,
    'rateLimit',
    "rateLimit({ limit: 100, window: '1m' }), called where it is used: app.use(rateLimit())",
  );
  for (const name of ['limit', 'window', 'limits', 'tiers', 'rules', 'store'] as const) {
    if (!Object.hasOwn(options, name) || options[name] !== undefined) continue;
    throw new SluiceError(
      'INVALID_OPTION',
      `rateLimit: '${name}' is undefined. Give it a value, or leave it out for the default.`,
    );
  }
  for (const name of ['skip', 'tier', 'onLimited', 'onBanned', 'onAllowed', 'onDecision']) {
    checkType(options, name, 'function', 'rateLimit');
  }
  checkType(options, 'shape', 'boolean', 'rateLimit');
  checkType(options, 'defaultTier', 'string', 'rateLimit');
  for (const name of ['skipSuccessful', 'skipFailed'] as const) {
    const value = options[name];
    if (value === undefined || typeof value === 'boolean' || typeof value === 'function') continue;
    throw new SluiceError(
      'INVALID_OPTION',
      `rateLimit: "${name}" must be a boolean, or a function of request and response, not ${show(value)}.`,
    );
  }
  if (options.skipSuccessful === true && options.skipFailed === true) {
    throw new SluiceError(
      'INVALID_OPTION',
      "rateLimit: 'skipSuccessful' and 'skipFailed' together would give back every request's units. Choose one.",
    );
  }
  if (options.logger !== undefined) checkLogger(options.logger, 'rateLimit');
  if (options.lists !== undefined)
    checkNames(options.lists, ['allow', 'block'], 'lists', "{ block: ['203.0.113.0/24'] }");
}

/** Milliseconds for which a request may be held. */
export function maxDelayOf({ maxDelay = '30s' }: { maxDelay?: Duration }): number {
  return parseDuration(maxDelay, "rateLimit: 'maxDelay'");
}
