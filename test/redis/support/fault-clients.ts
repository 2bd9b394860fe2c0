import { fromNodeRedis, type RedisClient } from '@sluice/redis';
import { Cluster, Redis, type RedisOptions } from 'ioredis';
import { createClient } from 'redis';

export interface ClientAddress {
  /** `recommended` and `default` are an ioredis client with the documented options, and one without any. */
  readonly client: 'recommended' | 'default' | 'node-redis' | 'sentinel' | 'cluster';
  /** Of the server, the sentinels, or the nodes of the cluster. */
  readonly ports: readonly number[];
  /** What sentinels call the master. */
  readonly master?: string;
}

/** The options that docs/redis.md recommends. */
export const recommended = {
  enableOfflineQueue: false,
  maxRetriesPerRequest: 0,
  autoResendUnfulfilledCommands: false,
  connectTimeout: 1_000,
  socketTimeout: 1_000,
  keepAlive: 5_000,
  maxLoadingRetryTime: 500,
  retryStrategy: (times: number) => Math.min(times * 50, 450),
  reconnectOnError: (error: Error) => (error.message.startsWith('READONLY') ? 1 : false),
} satisfies RedisOptions;

/** A client without a listener for its errors, as an application may have it. */
export function clientOf({ client, ports, master }: ClientAddress): RedisClient {
  const [port] = ports as [number];
  const nodes = ports.map((port) => ({ host: '127.0.0.1', port }));
  switch (client) {
    case 'recommended':
      return new Redis({ ...recommended, port });
    case 'default':
      return new Redis(port);
    case 'sentinel':
      return new Redis({
        ...recommended,
        sentinels: nodes,
        ...(master === undefined ? {} : { name: master }),
        failoverDetector: true,
        sentinelRetryStrategy: (times) => Math.min(times * 50, 450),
      });
    case 'cluster':
      return new Cluster(nodes, {
        redisOptions: recommended,
        enableOfflineQueue: false,
        clusterRetryStrategy: (times) => Math.min(times * 50, 450),
        retryDelayOnFailover: 0,
        retryDelayOnClusterDown: 0,
        slotsRefreshInterval: 2_000,
      });
    case 'node-redis': {
      const client = createClient({ url: `redis://127.0.0.1:${port}` });
      const adapted = fromNodeRedis(client);
      void client.connect();
      return adapted;
    }
  }
}
