import { Redis } from 'ioredis';
import { afterAll, beforeAll } from 'vitest';
import { RedisServer } from '../../../../test/support/redis/server.ts';

/** Starts a server for the tests of a file, and gives them a client of it. */
export function withServer(use: (redis: Redis, server: RedisServer) => void): void {
  let server: RedisServer | undefined;
  let redis: Redis | undefined;
  beforeAll(async () => {
    server = await RedisServer.start();
    redis = new Redis(server.url);
    use(redis, server);
  });
  afterAll(async () => {
    redis?.disconnect();
    await server?.stop();
  });
}

/** The server's clock in microseconds. */
export async function serverTime(redis: Redis): Promise<number> {
  const [seconds, micros] = (await redis.time()) as unknown as [number, number];
  return Number(seconds) * 1_000_000 + Number(micros);
}
