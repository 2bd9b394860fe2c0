import { Redis, type RedisOptions } from 'ioredis';
import { Redis as Redis5 } from 'ioredis5';
import { createClient } from 'redis';
import { afterAll, beforeAll, describe } from 'vitest';
import { RedisServer } from '../../../test/support/redis/server.ts';
import { fromNodeRedis, type RedisClient } from '../src/index.ts';
import { conforms } from './support/conforms.ts';

describe('on one server, a RedisStore conforms', () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await RedisServer.start();
  });
  afterAll(() => server.stop());

  function withOptions(title: string, options: RedisOptions): void {
    describe(title, () => {
      let redis: Redis;
      beforeAll(() => {
        redis = new Redis(server.port, options);
      });
      afterAll(() => redis.disconnect());
      conforms(
        () => redis,
        () => redis.flushall(),
      );
    });
  }
  withOptions('with a client that gives numbers as texts', { stringNumbers: true });
  withOptions('with a client that puts something before every key', { keyPrefix: 'app:{1}:' });
  withOptions('with a client that pipelines by itself', { enableAutoPipelining: true });

  describe('with a client of ioredis 5', () => {
    let redis: Redis5;
    beforeAll(() => {
      redis = new Redis5(server.url);
    });
    afterAll(() => redis.disconnect());
    conforms(
      () => redis,
      () => redis.flushall(),
    );
  });

  describe('with a client of node-redis', () => {
    const open = () => createClient({ url: server.url });
    let redis: ReturnType<typeof open>;
    let client: RedisClient;
    beforeAll(async () => {
      redis = open();
      client = fromNodeRedis(redis);
      await redis.connect();
    });
    afterAll(() => redis.destroy());
    conforms(
      () => client,
      () => redis.flushAll(),
    );
  });
});
