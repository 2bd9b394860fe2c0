// Who decides, and how is each asked for one decision in memory without a framework around it?
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { AlgorithmName, SyncLimiter } from '@sluice/core';
import { floors } from './floors.js';

const require = createRequire(import.meta.url);

export interface Grant {
  readonly limit: number;
  readonly windowMs: number;
}

/** A Gate grants or refuses; `keys` counts what it keeps in memory. */
export interface Gate {
  readonly decide: (key: string) => boolean | Promise<boolean>;
  readonly keys: () => number;
}

export interface Contender {
  readonly name: string;
  /** Whose it is: ours, the package of a peer, or nobody's. */
  readonly from: 'sluice' | 'floor' | PeerName;
  /** Whether an answer comes at once, without a promise. */
  readonly sync: boolean;
  /** Windows after which keys that nobody asks for any more are let go; 0 where they never are. */
  readonly forgetsAfter: 0 | 1 | 2;
  open(grant: Grant): Promise<Gate>;
}

export const peerNames = [
  'express-rate-limit',
  'rate-limiter-flexible',
  '@fastify/rate-limit',
  'koa-ratelimit',
  'rate-limit-redis',
] as const;
export type PeerName = (typeof peerNames)[number];

/** Not by `require`: some packages do not export their package.json. */
export function versionOf(name: PeerName | 'ioredis'): string {
  try {
    const manifest = readFileSync(new URL(`../node_modules/${name}/package.json`, import.meta.url), 'utf8');
    return (JSON.parse(manifest) as { version: string }).version;
  } catch {
    return 'not installed';
  }
}

async function ourLimiter(algorithm: AlgorithmName, { limit, windowMs }: Grant) {
  const { createLimiter, MemoryStore } = await import('@sluice/core');
  const store = new MemoryStore();
  const limiter: SyncLimiter = createLimiter({ policies: { algorithm, limit, window: windowMs }, store });
  return { limiter, store };
}

function sluice(algorithm: AlgorithmName): Contender {
  return {
    name: `sluice ${algorithm}`,
    from: 'sluice',
    sync: true,
    forgetsAfter: 1,
    async open(grant) {
      const { limiter, store } = await ourLimiter(algorithm, grant);
      return { decide: (key) => limiter.consumeSync(key).allowed, keys: () => store.size };
    },
  };
}

export const ours: readonly Contender[] = [
  sluice('fixed-window'),
  sluice('sliding-window-log'),
  sluice('sliding-window-counter'),
  sluice('token-bucket'),
  sluice('leaky-bucket'),
];

/** The default algorithm once more, through the promise that every store can give. */
export const oursAwaited: Contender = {
  name: 'sluice sliding-window-counter, awaited',
  from: 'sluice',
  sync: false,
  forgetsAfter: 1,
  async open(grant) {
    const { limiter, store } = await ourLimiter('sliding-window-counter', grant);
    return { decide: async (key) => (await limiter.consume(key)).allowed, keys: () => store.size };
  },
};

const flexible: Contender = {
  name: 'rate-limiter-flexible RateLimiterMemory',
  from: 'rate-limiter-flexible',
  sync: false,
  forgetsAfter: 1,
  async open({ limit, windowMs }) {
    const { RateLimiterMemory } = require('rate-limiter-flexible') as typeof import('rate-limiter-flexible');
    const limiter = new RateLimiterMemory({ points: limit, duration: windowMs / 1_000 });
    const { _storage } = (limiter as unknown as { _memoryStorage: { _storage: Map<string, unknown> } })._memoryStorage;
    return {
      async decide(key) {
        // It refuses by rejecting.
        try {
          await limiter.consume(key);
          return true;
        } catch (refusal) {
          if (refusal instanceof Error) throw refusal;
          return false;
        }
      },
      keys: () => _storage.size,
    };
  },
};

const express: Contender = {
  name: 'express-rate-limit MemoryStore',
  from: 'express-rate-limit',
  sync: false,
  forgetsAfter: 2,
  async open({ limit, windowMs }) {
    const { MemoryStore } = require('express-rate-limit') as typeof import('express-rate-limit');
    const store = new MemoryStore();
    store.init({ windowMs } as Parameters<typeof store.init>[0]);
    return {
      decide: async (key) => (await store.increment(key)).totalHits <= limit,
      keys: () => store.current.size + store.previous.size,
    };
  },
};

interface LocalStore {
  readonly lru: { readonly size: number };
  incr(key: string, done: (error: unknown, result: { current: number }) => void, window: number, max: number): void;
}

const fastify: Contender = {
  name: '@fastify/rate-limit LocalStore',
  from: '@fastify/rate-limit',
  sync: true,
  forgetsAfter: 0,
  async open({ limit, windowMs }) {
    const Store = require('@fastify/rate-limit/store/LocalStore.js') as new (...options: unknown[]) => LocalStore;
    // It keeps 5,000 keys unless told otherwise.
    const store = new Store(false, false, 1_000_000);
    return {
      decide(key) {
        let current = 0;
        store.incr(
          key,
          (_error, result) => {
            current = result.current;
          },
          windowMs,
          limit,
        );
        return current <= limit;
      },
      keys: () => store.lru.size,
    };
  },
};

const koa: Contender = {
  name: 'koa-ratelimit memory',
  from: 'koa-ratelimit',
  sync: false,
  forgetsAfter: 0,
  async open({ limit, windowMs }) {
    const Limiter = require('koa-ratelimit/limiter/memory.js') as new (
      options: object,
    ) => { get(): Promise<{ remaining: number }> };
    const db = new Map<string, unknown>();
    return {
      // As its middleware does: a limiter per request over a map that stays.
      decide: async (id) => (await new Limiter({ id, db, max: limit, duration: windowMs }).get()).remaining > 0,
      keys: () => db.size,
    };
  },
};

export const peers: readonly Contender[] = [express, flexible, fastify, koa];

export const contenders: readonly Contender[] = [...ours, oursAwaited, ...floors, ...peers];

export function contenderOf(name: string): Contender {
  const contender = contenders.find((one) => one.name === name);
  if (contender === undefined) throw new Error(`no contender is called ${name}`);
  return contender;
}
