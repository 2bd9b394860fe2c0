import { clientOptions } from '@sluice/redis';
import { Redis, type RedisOptions } from 'ioredis';
import { afterAll, beforeAll } from 'vitest';
import { RedisServer } from '../../../../test/support/redis/server.ts';

/** Starts a server for the tests of a file, and gives them a client of it that is ready. */
export function withServer(use: (redis: Redis, server: RedisServer) => void): void {
  let server: RedisServer | undefined;
  let redis: Redis | undefined;
  beforeAll(async () => {
    server = await RedisServer.start();
    redis = await connected(server.url);
    use(redis, server);
  });
  afterAll(async () => {
    redis?.disconnect();
    await server?.stop();
  });
}

/** A client as the service has it, when it is ready. */
export async function connected(url: string, options: RedisOptions = {}): Promise<Redis> {
  const redis = new Redis(url, { ...clientOptions, ...options });
  // What a client tells of its failures, the calls that fail tell too.
  redis.on('error', () => {});
  await new Promise<void>((resolve) => redis.once('ready', resolve));
  return redis;
}
