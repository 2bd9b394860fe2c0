import type { AlgorithmName } from '../algorithms/index.js';
import { checkCost } from '../charge.js';
import type { Clock } from '../clock.js';
import type { Decision, DecisionEvent } from '../decision.js';
import { type Duration, parseDuration } from '../duration.js';
import { SluiceError } from '../errors.js';
import type { MaybePromise } from '../maybe-promise.js';
import { checkNames, checkType } from '../options.js';
import { type CompiledPolicy, checkAlgorithm, compilePolicies, type Policy, type PolicyInput } from '../policy.js';
import type { Store } from '../store.js';
import type { HeaderStyle } from './headers.js';
import type { IdentityOptions } from './identity.js';
import type { LimitedResponse } from './refusal.js';

/** What `rateLimit` takes; `R` is the framework's own request, which every callback is given. */
export interface RateLimitOptions<R> {
  /**
   * Sets the limiter apart from others that share its store, and names its policy: in decisions, in refusals, and
   * before the names of `limits`. 1 to 64 characters of `[A-Za-z0-9_-]`.
   */
  name?: string;
  /** Units per window, of the one policy that is not listed in `limits`. @default 1000 */
  limit?: number;
  /** @default '1h' */
  window?: Duration;
  /** @default 'sliding-window-counter', or 'token-bucket' where a burst is given */
  algorithm?: AlgorithmName;
  /** Units that may be taken at once, for the two buckets. @default limit */
  burst?: number;
  /** Where fixed windows begin. @default 'epoch' */
  anchor?: Policy['anchor'];
  /** Charges refused requests too. @default false */
  countRefused?: boolean;
  /** Several policies instead of one: all grant, or none is charged. */
  limits?: readonly PolicyInput[];

  /** Who is limited, instead of API key, user or address; a list of parts is kept apart by itself. */
  key?: (request: R) => MaybePromise<string | readonly string[]>;
  /** Units that a request takes. @default 1 */
  cost?: number | ((request: R) => MaybePromise<number>);
  /** Requests that are not limited at all. */
  skip?: (request: R) => MaybePromise<boolean>;
  /** How clients are told apart. */
  identity?: IdentityOptions;

  /** @default 'legacy' */
  headers?: HeaderStyle;
  /** Answers a refused request in another way than with problem details. */
  onLimited?: (request: R, decision: Decision) => MaybePromise<LimitedResponse | undefined>;
  /** Holds requests that a leaky bucket has granted until its drain reaches them. @default true */
  shape?: boolean;
  /** The longest time that a leaky bucket holds a request; one that would wait longer is refused. @default '30s' */
  maxDelay?: Duration;
  /** Gives the units back when the response was completed with a status below 400. @default false */
  skipSuccessful?: boolean;
  /** Gives the units back when the response was completed with a status of 400 or above. @default false */
  skipFailed?: boolean;

  /** @default a MemoryStore of its own */
  store?: Store;
  /** Times the holding of requests, and the default store. @default systemClock */
  clock?: Clock;
  /** Observes every decision, and should be quick. If it throws, the request fails and its units stay taken. */
  onDecision?: (event: DecisionEvent<R>) => void;
}

const single = ['limit', 'window', 'algorithm', 'burst', 'anchor', 'countRefused'] as const;
export const optionNames = [
  'name',
  ...single,
  'limits',
  'key',
  'cost',
  'skip',
  'identity',
  'headers',
  'onLimited',
  'shape',
  'maxDelay',
  'skipSuccessful',
  'skipFailed',
  'store',
  'clock',
  'onDecision',
] as const;

/** @throws SluiceError for a name that does not exist or a value of the wrong type. */
export function checkOptions<R>(options: RateLimitOptions<R>): void {
  checkNames(
    options,
    optionNames,
    'rateLimit',
    "rateLimit({ limit: 100, window: '1m' }), called where it is used: app.use(rateLimit())",
  );
  for (const name of ['limit', 'window', 'limits', 'store'] as const) {
    if (!Object.hasOwn(options, name) || options[name] !== undefined) continue;
    throw new SluiceError(
      'INVALID_OPTION',
      `rateLimit: '${name}' is undefined. Give it a value, or leave it out for the default.`,
    );
  }
  for (const name of ['key', 'skip', 'onLimited', 'onDecision']) checkType(options, name, 'function', 'rateLimit');
  checkType(options, 'name', 'string', 'rateLimit');
  for (const name of ['shape', 'skipSuccessful', 'skipFailed']) checkType(options, name, 'boolean', 'rateLimit');
  if (options.skipSuccessful && options.skipFailed) {
    throw new SluiceError(
      'INVALID_OPTION',
      "rateLimit: 'skipSuccessful' and 'skipFailed' together would give back every request's units. Choose one.",
    );
  }
}

/** The policies that the options describe. */
export function policiesOf<R>(options: RateLimitOptions<R>): readonly CompiledPolicy[] {
  const { limits, algorithm, name } = options;
  if (algorithm !== undefined) checkAlgorithm(algorithm, 'rateLimit');
  if (limits === undefined) {
    const { limit = 1_000, window = '1h', burst, anchor, countRefused } = options;
    const policy: Policy = { limit, window };
    if (algorithm !== undefined) policy.algorithm = algorithm;
    if (burst !== undefined) policy.burst = burst;
    if (anchor !== undefined) policy.anchor = anchor;
    if (countRefused !== undefined) policy.countRefused = countRefused;
    return compilePolicies([policy], 'rateLimit', { name });
  }
  const both = single.find((name) => name !== 'algorithm' && options[name] !== undefined);
  if (both !== undefined) {
    throw new SluiceError(
      'INVALID_OPTION',
      `rateLimit: '${both}' and 'limits' are given. Move '${both}' into the policies that 'limits' lists.`,
    );
  }
  return compilePolicies(limits, 'limits', { algorithm, name });
}

/**
 * The policies of the neighbourhood that cheap identities must not escape: each one's numbers times `factor`. A queue
 * of the neighbourhood delays nobody, so that a leaky bucket's ceiling is a token bucket.
 */
export function ceilingsOf(policies: readonly CompiledPolicy[], factor: number): readonly CompiledPolicy[] {
  const most = (units: number) => Math.min(units * factor, 1_000_000_000);
  return policies.map(({ id, name, algorithm, limit, capacity, anchor, countRefused, windowMs }) => {
    const bucket = algorithm === 'token-bucket' || algorithm === 'leaky-bucket';
    const ceiling: Policy = {
      algorithm: bucket ? 'token-bucket' : algorithm,
      limit: most(limit),
      window: windowMs,
      countRefused,
    };
    if (bucket && limit > 0) ceiling.burst = most(capacity);
    if (algorithm === 'fixed-window') ceiling.anchor = anchor;
    // An id that no policy of a user's can have.
    return { ...compilePolicies([ceiling], 'identity.ceiling')[0]!, id: `${id}~ceiling`, name: `${name}-ceiling` };
  });
}

/** @throws SluiceError `INVALID_COST` for a cost of every request that no request could ever pay. */
export function checkFixedCost(cost: number, policies: readonly CompiledPolicy[]): void {
  checkCost(cost);
  const tooSmall = policies.find(({ capacity, limit }) => limit > 0 && cost > capacity);
  if (tooSmall === undefined) return;
  throw new SluiceError(
    'INVALID_COST',
    `rateLimit: with a 'cost' of ${cost} no request could ever pass, since policy '${tooSmall.name}' holds at most ` +
      `${tooSmall.capacity} units at once. Lower the cost, or raise the limit or the burst.`,
  );
}

/** Milliseconds for which a request may be held. */
export function maxDelayOf<R>({ maxDelay = '30s' }: RateLimitOptions<R>): number {
  return parseDuration(maxDelay, "rateLimit: 'maxDelay'");
}
