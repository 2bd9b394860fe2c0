// How many decisions per second are made in Redis, how long does each take, and what does it cost client and server?
import { RedisServer } from '../support/redis/server.js';
import { type Actor, withActors } from './child.js';
import { versionOf } from './contenders.js';
import { incr, type RedisContender, redisContenders } from './redis-contenders.js';
import type { Load, Opening, RedisRound } from './redis-tasks.js';
import type { Size } from './size.js';
import { type Cell, median, ratio, round, type Table } from './table.js';

export async function redis({ isolated, redis: { keys, decisions, rounds } }: Size): Promise<Table> {
  const loads: readonly Load[] = [
    { decisions, atATime: 1, keys },
    { decisions, atATime: 32, keys },
    { decisions, atATime: 256, keys },
    // One key that is granted everything, and one that is refused everything.
    { decisions, atATime: 32, keys: 2 },
  ];
  await using server = await RedisServer.start();
  const options = { isolated, module: './redis-tasks.ts' };
  const runners = await withActors(options, async (start) => {
    const all = redisContenders.map((contender) => new Runner(contender, start()));
    for (const runner of all) await runner.open(server.port, keys);
    for (const load of loads) {
      for (const runner of all) await runner.warmUp(load);
      for (let i = 0; i < rounds; i++) for (const runner of all) await runner.run(load);
    }
    return all;
  });

  return {
    part: 'redis',
    title: 'Decisions in Redis',
    note:
      'Decisions per second, and their ratio to a bare INCR and to the fastest peer; half and 99 % of the decisions are ' +
      'answered within so many microseconds; microseconds of processor time per decision of the client and of the server, ' +
      'microseconds of the clock that the command itself takes there (usec of INFO commandstats), and how many decisions ' +
      'there are per call of it. Half of the ' +
      `decisions are grants, half refusals; of ${keys.toLocaleString('en-US')} keys, drawn evenly at random, or of one granted and one ` +
      `refused key. Medians of ${rounds} rounds of ${decisions.toLocaleString('en-US')}, interleaved, one process and ` +
      `one client of ioredis ${versionOf('ioredis')} per contender, and one redis-server ${runners[0]?.version ?? ''} ` +
      'beside them on this machine.',
    columns: [
      '',
      'per second',
      'to INCR',
      'to peer',
      'p50 µs',
      'p99 µs',
      'client µs',
      'server µs',
      'command µs',
      'per call',
    ],
    rows: loads.flatMap((load) => rowsOf(runners, load)),
    failures: runners.flatMap(({ name, failure }) => (failure === undefined ? [] : [`${name}: ${failure}`])),
  };
}

function rowsOf(runners: readonly Runner[], load: Load): Cell[][] {
  const perSecond = (of: (runner: Runner) => boolean) =>
    Math.max(...runners.filter(of).map((runner) => runner.median(load, 'perSecond') ?? 0));
  const bare = perSecond(({ name }) => name === incr.name);
  const best = perSecond(({ isPeer }) => isPeer);
  return runners.map((runner) => {
    const name = `${runner.name}, ${load.atATime} at a time${load.keys === 2 ? ', one key' : ''}`;
    const of = (value: keyof RedisRound) => {
      const found = runner.median(load, value);
      return found === undefined ? undefined : round(found);
    };
    const made = runner.median(load, 'perSecond') ?? Number.NaN;
    const ratios = [ratio(made, bare), ratio(made, best)];
    const costs = [of('client'), of('server'), of('command'), of('perCall')];
    return [name, of('perSecond'), ...ratios, of('p50'), of('p99'), ...costs];
  });
}

/** A Runner asks one contender for its rounds; one that has failed is not asked again. */
class Runner {
  readonly name: string;
  readonly isPeer: boolean;
  version: string | undefined;
  failure: string | undefined;
  readonly #actor: Actor;
  readonly #rounds = new Map<Load, RedisRound[]>();

  constructor({ name, from }: RedisContender, actor: Actor) {
    this.#actor = actor;
    this.name = name;
    this.isPeer = from !== 'sluice' && from !== 'redis';
  }

  async open(port: number, keys: number): Promise<void> {
    this.version = await this.#ask('open', { contender: this.name, port, keys } satisfies Opening);
  }

  async warmUp(load: Load): Promise<void> {
    await this.#ask('run', load);
  }

  async run(load: Load): Promise<void> {
    const result = await this.#ask<RedisRound>('run', load);
    if (result === undefined) return;
    if (Math.abs(result.granted - 0.5) > 0.01) this.failure = `granted ${result.granted} of its decisions, not half`;
    this.#rounds.set(load, [...(this.#rounds.get(load) ?? []), result]);
  }

  median(load: Load, value: keyof RedisRound): number | undefined {
    const rounds = this.#rounds.get(load);
    return rounds === undefined || this.failure !== undefined ? undefined : median(rounds.map((one) => one[value]));
  }

  async #ask<T>(task: string, input: unknown): Promise<T | undefined> {
    if (this.failure !== undefined) return undefined;
    try {
      return await this.#actor.ask<T>(task, input);
    } catch (error) {
      this.failure = (error as Error).message;
      return undefined;
    }
  }
}
