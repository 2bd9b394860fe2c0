import type { Clock, DenyCacheOptions, Duration } from '@sluice/core';
import { checkNames } from '@sluice/core/toolkit';
import type { RedisClient } from './client.js';
import { checkSubscriber, freedKeys, type RedisSubscriber } from './freed-keys.js';

/** How refusals are remembered in this process. */
export interface RedisDenyCacheOptions {
  /** Refusals remembered at the most; the oldest are forgotten first. An integer from 1 to 1,000,000. @default 10_000 */
  maxKeys?: number;
  /**
   * How long a refusal is repeated at the most before Redis is asked again: so long a key may be refused after another
   * process has given it units back. From 1 ms to an hour; a second at the most while `subscriber` is not connected.
   * @default '1s', or '10s' with a subscriber
   */
  recheck?: Duration;
  /**
   * Hears at once what other processes give back: a client of ioredis that does nothing else, like `redis.duplicate()`.
   * It is yours to close. A `Cluster` hears, too, but not reliably, so that `recheck` stays a second.
   */
  subscriber?: RedisSubscriber;
}

const known = ['maxKeys', 'recheck', 'subscriber'];

/**
 * What a RedisStore tells its deny cache; `undefined` where it is to have none.
 * @throws SluiceError for options that cannot work, with the remedy.
 */
export function denyCacheOptionsOf(
  input: boolean | RedisDenyCacheOptions | undefined,
  client: RedisClient,
  prefix: string,
  clock: Clock,
  warn: (message: string) => void,
): DenyCacheOptions | undefined {
  if (input === undefined || input === false) return undefined;
  if (input === true) return { clock };
  checkNames(input, known, "RedisStore: 'denyCache'", 'denyCache: true or { subscriber: redis.duplicate() }');
  const { subscriber, ...rest } = input;
  if (subscriber === undefined) return { ...rest, clock };
  checkSubscriber(subscriber, client);
  return { ...rest, clock, freed: freedKeys(subscriber, keyPrefixOf(client) + prefix, warn) };
}

/** What ioredis puts before every key, if it is told to: the scripts see it, and name their channel after it. */
function keyPrefixOf({ options }: RedisClient): string {
  const { keyPrefix } = (options ?? {}) as { keyPrefix?: unknown };
  return typeof keyPrefix === 'string' ? keyPrefix : '';
}
