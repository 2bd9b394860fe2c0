import type { RedisClient } from './client.js';

/** Every option to change is named beside what it does. */
const remedy = 'Give it the clientOptions of @sluice/redis, or clusterOptions for a Cluster.';

/**
 * What of a client's options makes it send commands late or twice, or hold on to a connection that is gone; nothing for
 * clients whose options are unknown.
 */
export function clientWarning(client: RedisClient): string | undefined {
  const options = client.options as Readonly<Record<string, unknown>> | undefined;
  if (options === undefined) return undefined;
  const repeats = client.isCluster ? clusterFaults(options) : faultsOf(options);
  const faults = [...repeats, ...silenceFaults(client, options)];
  if (faults.length === 0) return undefined;
  const burden =
    repeats.length > 0
      ? 'What arrives after the deadline changes nothing, but it burdens a Redis that is coming back. '
      : '';
  return `RedisStore: the Redis client is set so that it ${faults.join('; ')}. ${burden}${remedy}`;
}

/** Whether a client sends what was not answered again when it has connected anew. One of which nothing is known may. */
export function sendsAgain(client: RedisClient): boolean {
  const options = client.options as Readonly<Record<string, unknown>> | undefined;
  if (options === undefined) return client.sendsAgain ?? true;
  if (!client.isCluster) return options.autoResendUnfulfilledCommands !== false;
  const nodes = options.redisOptions as Readonly<Record<string, unknown>> | undefined;
  return nodes?.autoResendUnfulfilledCommands !== false || options.retryDelayOnFailover !== 0;
}

function faultsOf(options: Readonly<Record<string, unknown>>): readonly string[] {
  if (!('autoResendUnfulfilledCommands' in options)) return [];
  const faults: string[] = [];
  const { enableOfflineQueue, autoResendUnfulfilledCommands, maxRetriesPerRequest } = options;
  if (enableOfflineQueue !== false)
    faults.push("queues commands while it is not connected ('enableOfflineQueue: false')");
  if (autoResendUnfulfilledCommands !== false) {
    faults.push("sends unanswered commands again ('autoResendUnfulfilledCommands: false')");
  }
  if (maxRetriesPerRequest !== 0) {
    faults.push("waits for connections to come before commands fail ('maxRetriesPerRequest: 0')");
  }
  return faults;
}

function clusterFaults(options: Readonly<Record<string, unknown>>): readonly string[] {
  const faults: string[] = [];
  const { retryDelayOnFailover, retryDelayOnClusterDown, enableAutoPipelining } = options;
  if (typeof retryDelayOnFailover === 'number' && retryDelayOnFailover > 0) {
    faults.push("sends commands again when a server is lost ('retryDelayOnFailover: 0')");
  }
  if (typeof retryDelayOnClusterDown === 'number' && retryDelayOnClusterDown > 0) {
    faults.push("sends commands again while the cluster is down ('retryDelayOnClusterDown: 0')");
  }
  if (enableAutoPipelining === true) {
    faults.push(
      "sends commands of several slots in one pipeline, which fails as a whole ('enableAutoPipelining: false')",
    );
  }
  return faults;
}

/** A server or a network that vanishes says no goodbye, and what TCP sends again it gives up only after minutes. */
function silenceFaults(client: RedisClient, options: Readonly<Record<string, unknown>>): readonly string[] {
  const known = client.isCluster ? 'retryDelayOnFailover' : 'autoResendUnfulfilledCommands';
  if (!(known in options)) return [];
  const ofServers = client.isCluster ? ((options.redisOptions ?? {}) as typeof options) : options;
  if (ofServers.socketTimeout !== undefined) return [];
  const place = client.isCluster ? 'redisOptions: { socketTimeout: 1000 }' : 'socketTimeout: 1000';
  return [`goes on for minutes with a connection that has gone silent ('${place}')`];
}
