// How long does one contender take to refuse, again and again, what Redis has refused before; and to grant the rest?
import { createRequire } from 'node:module';
import { setImmediate } from 'node:timers/promises';
import { createLimiter, type Decision } from '@sluice/core';
import { clientOptions, RedisStore } from '@sluice/redis';
import { Redis } from 'ioredis';
import type { Tasks } from './child.js';
import { keyAt, picks } from './keys.js';

const require = createRequire(import.meta.url);

/** Is asked for one decision as a program would ask; what it resolves to `isGrant` understands. */
interface Gate {
  consume(key: string): Promise<unknown>;
  isGrant(answer: unknown): boolean;
  /** Whether what it rejects with is a refusal. */
  isRefusal?(reason: unknown): boolean;
}

export interface DenyContender {
  readonly name: string;
  readonly from: 'floor' | 'sluice' | 'rate-limiter-flexible';
  /** Whether refusals are repeated without asking Redis. */
  readonly remembers: boolean;
  open(client: Redis, limit: number): Promise<Gate>;
}

export interface DenyOpening {
  readonly contender: string;
  readonly port: number;
  readonly keys: number;
}

export interface DenyLoad {
  readonly kind: 'refused' | 'granted';
  readonly decisions: number;
}

export interface DenyRound {
  readonly perSecond: number;
  /** Microseconds of processor time of this process per decision. */
  readonly client: number;
}

const windowMs = 86_400_000;
const atATime = 32;

/** The least that JavaScript can do for it: a lookup, the time and a decision, awaited. It knows of no limit. */
const floor: DenyContender = {
  name: 'a Map of blocked keys',
  from: 'floor',
  remembers: true,
  async open(_client, limit) {
    const until = new Map<string, number>();
    return {
      async consume(key) {
        const now = performance.now();
        const end = until.get(key);
        if (end === undefined) until.set(key, now + windowMs);
        return { allowed: end === undefined || end <= now || limit > 1, retryAfter: (end ?? now) - now };
      },
      isGrant: (answer) => (answer as { allowed: boolean }).allowed,
    };
  },
};

function sluice(remembers: boolean): DenyContender {
  return {
    name: remembers ? 'sluice with a deny cache' : 'sluice',
    from: 'sluice',
    remembers,
    async open(client, limit) {
      const prefix = `sluice:${remembers}:${limit}`;
      const denyCache = remembers && { subscriber: client.duplicate() };
      // A longer deadline costs the same, and a machine under load is then not taken for a slow Redis.
      const store = new RedisStore(client, { prefix, instances: 1, deadline: '1s', denyCache });
      const limiter = createLimiter({ policies: { algorithm: 'fixed-window', limit, window: windowMs }, store });
      return {
        consume: (key) => limiter.consume(key),
        isGrant(answer) {
          const { allowed, source } = answer as Decision;
          if (source !== 'store' && source !== 'deny-cache') throw new Error(`a decision was made by '${source}'`);
          return allowed;
        },
      };
    },
  };
}

function flexible(remembers: boolean): DenyContender {
  return {
    name: `rate-limiter-flexible${remembers ? ' with inMemoryBlockOnConsumed' : ''}`,
    from: 'rate-limiter-flexible',
    remembers,
    async open(storeClient, points) {
      const { RateLimiterRedis } = require('rate-limiter-flexible') as typeof import('rate-limiter-flexible');
      const block = remembers ? { inMemoryBlockOnConsumed: points } : {};
      const keyPrefix = `flexible:${remembers}:${points}`;
      const limiter = new RateLimiterRedis({ storeClient, keyPrefix, points, duration: windowMs / 1_000, ...block });
      return {
        consume: (key) => limiter.consume(key),
        isGrant: () => true,
        isRefusal: (reason) => !(reason instanceof Error),
      };
    },
  };
}

export const denyContenders: readonly DenyContender[] = [
  floor,
  sluice(true),
  sluice(false),
  flexible(true),
  flexible(false),
];

export function tasks(): Tasks {
  let gates: Readonly<Record<DenyLoad['kind'], Gate>>;
  let keys: readonly string[];
  const order = picks(2 ** 24, 2 ** 16);

  return {
    async open({ contender, port, keys: count }: DenyOpening): Promise<void> {
      // A machine under load is not to be taken for a silent server.
      const client = new Redis({ ...clientOptions, socketTimeout: 30_000, port, host: '127.0.0.1', lazyConnect: true });
      await client.connect();
      const { open } = denyContenders.find(({ name }) => name === contender)!;
      gates = { refused: await open(client, 1), granted: await open(client, 1_000_000_000) };
      keys = Array.from({ length: count }, (_, i) => keyAt(i));
      for (const key of keys) for (const gate of Object.values(gates)) await gate.consume(key);
    },

    async run({ kind, decisions }: DenyLoad): Promise<DenyRound> {
      const gate = gates[kind];
      let begun = 0;
      let granted = 0;
      const asker = async () => {
        for (let i = begun++; i < decisions; i = begun++) {
          // Answers that need no Redis would keep those that do from being read.
          if (i % 1_000 === 0) await setImmediate();
          const key = keys[order[i & (order.length - 1)]! % keys.length]!;
          try {
            if (gate.isGrant(await gate.consume(key))) granted++;
          } catch (reason) {
            if (!gate.isRefusal?.(reason)) throw reason;
          }
        }
      };
      const before = process.cpuUsage();
      const start = performance.now();
      await Promise.all(Array.from({ length: atATime }, asker));
      const seconds = (performance.now() - start) / 1_000;
      const { user, system } = process.cpuUsage(before);
      if (granted !== (kind === 'granted' ? decisions : 0)) {
        throw new Error(`granted ${granted} of ${decisions} decisions that were to be ${kind}`);
      }
      return { perSecond: decisions / seconds, client: (user + system) / decisions };
    },
  };
}
