// How many refusals per second are repeated without asking Redis, and what does remembering them cost those who are granted?
import { RedisServer } from '../support/redis/server.js';
import { withActors } from './child.js';
import { versionOf } from './contenders.js';
import { type DenyLoad, type DenyOpening, type DenyRound, denyContenders } from './deny-tasks.js';
import type { Size } from './size.js';
import { type Cell, median, ratio, round, type Table } from './table.js';

export async function deny({ isolated, deny: { keys, remembered, asked, rounds } }: Size): Promise<Table> {
  await using server = await RedisServer.start();
  const failures: string[] = [];
  const results = new Map<string, DenyRound[]>();
  const kinds = ['refused', 'granted'] as const;
  await withActors({ isolated, module: './deny-tasks.ts' }, async (start) => {
    const actors = denyContenders.map((contender) => ({ ...contender, actor: start() }));
    const failed = new Set<string>();
    const ask = async <T>({ name, actor }: (typeof actors)[number], task: string, input: unknown) => {
      if (failed.has(name)) return undefined;
      try {
        return await actor.ask<T>(task, input);
      } catch (error) {
        failed.add(name);
        failures.push(`${name}: ${(error as Error).message}`);
        return undefined;
      }
    };
    for (const one of actors) {
      await ask(one, 'open', { contender: one.name, port: server.port, keys } satisfies DenyOpening);
    }
    for (const kind of kinds) {
      // The first round warms up.
      for (let i = 0; i <= rounds; i++) {
        for (const one of actors) {
          const decisions = kind === 'refused' && one.remembers ? remembered : asked;
          const result = await ask<DenyRound>(one, 'run', { kind, decisions } satisfies DenyLoad);
          if (result === undefined || i === 0) continue;
          const row = `${one.name}, ${kind}`;
          results.set(row, [...(results.get(row) ?? []), result]);
        }
      }
    }
  });

  const of = (name: string, value: keyof DenyRound) => {
    const found = results.get(name);
    return found === undefined ? Number.NaN : median(found.map((one) => one[value]));
  };
  const rows = kinds.flatMap((kind) => {
    const peer = denyContenders.find(({ from, remembers }) => from === 'rate-limiter-flexible' && remembers)!;
    return denyContenders
      .filter(({ from }) => kind === 'refused' || from !== 'floor')
      .map(({ name }): Cell[] => {
        const row = `${name}, ${kind}`;
        const perSecond = of(row, 'perSecond');
        return [
          row,
          round(perSecond),
          ratio(perSecond, of(`${peer.name}, ${kind}`, 'perSecond')),
          round(of(row, 'client')),
        ];
      });
  });
  return {
    part: 'deny',
    title: 'Refusals remembered',
    note:
      'Decisions per second, their ratio to rate-limiter-flexible with inMemoryBlockOnConsumed, and microseconds of processor ' +
      `time of the client per decision; of ${keys.toLocaleString('en-US')} keys that are refused everything, and of as many that are ` +
      `granted everything, drawn evenly at random, 32 at a time. Medians of ${rounds} rounds, interleaved, of ` +
      `${remembered.toLocaleString('en-US')} decisions where refusals are remembered and ${asked.toLocaleString('en-US')} where Redis is ` +
      `asked; one process and one client of ioredis ${versionOf('ioredis')} per contender, and one redis-server beside them on ` +
      'this machine. The Map knows of no limit, and is what JavaScript needs at the least.',
    columns: ['', 'per second', 'to peer', 'client µs'],
    rows,
    failures,
  };
}
