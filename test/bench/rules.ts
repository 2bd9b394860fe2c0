// Does it take longer to find the rule of a request among ten thousand than among ten?
import { withActors } from './child.js';
import { type Kind, kinds, type Search } from './rules-tasks.js';
import type { Size } from './size.js';
import { type Cell, median, ratio, round, type Table } from './table.js';

export async function rules({ isolated, rounds, rules: { few, many, requests } }: Size): Promise<Table> {
  const costs = new Map<string, number[]>();
  const failures: string[] = [];
  await withActors({ isolated, module: './rules-tasks.ts' }, async (start) => {
    const actor = start();
    const search = (kind: Kind, rules: number, among: number) => {
      // What is spelled otherwise takes many times as long.
      const times = kind === 'hostile' ? requests / 20 : requests;
      return actor.ask<number>('run', { kind, rules, among, requests: times } satisfies Search);
    };
    try {
      await actor.ask('prepare', [0, few, many]);
      for (let i = -1; i < rounds; i++) {
        for (const kind of kinds) {
          for (const [rules, among] of [
            [few, few],
            [many, few],
            [many, many],
          ] as const) {
            const cost = await search(kind, rules, Math.floor(among / 3));
            // A limiter without rules decides in the same way that nobody is limited.
            const rest = kind === 'map' ? 0 : await search(kind, 0, Math.floor(among / 3));
            const key = `${kind} ${rules} ${among}`;
            // The first round is for the compiler.
            if (i >= 0) costs.set(key, [...(costs.get(key) ?? []), cost - rest]);
          }
        }
      }
    } catch (error) {
      failures.push((error as Error).message);
    }
  });
  const cost = (kind: Kind, rules: number, among: number) =>
    median(costs.get(`${kind} ${rules} ${among}`) ?? [Number.NaN]);
  const count = (rules: number) => `${rules.toLocaleString('en-US')} rules`;
  return {
    part: 'rules',
    title: 'Time to find a rule',
    note:
      'Nanoseconds of processor time per request, beyond those of the same limiter without rules, and the ratio to those ' +
      `among ${few} rules. A third of the rules each is a static path, has a parameter, or ends in a wildcard. The same requests ` +
      'for three rules of a kind, and then requests spread evenly over all of a kind, which no cache of a processor holds. ' +
      `Medians of ${rounds} rounds of ${requests.toLocaleString('en-US')} requests, interleaved.`,
    columns: ['', count(few), count(many), 'ratio', `all of ${count(many)}`, 'ratio'],
    rows: kinds.map((kind): Cell[] => {
      const base = cost(kind, few, few);
      const same = cost(kind, many, few);
      const spread = cost(kind, many, many);
      if (Number.isNaN(spread)) return [titles[kind], undefined, undefined, undefined, undefined, undefined];
      return [titles[kind], round(base), round(same), ratio(same, base), round(spread), ratio(spread, base)];
    }),
    failures,
  };
}

const titles: Readonly<Record<Kind, string>> = {
  map: 'a Map of paths',
  static: 'static path',
  param: 'path with a parameter',
  wildcard: 'path below a wildcard',
  unmatched: 'path that no rule matches',
  hostile: 'path in a hostile spelling',
};
