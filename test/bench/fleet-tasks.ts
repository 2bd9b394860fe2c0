// What does one process of a fleet get done, together with others that share the limits over one cluster?
import { createLimiter, type Limiter } from '@sluice/core';
import { clusterOptions, RedisStore } from '@sluice/redis';
import { Cluster } from 'ioredis';
import type { Tasks } from './child.js';
import { keyAt, picks } from './keys.js';

export interface Joining {
  readonly ports: readonly number[];
  /** Tells the keys of one load from those of another. */
  readonly prefix: string;
  readonly policy: {
    readonly algorithm: 'token-bucket' | 'fixed-window';
    readonly limit: number;
    readonly window: number;
  };
  readonly keys: number;
  readonly processes: number;
  readonly with: 'coalescing' | 'leases' | 'deny cache';
  /** Where in the order of keys this process begins. */
  readonly offset: number;
}

export interface Stint {
  readonly seconds: number;
  readonly atATime: number;
}

export interface Done {
  readonly perSecond: number;
  readonly seconds: number;
  /** Of each key in turn: decisions on it, and how many of them were grants. */
  readonly asked: readonly number[];
  readonly granted: readonly number[];
  /** Decisions that were not made by Redis, a lease of it or a refusal of it. */
  readonly elsewhere: number;
  /** Microseconds from the question to the answer. */
  readonly p50: number;
  readonly p99: number;
  /** Microseconds of processor time of this process per decision. */
  readonly client: number;
}

/** Latencies kept: every so many-th of them, where there are more. */
const samples = 100_000;

export function tasks(): Tasks {
  let cluster: Cluster;
  let store: RedisStore;
  let limiter: Limiter;
  let keys: readonly string[];
  let next = 0;
  const order = picks(2 ** 24, 2 ** 18);

  return {
    async join({ ports, prefix, policy, keys: count, processes, with: what, offset }: Joining): Promise<void> {
      const nodes = ports.map((port) => ({ host: '127.0.0.1', port }));
      cluster = new Cluster(nodes, clusterOptions);
      store = new RedisStore(cluster, {
        prefix,
        instances: processes,
        // A machine under full load must not be taken for a slow Redis.
        deadline: '2s',
        ...(what === 'leases' && { leases: true }),
        ...(what === 'deny cache' && { denyCache: true }),
        logger: { warn: () => {}, info: () => {} },
      });
      await store.ready('30s');
      limiter = createLimiter({ policies: policy, store });
      keys = Array.from({ length: count }, (_, i) => keyAt(i));
      next = offset;
    },

    /** All decisions count for the contract, those of the first third of the time for nothing else: code is compiled then. */
    async work({ seconds, atATime }: Stint): Promise<Done> {
      const asked = new Uint32Array(keys.length);
      const granted = new Uint32Array(keys.length);
      const micros = new Float64Array(samples);
      let elsewhere = 0;
      let timed = 0;
      let stride = 1;
      let kept = 0;
      const start = performance.now();
      const end = start + seconds * 1_000;
      const warm = start + (end - start) / 3;
      let cpu: NodeJS.CpuUsage | undefined;

      const time = (value: number) => {
        cpu ??= process.cpuUsage();
        if (timed++ % stride !== 0) return;
        if (kept === samples) {
          for (let i = 0; i < samples / 2; i++) micros[i] = micros[2 * i]!;
          kept = samples / 2;
          stride *= 2;
        }
        micros[kept++] = value;
      };
      const asker = async () => {
        for (let now = performance.now(); now < end; ) {
          const key = order[next++ & (order.length - 1)]! % keys.length;
          const { allowed, source } = await limiter.consume(keys[key]!);
          const after = performance.now();
          if (now >= warm) time((after - now) * 1_000);
          now = after;
          asked[key]!++;
          if (allowed) granted[key]!++;
          if (source !== 'store' && source !== 'lease' && source !== 'deny-cache') elsewhere++;
        }
      };
      await Promise.all(Array.from({ length: atATime }, asker));
      const finish = performance.now();
      const { user, system } = process.cpuUsage(cpu);
      const sorted = micros.subarray(0, kept).sort();
      return {
        perSecond: (timed * 1_000) / (finish - warm),
        seconds: (finish - start) / 1_000,
        asked: [...asked],
        granted: [...granted],
        elsewhere,
        p50: sorted[Math.floor(kept * 0.5)] ?? 0,
        p99: sorted[Math.floor(kept * 0.99)] ?? 0,
        client: (user + system) / timed,
      };
    },

    async leave(): Promise<void> {
      await store.close();
      cluster.disconnect();
    },
  };
}
