import type { Redis } from 'ioredis';

/** How often a server has run each command since its statistics were reset, also those that scripts have called. */
export async function commandsOf(redis: Redis): Promise<ReadonlyMap<string, number>> {
  const stats = await redis.info('commandstats');
  return new Map(
    [...stats.matchAll(/^cmdstat_(\S+):calls=(\d+)/gm)].map(([, name, calls]) => [name!, Number(calls)] as const),
  );
}
