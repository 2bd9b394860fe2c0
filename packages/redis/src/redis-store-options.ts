import {
  type CircuitChange,
  type Clock,
  type Duration,
  type Logger,
  SluiceError,
  type StoreErrorMode,
} from '@sluice/core';
import { checkClock, checkLogger, checkNames, checkOneOf, checkType } from '@sluice/core/toolkit';

import type { RedisDenyCacheOptions } from './deny-cache-options.js';
import { leaseShareOf, type RedisLeaseOptions } from './lease-options.js';

/** What does not depend on what follows when Redis fails. */
export interface CommonOptions {
  /** Stands before every key: 1 to 64 characters of A-Z a-z 0-9 . _ : @ / -. @default 'ratelimit' */
  prefix?: string;
  /** Every decision is made within this time, whatever Redis does: up to a minute. @default '50ms' */
  deadline?: Duration;
  /**
   * Is told of every change of state: of the one server, or of each server of a cluster. Nobody waits for a promise that
   * it returns, and what it throws or rejects with is ignored.
   */
  onStateChange?: (change: CircuitChange) => unknown;
  /** Is told when decisions are made without Redis and why, when Redis is back, and what to set otherwise. @default warnings of the process */
  logger?: Logger;
  /** Remembers refusals in this process, so that repeats cost Redis nothing: `true`, or how. @default false */
  denyCache?: boolean | RedisDenyCacheOptions;
  /**
   * Takes units of hot keys from Redis in advance, and hands them out without asking it: `true`, or how. Needs `instances`.
   * @default false
   */
  leases?: boolean | RedisLeaseOptions;
  /** Times deadlines, probes and what is decided without Redis; limits are timed by the server. @default systemClock */
  clock?: Clock;
}

/** While Redis fails, each process decides by itself, on from what Redis has last said. */
export interface FallbackOptions extends CommonOptions {
  /**
   * What follows when Redis fails: this process decides, or the request passes, is refused, or fails.
   * @default 'fallback'
   */
  onError?: 'fallback';
  /**
   * How many processes share the limits, at the most. While Redis fails, each grants its share of every limit: an
   * integer ≥ 1.
   */
  instances: number;
  /** What follows when a process's share of a limit is less than what is asked for: the request is refused, or passes. @default 'deny' */
  indivisible?: 'deny' | 'allow';
}

/** While Redis fails, nothing is counted. */
export interface WithoutFallback extends CommonOptions {
  /** What follows when Redis fails: the request passes, is refused, or fails. */
  onError: 'allow' | 'deny' | 'throw';
  /** For limiters whose own `onStoreError` is `'fallback'`: how many processes share the limits, at the most. */
  instances?: number;
  indivisible?: undefined;
}

export type RedisStoreOptions = FallbackOptions | WithoutFallback;

const known = [
  'prefix',
  'deadline',
  'onStateChange',
  'logger',
  'clock',
  'denyCache',
  'leases',
  'onError',
  'instances',
  'indivisible',
];
const modes: readonly StoreErrorMode[] = ['fallback', 'allow', 'deny', 'throw'];
const example = 'new RedisStore(redis, { instances: 4 })';

/** @throws SluiceError for options that cannot work, with the remedy. */
export function checkOptions(options: RedisStoreOptions): void {
  checkNames(options, known, 'RedisStore', example);
  checkType(options, 'onStateChange', 'function', 'RedisStore');
  if (options.clock !== undefined) checkClock(options.clock, 'RedisStore');
  if (options.logger !== undefined) checkLogger(options.logger, 'RedisStore');
  const { onError = 'fallback', indivisible, leases, instances } = options;
  checkOneOf(onError, modes, "RedisStore: 'onError'");
  leaseShareOf(leases, instances);
  if (onError === 'fallback') checkInstances(options.instances);
  else if (indivisible !== undefined) {
    throw new SluiceError(
      'INVALID_OPTION',
      `RedisStore: 'indivisible' says what follows when a process's share of a limit is too small, and with onError: ` +
        `'${onError}' there are no shares. Leave it out, or set onError: 'fallback'.`,
    );
  }
}

/** @throws SluiceError `INVALID_OPTION` where nothing says by how many to divide the limits. */
export function checkInstances(instances: number | undefined): void {
  if (instances !== undefined) return;
  throw new SluiceError(
    'INVALID_OPTION',
    `RedisStore needs 'instances': how many processes share these limits, at the most, like ${example}. While Redis ` +
      'fails, each grants its share of them. Write 1 where there is only this one, or say what is to follow instead: ' +
      "onError: 'deny'.",
  );
}
