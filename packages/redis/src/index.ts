export type { RedisClient } from './client.js';
export { clientOptions, clusterOptions } from './client-options.js';
export type { RedisDenyCacheOptions } from './deny-cache-options.js';
export type { RedisSubscriber } from './freed-keys.js';
export type { RedisLeaseOptions } from './lease-options.js';
export { fromNodeRedis, type NodeRedisClient } from './node-redis.js';
export { RedisStore } from './redis-store.js';
export type { RedisStoreOptions } from './redis-store-options.js';
