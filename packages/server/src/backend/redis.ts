import { type Clock, type Logger, SluiceError } from '@sluice/core';
import { messageOf, parseDuration } from '@sluice/core/toolkit';
import { clientOptions, clusterOptions, RedisStore } from '@sluice/redis';
import { Cluster, Redis } from 'ioredis';
import { RedisAnalytics } from '../analytics/redis-analytics.js';
import { RedisConfigurationStore } from '../configuration/redis-store.js';
import { keepConnected } from '../redis/lasting-connection.js';
import type { Settings, StorageSettings } from '../settings/settings.js';
import { RedisUserDirectory } from '../users/redis-user-directory.js';
import { type Backend, closeAll } from './backend.js';

type RedisSettings = Extract<StorageSettings, { kind: 'redis' }>;

const states = { closed: 0, 'half-open': 1, open: 2 } as const;

/**
 * Keeps everything in Redis, for all instances together.
 * @throws SluiceError `STORE_UNAVAILABLE` where Redis does not answer: who starts without having read the rules would
 * let everything pass that they refuse.
 */
export async function openRedis(
  { urls, sentinel, instances, prefix, deadline, denyCache = false, leases = false }: RedisSettings,
  settings: Pick<Settings, 'maxUsers' | 'userTtl'>,
  clock: Clock,
  logger: Logger,
): Promise<Backend> {
  const opened: (() => unknown)[] = [];
  const connect = () => {
    const client = clientOf(urls, sentinel);
    opened.unshift(keepConnected(client, clock));
    return client;
  };
  try {
    const client = connect();
    let lastError: unknown;
    client.on('error', (error) => {
      lastError = error;
    });
    const subscriber = connect();
    // What goes wrong with it goes wrong with the other one as well.
    subscriber.on('error', () => {});
    const store = new RedisStore(client, {
      instances,
      prefix,
      deadline,
      clock,
      logger,
      // Several may subscribe to channels of their own over one connection.
      denyCache: denyCache && { subscriber },
      leases,
    });
    opened.unshift(() => store.close());
    try {
      await store.ready();
    } catch (error) {
      throw unavailable(error, lastError);
    }
    const configuration = new RedisConfigurationStore(client, { prefix, clock });
    opened.unshift(() => configuration.close());
    const ttl = parseDuration(settings.userTtl, 'userTtl');
    const { maxUsers } = settings;
    const users = new RedisUserDirectory({ client, subscriber, prefix, ttl, maxUsers, clock, logger });
    opened.unshift(() => users.close());
    const analytics = new RedisAnalytics({ client, prefix, clock, logger });
    opened.unshift(async () => {
      try {
        await analytics.close();
      } catch (error) {
        logger.warn(`What analytics have counted since Redis last took them is lost: ${messageOf(error)}`);
      }
    });
    return {
      store,
      configuration,
      users,
      analytics,
      breakers: () => [...store.states].map(([server, state]) => [server, states[state]] as const),
      keys: () => undefined,
      evictions: () => undefined,
      // While it does not answer, this instance does: it is no reason to take it out of service.
      trouble: () => undefined,
      lost: new Promise<never>(() => {}),
      close: () => closeAll(opened),
    };
  } catch (error) {
    await closeAll(opened).catch(() => {});
    throw error;
  }
}

function clientOf(urls: readonly string[], sentinel: string | undefined): Redis | Cluster {
  const [first, ...others] = urls.map((url) => new URL(url));
  const { username, password, protocol, pathname } = first!;
  const common = {
    ...(username !== '' && { username: decodeURIComponent(username) }),
    ...(password !== '' && { password: decodeURIComponent(password) }),
    ...(protocol === 'rediss:' && { tls: {} }),
  };
  const usualPort = sentinel === undefined ? 6379 : 26379;
  const nodes = [first!, ...others].map(({ hostname, port }) => ({
    host: hostname.replace(/^\[|\]$/g, ''),
    port: port === '' ? usualPort : Number(port),
  }));
  if (sentinel !== undefined) {
    const { retryStrategy: sentinelRetryStrategy } = clientOptions;
    return new Redis({ ...clientOptions, ...common, sentinels: nodes, name: sentinel, sentinelRetryStrategy });
  }
  if (others.length > 0) {
    return new Cluster(nodes, { ...clusterOptions, redisOptions: { ...clusterOptions.redisOptions, ...common } });
  }
  const db = Number(pathname.slice(1) || 0);
  return new Redis({ ...clientOptions, ...common, ...nodes[0]!, db });
}

function unavailable(error: unknown, lastError: unknown): SluiceError {
  const why = lastError === undefined ? '' : ` (${messageOf(lastError)})`;
  return new SluiceError(
    'STORE_UNAVAILABLE',
    `Redis does not answer${why}. The service starts when it has read the rules, so that nothing passes which they refuse. ` +
      'Look at the address given by --redis, and whether Redis runs there.',
    { cause: error },
  );
}
