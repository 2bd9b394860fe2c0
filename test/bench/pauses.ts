// How long is the longest pause of the event loop while a million keys expire?
import { withActors } from './child.js';
import { ours, peers } from './contenders.js';
import type { Watched } from './pauses-tasks.js';
import type { Size } from './size.js';
import { type Cell, ratio, round, type Table } from './table.js';

/** Of ours, those that differ in how they expire: the buckets do as the counter does, and each key in its own time. */
const differing = ['sluice fixed-window', 'sluice sliding-window-log', 'sluice sliding-window-counter'];
const nothing = '(an idle process)';

export async function pauses({ isolated, pauses: { keys, windowMs } }: Size): Promise<Table> {
  const names = [
    ...ours.map(({ name }) => name).filter((name) => differing.includes(name)),
    ...peers.map(({ name }) => name),
  ];
  const results: { name: string; watched: Watched | undefined }[] = [];
  const failures: string[] = [];
  await withActors({ isolated, module: './pauses-tasks.ts' }, async (start) => {
    for (const name of [nothing, ...names]) {
      const actor = start();
      let watched: Watched | undefined;
      try {
        const contender = name === nothing ? undefined : name;
        watched = await actor.ask<Watched>('expire', { contender, keys, windowMs });
      } catch (error) {
        failures.push(`${name}: ${(error as Error).message}`);
      }
      results.push({ name, watched });
      await actor.leave();
    }
  });
  const freeing = results.filter(
    ({ name, watched }) => watched?.left === 0 && peers.some((peer) => peer.name === name),
  );
  const shortest = Math.min(...freeing.map(({ watched }) => watched!.busiestMs));
  return {
    part: 'pauses',
    title: 'Longest pause while keys expire',
    note:
      `Milliseconds from one turn of the event loop to the next, at most, while ${keys.toLocaleString('en-US')} keys with a window of ` +
      `${windowMs.toLocaleString('en-US')} ms expire, and the most processor time of the main thread in one turn, with its ratio to the least of the ` +
      'peers that let keys go. Keys that are left go only when they are asked for again, or when newer ones push them out.',
    columns: ['', 'pause (ms)', 'processor (ms)', 'ratio', 'keys at first', 'keys left'],
    rows: results.map(({ name, watched }): Cell[] => {
      if (watched === undefined) return [name, undefined, undefined, undefined, undefined, undefined];
      const { longestMs, busiestMs, held, left } = watched;
      const compared = name === nothing ? undefined : ratio(busiestMs, shortest);
      return [name, round(longestMs), round(busiestMs), compared, held, left];
    }),
    failures,
  };
}
