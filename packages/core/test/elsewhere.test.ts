import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { counterpart } from '../src/elsewhere.ts';
import { optionNames } from '../src/http/options.ts';
import { createLimiter, Pipeline } from '../src/index.ts';
import { reader } from './http/exchange.ts';

/** The name is ours too, and means the same or is refused for its value. */
const ours = null;

/** Every option that the types of other limiters list, and the words that say where it is here. */
const elsewhere: Record<string, Record<string, readonly string[] | typeof ours>> = {
  // 8.7
  'express-rate-limit': {
    windowMs: ['window'],
    limit: ours,
    message: ['response', 'message'],
    statusCode: ['response', 'statusCode'],
    legacyHeaders: ['headers', "'legacy'"],
    standardHeaders: ['headers', "'draft-8'"],
    identifier: ['name'],
    retryAfter: ['onLimited'],
    requestPropertyName: ['response', 'property'],
    skipFailedRequests: ['skipFailed'],
    skipSuccessfulRequests: ['skipSuccessful'],
    keyGenerator: ['key'],
    ipv6Subnet: ['identity', 'ipv6Prefix'],
    handler: ['onLimited'],
    skip: ours,
    requestWasSuccessful: ['skipSuccessful', 'skipFailed'],
    store: ours,
    validate: ['always'],
    headers: ours,
    max: ['limit'],
    passOnStoreError: ['onStoreError', "'allow'"],
    logger: ours,
  },
  // 11.2
  '@fastify/rate-limit': {
    global: ['@sluice/fastify'],
    max: ['limit'],
    timeWindow: ['window'],
    hook: ['@sluice/fastify'],
    cache: ['store', 'maxKeys'],
    store: ours,
    redis: ['store'],
    nameSpace: ['name'],
    allowList: ['lists', 'allow', 'skip'],
    keyGenerator: ['key'],
    ipv6Subnet: ['identity', 'ipv6Prefix'],
    groupId: ['rules', 'group'],
    ban: ['penalty', 'banAfter'],
    continueExceeding: ['penalty', 'restart: true'],
    exponentialBackoff: ['penalty', 'escalate: true'],
    skipOnError: ['onStoreError', "'allow'"],
    errorResponseBuilder: ['onLimited'],
    onExceeding: ['onAllowed'],
    onExceeded: ['onLimited'],
    onBanReach: ['onBanned'],
    enableDraftSpec: ['headers', "'draft-6'"],
    addHeaders: ['headers', 'response', 'headerNames'],
    addHeadersOnExceeding: ['headers', 'response', 'headerNames'],
  },
  // 6.0, whose options are those of its reference and of its types
  'koa-ratelimit': {
    driver: ['store'],
    db: ['store'],
    duration: ['window'],
    max: ['limit'],
    id: ['key'],
    namespace: ['name'],
    headers: ours,
    disableHeader: ['headers: false'],
    errorMessage: ['response', 'message'],
    status: ['response', 'statusCode'],
    throw: ['response', 'throw'],
    onLimited: ours,
    whitelist: ['lists', 'allow', 'skip'],
    blacklist: ['lists', 'block'],
  },
  // 11.4, of all its limiters and wrappers
  'rate-limiter-flexible': {
    points: ['limit'],
    duration: ['window'],
    keyPrefix: ['name'],
    blockDuration: ['penalty', 'blockFor'],
    blockOnConsumed: ['penalty', 'blockFor'],
    execEvenly: ['algorithm', "'leaky-bucket'"],
    execEvenlyMinDelayMs: ['leaky', 'limit', 'window'],
    insuranceLimiter: ['onStoreError', "'fallback'"],
    inMemoryBlockOnConsumed: ['store'],
    inMemoryBlockDuration: ['store'],
    timeoutMs: ['store'],
    limiter: ['limits'],
    whiteList: ['lists', 'allow'],
    blackList: ['lists', 'block'],
    isWhiteListed: ['skip'],
    isBlackListed: ['lists', 'block'],
    runActionAnyway: ['mode', "'shadow'"],
    maxQueueSize: ['acquire', 'maxWait'],
    storeClient: ['store'],
    storeType: ['store'],
    dbName: ['store'],
    tableName: ['store'],
    tableCreated: ['store'],
    clearExpiredByTimeout: ['store'],
    schema: ['store'],
    schemaName: ['store'],
    indexKeyPrefix: ['store'],
    disableIndexesCreation: ['store'],
    dynamoTableOpts: ['store'],
    ttlSet: ['store'],
    rejectIfRedisNotReady: ['store'],
    rejectIfValkeyNotReady: ['store'],
    useRedisPackage: ['store'],
    useRedis3AndLowerPackage: ['store'],
    customIncrTtlLuaScript: ['store'],
    customFunction: ['store'],
    customFunctionLibName: ['store'],
  },
};

/** Of these, there is no page, or they are of the past. */
const others: Record<string, readonly string[]> = {
  // @upstash/ratelimit 2.2
  redis: ['store'],
  limiter: ['limits', '10/10s'],
  prefix: ['name'],
  dynamicLimits: ['limit', 'overrides'],
  ephemeralCache: ['store'],
  timeout: ['store'],
  analytics: ['onDecision'],
  enableProtection: ['lists', 'block'],
  denyListThreshold: ['lists', 'block'],
  rate: ['cost'],
  trustProxy: ['identity', 'trustedProxies'],
  onLimitReached: ['onLimited'],
  draft_polli_ratelimit_headers: ['headers'],
  total: ['limit'],
};

const cases = Object.entries(elsewhere).flatMap(([from, options]) =>
  Object.entries(options).map(([theirs, words]) => ({ from, theirs, words })),
);

function messageOf(create: () => unknown): string {
  try {
    create();
  } catch (error) {
    expect(error).toMatchObject({ code: 'UNKNOWN_OPTION' });
    return (error as Error).message;
  }
  throw new Error('It was accepted.');
}
const refused = (options: object) => messageOf(() => new Pipeline(reader, options as never));

describe('an option of another limiter', () => {
  test.each(cases.filter(({ words }) => words !== ours))('is refused with ours for it: $theirs of $from', (one) => {
    const message = refused({ [one.theirs]: 1 });
    expect(message).toMatch(`rateLimit has no option "${one.theirs}". `);
    expect(message).not.toMatch(/Did you mean|Known options/);
    for (const word of one.words!) expect(message.slice(message.indexOf('. '))).toContain(word);
  });

  test.each(Object.entries(others))('is refused with ours for it: %s', (theirs, words) => {
    const message = refused({ [theirs]: 1 });
    expect(message).not.toMatch(/Did you mean|Known options/);
    for (const word of words) expect(message.slice(message.indexOf('. '))).toContain(word);
  });

  test.each(cases.filter(({ words }) => words === ours))('is ours too: $theirs of $from', ({ theirs }) => {
    expect(optionNames).toContain(theirs);
  });

  test('is refused with the name alone, with the group that it is in, or with the value that does the same', () => {
    expect(refused({ windowMs: 1 })).toBe('rateLimit has no option "windowMs". Here it is called "window".');
    expect(refused({ statusCode: 418 })).toBe(
      `rateLimit has no option "statusCode". Here it is "statusCode" in 'response': response: { statusCode: … }.`,
    );
    expect(refused({ continueExceeding: true })).toBe(
      `rateLimit has no option "continueExceeding". Here it is "restart" in 'penalty': penalty: { restart: true }.`,
    );
    expect(refused({ skipOnError: true })).toBe(
      `rateLimit has no option "skipOnError". Here it is onStoreError: 'allow'.`,
    );
    expect(refused({ allowList: [] })).toBe(
      `rateLimit has no option "allowList". Here it is "allow" in 'lists': lists: { allow: … }, or called "skip".`,
    );
    expect(refused({ groupId: 'a' })).toBe(
      `rateLimit has no option "groupId". Here it is "group" in 'rules': rules: [{ group: … }].`,
    );
  });

  test('is offered only where ours for it is an option', () => {
    expect(counterpart('statusCode', ['statusCode', 'message'])).toBe('Here it is called "statusCode".');
    expect(counterpart('blockDuration', ['blockFor', 'banFor'])).toBe('Here it is called "blockFor".');
    expect(counterpart('groupId', ['match', 'group'])).toBe('Here it is called "group".');
    expect(counterpart('statusCode', ['match', 'limit'])).toBeUndefined();
    expect(counterpart('timeout', ['limit'])).toBeUndefined();
    expect(counterpart('validate', ['limit'])).toContain('always checked');
  });

  test.each(['toString', 'constructor', '__proto__', 'colour', ''])('is none where it is called %j', (name) => {
    expect(counterpart(name, optionNames)).toBeUndefined();
  });

  test.each([
    ['points', `"limit" in 'policies': policies: { limit: … }`],
    ['duration', `"window" in 'policies': policies: { window: … }`],
    ['keyPrefix', `"name" in 'policies': policies: { name: … }`],
    ['limit', `"limit" in 'policies': policies: { limit: … }`],
    ['limits', 'called "policies"'],
    ['limiter', "policies: '10/10s'"],
  ])('is refused by createLimiter with ours for it: %s', (theirs, where) => {
    const message = messageOf(() => createLimiter({ policies: '5/1m', [theirs]: 1 }));
    expect(message).toBe(`createLimiter has no option "${theirs}". Here it is ${where}.`);
  });
});

describe('the page on migration', () => {
  const page = readFileSync(new URL('../../../docs/migration.md', import.meta.url), 'utf8');

  test.each(Object.keys(elsewhere))('says of each option of %s where it is here, and of no other', (from) => {
    const section = page.split(/^## /m).find((text) => text.startsWith(`From ${from}\n`)) ?? '';
    const table = /^\| option.*\n\| ---.*\n((?:\|.*\n)+)/m.exec(section)?.[1] ?? '';
    const rows = table.trim().split('\n');
    const listed = new Map<string, string>();
    for (const row of rows) {
      const [, theirs, here] = /^\| (.+?) \| (.+) \|$/.exec(row) ?? [];
      for (const [, name] of theirs?.matchAll(/`(\w+)`/g) ?? []) {
        expect(listed.has(name!), name).toBe(false);
        listed.set(name!, here!);
      }
    }
    expect([...listed.keys()].sort()).toEqual(Object.keys(elsewhere[from]!).sort());
    for (const [theirs, here] of listed) {
      for (const word of elsewhere[from]![theirs] ?? []) expect(here, theirs).toContain(word);
    }
  });
});
