/**
 * What people who come from other limiters type, and where that is here: an option, an option of a group or of a list
 * (which stands alone where the options at hand are those of the group), or one with the value that does the same.
 */
const places: Readonly<Record<string, string | readonly string[]>> = {
  // What is granted.
  max: 'policies.limit',
  points: 'policies.limit',
  total: 'policies.limit',
  limit: 'policies.limit',
  dynamicLimits: ['limit: (request) => …', 'overrides'],
  windowMs: 'policies.window',
  timeWindow: 'policies.window',
  duration: 'policies.window',
  window: 'policies.window',
  limiter: ["limits: ['10/10s']", "policies: '10/10s'"],
  policies: 'limits',
  policy: 'policies',
  limits: 'policies',
  execEvenly: "algorithm: 'leaky-bucket'",
  identifier: 'policies.name',
  keyPrefix: 'policies.name',
  nameSpace: 'policies.name',
  namespace: 'policies.name',
  prefix: 'policies.name',
  groupId: 'rules[].group',
  rate: 'cost',
  runActionAnyway: "mode: 'shadow'",

  // Who is limited.
  keyGenerator: ['key', 'by'],
  id: 'key',
  ipv6Subnet: 'identity.ipv6Prefix',
  trustProxy: 'identity.trustedProxies',
  allowList: ['lists.allow', 'skip'],
  whitelist: ['lists.allow', 'skip'],
  whiteList: 'lists.allow',
  isWhiteListed: 'skip',
  blacklist: 'lists.block',
  blackList: 'lists.block',
  isBlackListed: 'lists.block',
  enableProtection: 'lists.block',
  denyListThreshold: 'lists.block',

  // How a refusal is answered.
  handler: 'onLimited',
  errorResponseBuilder: 'onLimited',
  onExceeded: 'onLimited',
  onLimitReached: 'onLimited',
  onExceeding: 'onAllowed',
  onBanReach: 'onBanned',
  analytics: 'onDecision',
  message: 'response.message',
  errorMessage: 'response.message',
  statusCode: 'response.statusCode',
  status: 'response.statusCode',
  throw: 'response.throw',
  requestPropertyName: 'response.property',
  standardHeaders: "headers: 'draft-8'",
  draft_polli_ratelimit_headers: "headers: 'draft-6'",
  enableDraftSpec: "headers: 'draft-6'",
  legacyHeaders: "headers: 'legacy'",
  disableHeader: 'headers: false',
  addHeaders: ['headers', 'response.headerNames'],
  addHeadersOnExceeding: ['headers', 'response.headerNames'],
  skipFailedRequests: 'skipFailed',
  skipSuccessfulRequests: 'skipSuccessful',
  requestWasSuccessful: ['skipSuccessful: (request, response) => …', 'skipFailed: (request, response) => …'],

  // What follows a refusal.
  ban: 'penalty.banAfter',
  blockDuration: 'penalty.blockFor',
  blockOnConsumed: 'penalty.blockFor',
  continueExceeding: 'penalty.restart: true',
  exponentialBackoff: 'penalty.escalate: true',

  // Where it is counted.
  cache: 'store: new MemoryStore({ maxKeys: … })',
  skipOnError: "onStoreError: 'allow'",
  passOnStoreError: "onStoreError: 'allow'",
  insuranceLimiter: "onStoreError: 'fallback'",
};

/** What has no counterpart here, the option that the advice is about, if any, and the advice. */
const advice: Readonly<Record<string, readonly [option: string | undefined, advice: string]>> = {
  validate: [undefined, 'Options are always checked. Leave it out.'],
  retryAfter: [
    'onLimited',
    'Retry-After says when the next request will pass. What "onLimited" returns may have other headers.',
  ],
  execEvenlyMinDelayMs: [undefined, "A leaky bucket's delay follows from its limit and window. Leave it out."],
  maxQueueSize: [undefined, 'A queue is bounded by the time that its last one would wait: acquire(key, { maxWait }).'],
  timeout: [
    'store',
    'It is the "deadline" of the store: new RedisStore(redis, { deadline: "50ms", … }) of @sluice/redis.',
  ],
  timeoutMs: [
    'store',
    'It is the "deadline" of the store: new RedisStore(redis, { deadline: "50ms", … }) of @sluice/redis.',
  ],
  global: [undefined, 'Only the plugin of @sluice/fastify has it.'],
  hook: [undefined, 'Only the plugin of @sluice/fastify has it.'],
  ...about(
    'store',
    'Put the client into a store: store: new RedisStore(redis, …) of @sluice/redis; without one, memory counts.',
    ['db', 'driver', 'redis', 'storeClient', 'storeType'],
  ),
  ...about('store', 'It concerns a database. Give it to the store that you pass as "store".', [
    'dbName',
    'tableName',
    'tableCreated',
    'clearExpiredByTimeout',
    'schema',
    'schemaName',
    'indexKeyPrefix',
    'disableIndexesCreation',
    'dynamoTableOpts',
    'ttlSet',
    'rejectIfRedisNotReady',
    'rejectIfValkeyNotReady',
    'useRedisPackage',
    'useRedis3AndLowerPackage',
    'customIncrTtlLuaScript',
    'customFunction',
    'customFunctionLibName',
  ]),
  ...about('store', 'Whether refusals are remembered is up to the store. Leave it out, or give it to "store".', [
    'ephemeralCache',
    'inMemoryBlockOnConsumed',
    'inMemoryBlockDuration',
  ]),
};

function about(option: string, text: string, names: readonly string[]): typeof advice {
  return Object.fromEntries(names.map((name) => [name, [option, text]]));
}

/** What another limiter's option is here, as a sentence; `undefined` where `known`, the options at hand, have no place for it. */
export function counterpart(theirs: string, known: readonly string[]): string | undefined {
  if (Object.hasOwn(places, theirs)) {
    const found = [places[theirs]!].flat().map((place) => describe(place, known));
    const fitting = found.filter((text) => text !== undefined);
    return fitting.length > 0 ? `Here it is ${fitting.join(', or ')}.` : undefined;
  }
  if (!Object.hasOwn(advice, theirs)) return undefined;
  const [option, text] = advice[theirs]!;
  return option === undefined || known.includes(option) ? text : undefined;
}

function describe(place: string, known: readonly string[]): string | undefined {
  const [, group, list, option, value] = /^(?:(\w+)(\[\])?\.)?(\w+)(?:: (.+))?$/.exec(place)!;
  if (group !== undefined && known.includes(group)) {
    const inside = `{ ${option}: ${value ?? '…'} }`;
    return `"${option}" in '${group}': ${group}: ${list ? `[${inside}]` : inside}`;
  }
  if (!known.includes(option!)) return undefined;
  return value === undefined ? `called "${option}"` : `${option}: ${value}`;
}
