import { type AlgorithmName, algorithms } from './algorithms/index.js';
import type { PenaltyTerms } from './algorithms/penalty.js';
import { resolution } from './algorithms/resolution.js';
import { type Duration, formatDuration, longestWindow, parseDuration } from './duration.js';
import { SluiceError, show } from './errors.js';
import { checkNames, checkType } from './options.js';

/** A Policy says what is granted: `limit` units per `window`. */
export interface Policy {
  /**
   * Names the policy in decisions, headers and store keys: 1 to 64 characters of `[A-Za-z0-9_-]`.
   * @default 'default', or the window (`'1m'`) where several policies are given
   */
  name?: string;
  /** @default 'sliding-window-counter', or 'token-bucket' where a burst is given */
  algorithm?: AlgorithmName;
  /** Units per window: an integer from 0 (refuses everything) to 1e9. */
  limit: number;
  /** From 1 ms to a year. */
  window: Duration;
  /**
   * Units that may be taken at once, for the two buckets: an integer from 1 to 1e9 that refills within a century.
   * @default limit
   */
  burst?: number;
  /** Where fixed windows begin: at multiples of the window since the epoch, or at each key's first unit. @default 'epoch' */
  anchor?: 'epoch' | 'first';
  /**
   * Charges refused requests too, up to the capacity, so that a client that keeps hammering stays refused.
   * @default false
   */
  countRefused?: boolean;
}

/** The short form of a policy: `'100/1m'`, or `'100/1m burst 20'`. */
export type PolicyText = `${number}/${string}`;
export type PolicyInput = Policy | PolicyText;

/** A CompiledPolicy is a checked policy with everything worked out that an algorithm needs. */
export interface CompiledPolicy {
  /** What names the policy's state in a store: the algorithm, and the name if it is not `default`. */
  readonly id: string;
  readonly name: string;
  /** One of the five, or what `compilePenalty` makes: there the limit counts breaches, and the window is how long a key is blocked. */
  readonly algorithm: AlgorithmName | 'penalty';
  readonly limit: number;
  /** Units that may be taken at once. */
  readonly capacity: number;
  readonly anchor: 'epoch' | 'first';
  readonly countRefused: boolean;
  /** Milliseconds, as configured. */
  readonly windowMs: number;
  /** Microseconds, a multiple of `tick`. */
  readonly window: number;
  /** Resolution in microseconds: 1, or the power of ten at which every product stays within 2^52. */
  readonly tick: number;
  /** Buckets count in parts of a unit so small that a whole number of them drains per tick: parts in one unit. */
  readonly unit: number;
  /** Parts that drain per tick. */
  readonly rate: number;
  /** Units are given back when the work is done that took them, as places among the requests at work are. */
  readonly borrowed?: true;
  /** Of a penalty only. */
  readonly penalty?: PenaltyTerms;
}

const known = ['name', 'algorithm', 'limit', 'window', 'burst', 'anchor', 'countRefused'] as const;
export const defaultAlgorithm: AlgorithmName = 'sliding-window-counter';
export const largestLimit = 1_000_000_000;
/** Milliseconds that a bucket may take to refill: instants beyond would no longer be exact to the microsecond. */
const longestRefill = 100 * longestWindow;

/** A CompiledLimit is a policy of one of the five algorithms. */
export type CompiledLimit = CompiledPolicy & { readonly algorithm: AlgorithmName };

/** What a list of policies falls back on where a policy does not say. */
export interface PolicyDefaults {
  algorithm?: AlgorithmName | undefined;
  /** Put before the names of the policies, so that the lists of several limiters can share a store. */
  name?: string | undefined;
}

/**
 * Checks a list of policies and compiles each.
 * @throws SluiceError naming the policy, what is wrong with it and what would be right.
 */
export function compilePolicies(
  inputs: readonly PolicyInput[],
  where: string,
  defaults: PolicyDefaults = {},
): readonly CompiledLimit[] {
  if (!Array.isArray(inputs) || inputs.length === 0) {
    throw new SluiceError(
      'INVALID_POLICY',
      `${where} takes a list of at least one policy, like ['100/1m']; got ${show(inputs)}.`,
    );
  }
  const compiled: CompiledLimit[] = [];
  const names = new Set<string>();
  for (const [i, input] of inputs.entries()) {
    const policy = compilePolicy(input, inputs.length > 1 ? `${where}[${i}]` : where, defaults, inputs.length === 1);
    if (names.has(policy.name)) {
      throw new SluiceError(
        'DUPLICATE_POLICY',
        `${where}[${i}]: a second policy is called ${show(policy.name)}. Give each a 'name' of its own; ` +
          'without one, a policy among several is called after its window.',
      );
    }
    names.add(policy.name);
    compiled.push(policy);
  }
  return compiled;
}

function compilePolicy(input: PolicyInput, where: string, defaults: PolicyDefaults, single: boolean): CompiledLimit {
  const policy = typeof input === 'string' ? parsePolicyText(input, where) : input;
  checkNames(policy, known, where, "'100/1m' or { limit: 100, window: '1m' }");
  const { limit, burst, anchor = 'epoch', countRefused = false } = policy;

  const algorithm = policy.algorithm ?? defaults.algorithm ?? (burst === undefined ? defaultAlgorithm : 'token-bucket');
  checkAlgorithm(algorithm, where);
  const isBucket = algorithm === 'token-bucket' || algorithm === 'leaky-bucket';

  if (!Number.isInteger(limit) || limit < 0 || limit > largestLimit) {
    throw new SluiceError(
      'INVALID_POLICY',
      `${where}: 'limit' must be an integer from 0 (refuses everything) to ${largestLimit}; got ${describe(limit)}.`,
    );
  }
  const windowMs = parseDuration(policy.window, `${where}: 'window'`);
  if (burst !== undefined) {
    if (!isBucket) {
      throw new SluiceError(
        'INVALID_POLICY',
        `${where}: 'burst' applies to 'token-bucket' and 'leaky-bucket' only, not to ${show(algorithm)}. ` +
          'Leave it out, or choose one of the two.',
      );
    }
    if (!Number.isInteger(burst) || burst < 1 || burst > largestLimit) {
      throw new SluiceError(
        'INVALID_POLICY',
        `${where}: 'burst' must be an integer from 1 to ${largestLimit}; got ${describe(burst)}.`,
      );
    }
    if (limit === 0) {
      throw new SluiceError(
        'INVALID_POLICY',
        `${where}: 'limit: 0' refuses everything, so a 'burst' would never refill. Leave out one of the two.`,
      );
    }
    const largestBurst = Math.floor((limit * longestRefill) / windowMs);
    if (burst > largestBurst) {
      throw new SluiceError(
        'INVALID_POLICY',
        `${where}: a 'burst' of ${burst} would take over a century to refill at ${limit} per ` +
          `${formatDuration(windowMs)}. Choose one of at most ${largestBurst}.`,
      );
    }
  }
  if (anchor !== 'epoch' && anchor !== 'first') {
    throw new SluiceError('INVALID_POLICY', `${where}: 'anchor' is 'epoch' or 'first'; got ${show(anchor)}.`);
  }
  if (policy.anchor !== undefined && algorithm !== 'fixed-window') {
    throw new SluiceError(
      'INVALID_POLICY',
      `${where}: 'anchor' applies to 'fixed-window' only, not to ${show(algorithm)}.`,
    );
  }
  checkType(policy, 'countRefused', 'boolean', where);
  checkType(policy, 'name', 'string', where);

  const own = policy.name ?? (single ? undefined : formatDuration(windowMs));
  const name = [defaults.name, own].filter((part) => part !== undefined).join('-') || 'default';
  const isEmpty = policy.name === '' || defaults.name === '';
  if (isEmpty || !/^[A-Za-z0-9_-]{1,64}$/.test(name)) {
    throw new SluiceError(
      'INVALID_POLICY',
      `${where}: 'name' must be 1 to 64 characters of A-Z a-z 0-9 _ -; got ${isEmpty ? '""' : `${show(name)} of ${name.length}`}.`,
    );
  }
  const capacity = burst ?? limit;
  return {
    id: name === 'default' ? algorithm : `${algorithm}:${name}`,
    name,
    algorithm,
    limit,
    capacity,
    anchor,
    countRefused,
    windowMs,
    ...resolution(algorithm, limit, capacity, windowMs * 1_000),
  };
}

/** @throws SluiceError `INVALID_POLICY` for a name that is none of the five. */
export function checkAlgorithm(algorithm: unknown, where: string): asserts algorithm is AlgorithmName {
  if (typeof algorithm === 'string' && Object.hasOwn(algorithms, algorithm)) return;
  throw new SluiceError(
    'INVALID_POLICY',
    `${where}: unknown algorithm ${show(algorithm)}. Choose one of ${Object.keys(algorithms).join(', ')}.`,
  );
}

function parsePolicyText(text: string, where: string): Policy {
  const match = /^\s*(\d+)\s*\/\s*(\S+?)(?:\s+burst\s+(\d+))?\s*$/.exec(text);
  if (!match) {
    throw new SluiceError(
      'INVALID_POLICY',
      `${where}: a policy in short form reads '100/1m' or '100/1m burst 20'; got ${show(text)}.`,
    );
  }
  const policy: Policy = { limit: Number(match[1]), window: match[2] as Duration };
  if (match[3] !== undefined) policy.burst = Number(match[3]);
  return policy;
}

/** A number given as text is the likeliest mistake of all, often from an environment variable. */
function describe(value: unknown): string {
  const asNumber = typeof value === 'string' && value.trim() !== '' && Number.isFinite(Number(value));
  return asNumber ? `the string ${show(value)}; write Number(…) around it` : show(value);
}
