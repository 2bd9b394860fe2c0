// How many decisions per second do several processes make together over one cluster, and do they keep to the contract?
import { RedisCluster } from '../support/redis/cluster.js';
import type { RedisServer } from '../support/redis/server.js';
import { withActors } from './child.js';
import type { Done, Joining, Stint } from './fleet-tasks.js';
import type { Size } from './size.js';
import { type Cell, median, round, type Table } from './table.js';

interface Load {
  readonly name: string;
  readonly with: Joining['with'];
  readonly processes: number;
  readonly keys: number;
  readonly policy: Joining['policy'];
}

interface Result {
  readonly perSecond: number;
  readonly perCall: number;
  /** Per cent of what the contract grants to those who asked, all keys together. */
  readonly used: number;
  /** Units beyond the contract, all keys together. */
  readonly above: number;
  readonly p50: number;
  readonly p99: number;
  readonly client: number;
  readonly server: number;
}

const day = 86_400_000;

/** Of few hot keys, within their limits and far beyond them; of many users; and of clients that have had all they get. */
function loadsOf({ processes, users }: Size['fleet']): readonly Load[] {
  const ample = { algorithm: 'token-bucket', limit: 1_000_000_000, window: 60_000 } as const;
  const scarce = { algorithm: 'token-bucket', limit: 5_000, window: 1_000 } as const;
  const hourly = { algorithm: 'token-bucket', limit: 100, window: 3_600_000 } as const;
  const spent = { algorithm: 'fixed-window', limit: 10, window: day } as const;
  const hot = 8;
  return [
    { name: 'hot keys', with: 'coalescing', processes, keys: hot, policy: ample },
    { name: 'hot keys', with: 'leases', processes: 1, keys: hot, policy: ample },
    { name: 'hot keys', with: 'leases', processes, keys: hot, policy: ample },
    { name: 'hot keys, beyond their limits', with: 'coalescing', processes, keys: hot, policy: scarce },
    { name: 'hot keys, beyond their limits', with: 'leases', processes, keys: hot, policy: scarce },
    { name: 'users', with: 'coalescing', processes, keys: users, policy: hourly },
    { name: 'attackers', with: 'coalescing', processes, keys: 1_000, policy: spent },
    { name: 'attackers', with: 'deny cache', processes, keys: 1_000, policy: spent },
  ];
}

export async function fleet({ fleet: size }: Size): Promise<Table> {
  const { rounds, seconds, atATime } = size;
  const loads = loadsOf(size);
  await using cluster = await RedisCluster.start();
  const masters = await cluster.masters();
  const results = loads.map(() => [] as Result[]);
  const failures: string[] = [];
  for (let i = 0; i < rounds; i++) {
    for (const [l, load] of loads.entries()) {
      try {
        results[l]!.push(await measure(load, { seconds, atATime }, masters, `fleet:${i}:${l}`));
      } catch (error) {
        failures.push(`${nameOf(load)}: ${(error as Error).message}`);
      }
    }
  }
  return {
    part: 'fleet',
    title: 'Decisions of a fleet',
    note:
      'Decisions per second of all processes together, each with so many at a time; decisions per script that a master of the cluster ran; ' +
      'per cent of the contract that was granted of what was asked for, and units granted beyond it (burst plus rate times the time ' +
      'between the first question and the last answer, per key); half and 99 % of the decisions of the slowest process are answered ' +
      'within so many microseconds; microseconds of processor time per decision, of the clients and of the masters. ' +
      `Medians of ${rounds} interleaved rounds of ${seconds} s, ${atATime} at a time, over a real cluster of three masters with a replica each, ` +
      'all on this machine.',
    columns: ['', 'per second', 'per call', '% used', 'above', 'p50 µs', 'p99 µs', 'client µs', 'server µs'],
    rows: loads.map((load, l): Cell[] => {
      const of = (value: keyof Result) =>
        results[l]!.length === 0 ? undefined : round(median(results[l]!.map((one) => one[value])));
      // Not the median: a single unit in any of the rounds would be one too many.
      const above = results[l]!.length === 0 ? undefined : Math.max(...results[l]!.map((one) => one.above));
      return [
        nameOf(load),
        of('perSecond'),
        of('perCall'),
        of('used'),
        above,
        of('p50'),
        of('p99'),
        of('client'),
        of('server'),
      ];
    }),
    failures,
  };
}

function nameOf({ name, with: what, processes, keys }: Load): string {
  const many = processes === 1 ? '1 process' : `${processes} processes`;
  return `${keys.toLocaleString('en-US')} ${name}, ${what}, ${many}`;
}

async function measure(load: Load, stint: Stint, masters: readonly RedisServer[], prefix: string): Promise<Result> {
  const { policy, processes, keys } = load;
  return withActors({ isolated: true, module: './fleet-tasks.ts' }, async (start) => {
    const actors = Array.from({ length: processes }, start);
    const ports = masters.map(({ port }) => port);
    await Promise.all(
      actors.map((actor, i) => {
        const joining: Joining = { ports, prefix, policy, keys, processes, with: load.with, offset: i * 7_919 };
        return actor.ask('join', joining);
      }),
    );
    const before = await spent(masters);
    const began = performance.now();
    const done = await Promise.all(actors.map((actor) => actor.ask<Done>('work', stint)));
    const seconds = (performance.now() - began) / 1_000;
    const after = await spent(masters);
    await Promise.all(actors.map((actor) => actor.ask('leave')));

    const elsewhere = sum(done.map((one) => one.elsewhere));
    if (elsewhere > 0) throw new Error(`${elsewhere} decisions were made without Redis`);
    const decisions = sum(done.flatMap((one) => one.asked));
    const shortest = Math.min(...done.map((one) => one.seconds));
    return {
      perSecond: sum(done.map((one) => one.perSecond)),
      perCall: decisions / (after.calls - before.calls),
      used: usedOf(done, contractOf(policy, shortest)),
      above: aboveOf(done, contractOf(policy, seconds)),
      p50: Math.max(...done.map((one) => one.p50)),
      p99: Math.max(...done.map((one) => one.p99)),
      client: sum(done.map((one) => one.client * one.perSecond)) / sum(done.map((one) => one.perSecond)),
      server: (after.micros - before.micros) / decisions,
    };
  });
}

/** Units that a key which was fresh at the first question may be granted within so many seconds. */
function contractOf({ algorithm, limit, window }: Joining['policy'], seconds: number): number {
  return algorithm === 'fixed-window' ? limit : limit + Math.ceil((limit * seconds * 1_000) / window);
}

/** Per cent of what was asked for and is due. */
function usedOf(done: readonly Done[], contract: number): number {
  let due = 0;
  let granted = 0;
  for (const key of done[0]!.asked.keys()) {
    due += Math.min(sum(done.map((one) => one.asked[key]!)), contract);
    granted += sum(done.map((one) => one.granted[key]!));
  }
  return (100 * granted) / due;
}

function aboveOf(done: readonly Done[], contract: number): number {
  const beyond = [...done[0]!.granted.keys()].map((key) => sum(done.map((one) => one.granted[key]!)) - contract);
  return sum(beyond.filter((units) => units > 0));
}

/** Scripts that the masters have run, and microseconds of processor time that they have taken, up to now. */
async function spent(masters: readonly RedisServer[]): Promise<{ calls: number; micros: number }> {
  let calls = 0;
  let micros = 0;
  for (const master of masters) {
    const stats = await master.cli('INFO', 'commandstats');
    for (const [, made] of stats.matchAll(/^cmdstat_evalsha:calls=(\d+)/gm)) calls += Number(made);
    const cpu = await master.cli('INFO', 'cpu');
    for (const [, took] of cpu.matchAll(/^used_cpu_(?:user|sys):([\d.]+)/gm)) micros += 1e6 * Number(took);
  }
  return { calls, micros };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
