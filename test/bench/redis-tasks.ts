// How long does one contender take for a round of decisions in Redis, and how much processor time here and there?
import { clientOptions } from '@sluice/redis';
import { Redis } from 'ioredis';
import type { Tasks } from './child.js';
import { keyAt, picks } from './keys.js';
import { type Decide, type RedisContender, redisContenderOf } from './redis-contenders.js';

export interface Opening {
  readonly contender: string;
  readonly port: number;
  readonly keys: number;
}

export interface Load {
  readonly decisions: number;
  /** Decisions under way at any time. */
  readonly atATime: number;
  readonly keys: number;
}

export interface RedisRound {
  readonly perSecond: number;
  readonly granted: number;
  /** Microseconds from the question to the answer. */
  readonly p50: number;
  readonly p99: number;
  /** Microseconds of processor time per decision: of this process, and of the server. */
  readonly client: number;
  readonly server: number;
  /** Microseconds of the clock per decision that the server spends within the command. */
  readonly command: number;
  /** Decisions per call of the server. */
  readonly perCall: number;
}

/** Half of the decisions are about keys that are granted everything, the other half about such as have had all they get. */
const generous = { limit: 1_000_000, windowMs: 86_400_000 };
const spent = { limit: 1, windowMs: 86_400_000 };

export function tasks(): Tasks {
  let client: Redis;
  let contender: RedisContender;
  let gates: readonly [Decide, Decide];
  let keys: readonly string[];
  let next = 0;
  const order = picks(2 ** 24, 2 ** 18);

  /** Asks until all is decided, so many at a time; tells how many were granted and how long each took. */
  async function decide({ decisions, atATime, keys: count }: Load): Promise<{ granted: number; micros: Float64Array }> {
    const micros = new Float64Array(decisions);
    const spread = Math.ceil(count / 2);
    let begun = 0;
    let granted = 0;
    const asker = async () => {
      for (let i = begun++; i < decisions; i = begun++) {
        const key = keys[order[(next + i) & (order.length - 1)]! % spread]!;
        const start = performance.now();
        if (await gates[i & 1]!(key)) granted++;
        micros[i] = (performance.now() - start) * 1_000;
      }
    };
    await Promise.all(Array.from({ length: atATime }, asker));
    next += decisions;
    return { granted, micros };
  }

  return {
    /** Resolves to the version of the server. */
    async open(input: Opening): Promise<string> {
      contender = redisContenderOf(input.contender);
      client = new Redis({ ...clientOptions, port: input.port, host: '127.0.0.1', lazyConnect: true });
      await client.connect();
      const prefix = contender.name.replaceAll(' ', '-');
      gates = [
        await contender.open(client, generous, `${prefix}:generous`),
        await contender.open(client, spent, `${prefix}:spent`),
      ];
      keys = Array.from({ length: Math.ceil(input.keys / 2) }, (_, i) => keyAt(i));
      for (const gate of gates) {
        for (let i = 0; i < keys.length; i += 100) await Promise.all(keys.slice(i, i + 100).map(gate));
      }
      return numberOf(await client.info('server'), /^redis_version:([\d.]+)/m);
    },

    async run(load: Load): Promise<RedisRound> {
      await client.config('RESETSTAT');
      const serverBefore = serverTime(await client.info('cpu'));
      const before = process.cpuUsage();
      const start = performance.now();
      const { granted, micros } = await decide(load);
      const seconds = (performance.now() - start) / 1_000;
      const { user, system } = process.cpuUsage(before);
      const server = serverTime(await client.info('cpu')) - serverBefore;
      const stats = await client.info('commandstats');
      const stat = `^cmdstat_${contender.command}:calls=`;
      const calls = Number(numberOf(stats, new RegExp(`${stat}(\\d+)`, 'm')));
      const command = Number(numberOf(stats, new RegExp(`${stat}\\d+,usec=(\\d+)`, 'm')));
      const { decisions } = load;
      micros.sort();
      return {
        perSecond: decisions / seconds,
        granted: granted / decisions,
        p50: micros[Math.floor(decisions * 0.5)]!,
        p99: micros[Math.floor(decisions * 0.99)]!,
        client: (user + system) / decisions,
        server: server / decisions,
        command: command / decisions,
        perCall: decisions / calls,
      };
    },
  };
}

/** Microseconds of processor time of the server up to now. */
function serverTime(info: string): number {
  return 1e6 * (Number(numberOf(info, /^used_cpu_user:([\d.]+)/m)) + Number(numberOf(info, /^used_cpu_sys:([\d.]+)/m)));
}

function numberOf(info: string, pattern: RegExp): string {
  const found = pattern.exec(info)?.[1];
  if (found === undefined) throw new Error(`INFO does not tell of ${pattern.source}`);
  return found;
}
