import { clientOptions, clusterOptions, fromNodeRedis, type RedisClient } from '@sluice/redis';
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

export const recommended = clientOptions satisfies RedisOptions;

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
      return new Redis({ ...clientOptions, sentinels: nodes, name: master! });
    case 'cluster':
      return new Cluster(nodes, clusterOptions);
    case 'node-redis': {
      const client = createClient({ url: `redis://127.0.0.1:${port}` });
      const adapted = fromNodeRedis(client);
      void client.connect();
      return adapted;
    }
  }
}
