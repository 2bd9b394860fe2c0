// How many decisions per second does each algorithm make in memory, at one key, at ten thousand and at a million?
import { type Actor, withActors } from './child.js';
import { type Contender, contenders } from './contenders.js';
import type { Round } from './decisions-tasks.js';
import type { Draw } from './keys.js';
import type { Size } from './size.js';
import { median, ratio, round, type Table } from './table.js';

export async function decisions(size: Size): Promise<Table> {
  const { draws, perRound } = size.decisions;
  const options = { isolated: size.isolated, module: './decisions-tasks.ts' };
  const runners = await withActors(options, async (start) => {
    const all = contenders.map((contender) => new Runner(contender, start()));
    for (const draw of draws) {
      for (const runner of all) await runner.prepare(draw);
      for (const runner of all) await runner.warmUp(perRound);
      for (let i = 0; i < size.rounds; i++) for (const runner of all) await runner.run(perRound);
    }
    return all;
  });

  const best = draws.map((draw) =>
    Math.max(...runners.filter(({ isPeer }) => isPeer).map((runner) => runner.perSecond(draw) ?? 0)),
  );
  return {
    part: 'decisions',
    title: 'Decisions per second',
    note:
      'In memory, thousands of decisions per second of processor time, and the ratio to the fastest peer. Half of the ' +
      'decisions are grants, half refusals; keys are drawn by Zipf’s law or evenly, and each decision is asked for with a ' +
      'text of its own, as requests do. A floor is a Map and a typed array, with the same decision object and nothing ' +
      `else. Medians of ${size.rounds} rounds of ${perRound.toLocaleString('en-US')}, interleaved, one process per row.`,
    columns: ['', ...draws.flatMap((draw) => [headingOf(draw), 'ratio'])],
    rows: runners.map((runner) => [
      runner.name,
      ...draws.flatMap((draw, i) => {
        const perSecond = runner.perSecond(draw);
        return perSecond === undefined
          ? [undefined, undefined]
          : [round(perSecond / 1_000), ratio(perSecond, best[i]!)];
      }),
    ]),
    failures: runners.flatMap(({ name, failure }) => (failure === undefined ? [] : [`${name}: ${failure}`])),
  };
}

function headingOf({ keys, zipf }: Draw): string {
  return `${keys.toLocaleString('en-US')} ${keys === 1 ? 'key' : 'keys'}${zipf ? ', Zipf' : ''}`;
}

/** A Runner asks one contender for its rounds; one that has failed is not asked again. */
class Runner {
  readonly name: string;
  readonly isPeer: boolean;
  failure: string | undefined;
  readonly #actor: Actor;
  readonly #results = new Map<Draw, number[]>();
  #draw: Draw | undefined;

  constructor({ name, from }: Contender, actor: Actor) {
    this.#actor = actor;
    this.name = name;
    this.isPeer = from !== 'sluice' && from !== 'floor';
  }

  async prepare(draw: Draw): Promise<void> {
    this.#draw = draw;
    await this.#ask('prepare', { contender: this.name, draw });
  }

  async warmUp(decisions: number): Promise<void> {
    await this.#ask('run', decisions);
  }

  async run(decisions: number): Promise<void> {
    const result = await this.#ask<Round>('run', decisions);
    if (result === undefined) return;
    if (Math.abs(result.granted - 0.5) > 0.01) this.failure = `granted ${result.granted} of its decisions, not half`;
    this.#results.set(this.#draw!, [...(this.#results.get(this.#draw!) ?? []), result.perSecond]);
  }

  perSecond(draw: Draw): number | undefined {
    const results = this.#results.get(draw);
    return results === undefined || this.failure !== undefined ? undefined : median(results);
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
