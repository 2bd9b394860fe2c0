import { clientOptions } from '@sluice/redis';
import { Redis } from 'ioredis';

/** Ends the program with advice where no Redis answers. An app need not ask: without Redis, it limits on its own. */
export async function expectRedis(url: string): Promise<void> {
  const redis = new Redis(url, { ...clientOptions, lazyConnect: true, retryStrategy: () => null });
  let reason = 'it does not answer';
  redis.on('error', (error) => {
    reason = error.message;
  });
  try {
    await redis.connect();
  } catch {
    console.error(`No Redis at ${url.replace(/:[^:@/]*@/, ':…@')} (${reason}). Start one:

  redis-server --save ''

which is in the package redis-server of Debian and Ubuntu (sudo apt-get install redis-server), and in redis of Homebrew
(brew install redis); or: docker run --rm -p 127.0.0.1:6379:6379 redis. REDIS_URL names one elsewhere.`);
    process.exit(1);
  } finally {
    redis.disconnect();
  }
}
