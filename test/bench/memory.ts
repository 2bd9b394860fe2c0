// How many bytes does an active key take, with each algorithm and with each peer?
import { withActors } from './child.js';
import { ours, peers } from './contenders.js';
import type { Size } from './size.js';
import { type Cell, ratio, type Table } from './table.js';

export async function memory({ isolated, memory: { keys } }: Size): Promise<Table> {
  const results: { name: string; isPeer: boolean; bytes: number | undefined }[] = [];
  const failures: string[] = [];
  await withActors({ isolated, module: './memory-tasks.ts' }, async (start) => {
    for (const { name, from } of [...ours, ...peers]) {
      const actor = start();
      let bytes: number | undefined;
      try {
        bytes = await actor.ask<number>('fill', { contender: name, keys });
      } catch (error) {
        failures.push(`${name}: ${(error as Error).message}`);
      }
      results.push({ name, isPeer: from !== 'sluice', bytes });
      await actor.leave();
    }
  });
  const least = Math.min(
    ...results.filter(({ isPeer }) => isPeer).map(({ bytes }) => bytes ?? Number.POSITIVE_INFINITY),
  );
  return {
    part: 'memory',
    title: 'Bytes per active key',
    note:
      `Heap and buffers after a garbage collection, at ${keys.toLocaleString('en-US')} keys with one grant each, beyond those ` +
      'of an empty limiter, and the ratio to the leanest peer. What a peer keeps of the key text is in it.',
    columns: ['', 'bytes', 'ratio'],
    rows: results.map(({ name, bytes }): Cell[] =>
      bytes === undefined ? [name, undefined, undefined] : [name, Math.round(bytes), ratio(bytes, least)],
    ),
    failures,
  };
}
