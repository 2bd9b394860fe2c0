/**
 * Options of an ioredis `Redis` that suit rate limits: a command that cannot be sent now fails now, a connection that
 * is silent is given up, and the next one comes soon. Spread them: `new Redis({ ...clientOptions, host })`.
 */
export const clientOptions = {
  // Nothing queues up while there is no connection, and nothing is sent again on the next one.
  enableOfflineQueue: false,
  maxRetriesPerRequest: 0,
  autoResendUnfulfilledCommands: false,
  // Milliseconds. A server that says nothing for so long, asked or connected to, is connected to anew.
  connectTimeout: 1_000,
  socketTimeout: 1_000,
  keepAlive: 5_000,
  // Asks often whether a server that has started has loaded its data.
  maxLoadingRetryTime: 500,
  /** Never gives up, and never pauses for half a second; a fleet does not come back all at once. */
  retryStrategy: (attempt: number) => 20 + Math.random() * Math.min(attempt * 50, 400),
  /** A master that became a replica: connects anew, to whoever is the master now. */
  reconnectOnError: (error: Error) => (error.message.startsWith('READONLY') ? 1 : false),
  /** Of a client that asks sentinels: listens to them, and leaves a master that they replace. */
  failoverDetector: true,
} as const;

// A cluster has its own of these two, and gives none to its servers.
const { enableOfflineQueue, retryStrategy, ...nodeOptions } = clientOptions;

/**
 * Options of an ioredis `Cluster` that suit rate limits: `new Cluster(nodes, clusterOptions)`. Its offline queue stays
 * on: a cluster connects to a server with the first command for it, which would fail.
 */
export const clusterOptions = {
  // What a lost server has not answered is not sent to the next one.
  retryDelayOnFailover: 0,
  retryDelayOnClusterDown: 0,
  // Milliseconds. Asks so often which server has which slots.
  slotsRefreshInterval: 2_000,
  slotsRefreshTimeout: 1_000,
  clusterRetryStrategy: retryStrategy,
  redisOptions: nodeOptions,
} as const;
