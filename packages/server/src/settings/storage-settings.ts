import { resolve } from 'node:path';
import type { Mistakes } from './mistakes.js';
import type { OptionName } from './options.js';
import type { StorageSettings } from './settings.js';
import type { Given } from './sources.js';

const ofRedis = ['redisSentinel', 'instances', 'prefix', 'deadline', 'denyCache', 'leases'] satisfies OptionName[];
const ofFolder = ['dataDir', 'maxKeys'] satisfies OptionName[];

/** Where the service keeps what it knows: a folder, or Redis where that is given. `undefined` after a mistake. */
export function storageOf(given: Given, folder: string, mistakes: Mistakes): StorageSettings | undefined {
  if (!given.has('redis')) {
    for (const name of ofRedis.filter((name) => given.has(name))) {
      mistakes.add(
        given.placeOf(name),
        `is about Redis, which is not given. Add ${given.spell('redis', name)}, or leave this out.`,
      );
    }
    return { kind: 'embedded', dataDir: resolve(folder, given.value('dataDir') ?? '') };
  }
  const redis = given.placeOf('redis');
  for (const name of ofFolder.filter((name) => given.has(name))) {
    mistakes.add(
      given.placeOf(name),
      `is not for a service that keeps its data in Redis (${redis.text}). Leave out one of the two.`,
    );
  }
  if (!given.has('instances')) {
    mistakes.add(
      redis,
      `needs ${given.spell('instances', 'redis')}: how many instances of the service share the limits, at the most. While Redis fails, ` +
        'each grants its share of every limit; 1 is only right for a single instance.',
    );
  }
  const urls = given.value('redis');
  const instances = given.value('instances');
  if (urls === undefined || instances === undefined) return undefined;
  checkDatabases(given, urls, mistakes);
  const sentinel = given.value('redisSentinel');
  const prefix = given.value('prefix')!;
  const deadline = given.value('deadline')!;
  const denyCache = given.value('denyCache')!;
  const leases = given.value('leases')!;
  const master = sentinel !== undefined && { sentinel };
  return { kind: 'redis', urls, ...master, instances, prefix, deadline, denyCache, leases };
}

/** A cluster has only the one database. */
function checkDatabases(given: Given, urls: readonly string[], mistakes: Mistakes): void {
  if (given.has('redisSentinel') || urls.length === 1) return;
  for (const [i, url] of urls.entries()) {
    if (/^\/?0?$/.test(new URL(url).pathname)) continue;
    mistakes.add(
      given.placesOf('redis')[i]!,
      'names a database, and a cluster, which several addresses make, has none but 0. Leave the number out, or give ' +
        'one address.',
    );
  }
}
