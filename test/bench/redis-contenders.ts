// Who decides in Redis, and how is each asked for one decision through a client of ioredis?
import { createRequire } from 'node:module';
import { type AlgorithmName, createLimiter } from '@sluice/core';
import { RedisStore } from '@sluice/redis';
import type { Redis } from 'ioredis';
import { RedisStore as ExpressStore } from 'rate-limit-redis';
import type { Grant, PeerName } from './contenders.js';

const require = createRequire(import.meta.url);

export type Decide = (key: string) => Promise<boolean>;

export interface RedisContender {
  readonly name: string;
  /** Whose it is: a bare command of Redis, ours, or the package of a peer. */
  readonly from: 'redis' | 'sluice' | PeerName;
  /** The one command that it sends per decision. */
  readonly command: 'incr' | 'evalsha';
  /** `prefix` keeps apart what is counted for different grants. */
  open(client: Redis, grant: Grant, prefix: string): Promise<Decide>;
}

/** The least that counts at all: it never ends a window, and says nothing but the count. */
export const incr: RedisContender = {
  name: 'INCR',
  from: 'redis',
  command: 'incr',
  open: async (client, { limit }, prefix) => {
    return async (key) => (await client.incr(`${prefix}:${key}`)) <= limit;
  },
};

function sluice(algorithm: AlgorithmName): RedisContender {
  return {
    name: `sluice ${algorithm}`,
    from: 'sluice',
    command: 'evalsha',
    async open(client, { limit, windowMs }, prefix) {
      // A longer deadline costs the same, and a machine under load is then not taken for a slow Redis.
      const store = new RedisStore(client, { prefix, instances: 1, deadline: '1s' });
      const limiter = createLimiter({ policies: { algorithm, limit, window: windowMs }, store });
      return async (key) => {
        const { allowed, source } = await limiter.consume(key);
        if (source !== 'store') throw new Error(`a decision was made by '${source}', not by Redis`);
        return allowed;
      };
    },
  };
}

const flexible: RedisContender = {
  name: 'rate-limiter-flexible RateLimiterRedis',
  from: 'rate-limiter-flexible',
  command: 'evalsha',
  async open(storeClient, { limit, windowMs }, keyPrefix) {
    const { RateLimiterRedis } = require('rate-limiter-flexible') as typeof import('rate-limiter-flexible');
    const limiter = new RateLimiterRedis({ storeClient, keyPrefix, points: limit, duration: windowMs / 1_000 });
    return async (key) => {
      // It refuses by rejecting.
      try {
        await limiter.consume(key);
        return true;
      } catch (refusal) {
        if (refusal instanceof Error) throw refusal;
        return false;
      }
    };
  },
};

const express: RedisContender = {
  name: 'rate-limit-redis RedisStore',
  from: 'rate-limit-redis',
  command: 'evalsha',
  async open(client, { limit, windowMs }, prefix) {
    const sendCommand = (command: string, ...args: string[]) => client.call(command, ...args) as Promise<number[]>;
    const store = new ExpressStore({ sendCommand, prefix: `${prefix}:` });
    await store.init({ windowMs } as Parameters<typeof store.init>[0]);
    return async (key) => (await store.increment(key)).totalHits <= limit;
  },
};

const koa: RedisContender = {
  name: 'koa-ratelimit redis',
  from: 'koa-ratelimit',
  command: 'evalsha',
  async open(db, { limit, windowMs }, namespace) {
    const Limiter = require('koa-ratelimit/limiter/redis.js') as new (
      options: object,
    ) => { get(): Promise<{ remaining: number }> };
    // As its middleware does: a limiter per request.
    return async (id) => (await new Limiter({ id, db, max: limit, duration: windowMs, namespace }).get()).remaining > 0;
  },
};

export const redisContenders: readonly RedisContender[] = [
  incr,
  sluice('fixed-window'),
  sluice('sliding-window-log'),
  sluice('sliding-window-counter'),
  sluice('token-bucket'),
  sluice('leaky-bucket'),
  flexible,
  express,
  koa,
];

export function redisContenderOf(name: string): RedisContender {
  const contender = redisContenders.find((one) => one.name === name);
  if (contender === undefined) throw new Error(`no contender is called ${name}`);
  return contender;
}
