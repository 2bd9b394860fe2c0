// How many microseconds of processor time does a limiter add to a request, in each framework?
import { type Actor, withActors } from './child.js';
import { load } from './load.js';
import { type Framework, frameworks, peerOf, type Variant, variants } from './servers.js';
import type { Size } from './size.js';
import { type Cell, median, ratio, round, type Table } from './table.js';

/** Processes of the same program differ by more than their rounds do: each contender has several, one after another. */
const generations = 3;

/** Requests after which a server of Express has been compiled as far as it ever will be. */
const warmUp = 15_000;

export async function http({ isolated, http: { requests, rounds } }: Size): Promise<Table> {
  const rows: Cell[][] = [];
  const failures: string[] = [];
  for (const framework of frameworks) {
    const costs = new Map<Variant, number[]>(variants.map((variant) => [variant, []]));
    for (let generation = 0; generation < (isolated ? generations : 1); generation++) {
      await withActors({ isolated, module: './http-tasks.ts' }, async (start) => {
        const servers = variants.map((variant) => new Server(framework, variant, start()));
        for (const server of servers) await server.start();
        for (const server of servers) await server.run(isolated ? Math.max(3 * requests, warmUp) : requests);
        for (let i = 0; i < rounds; i++) {
          for (const server of servers) costs.get(server.variant)!.push(await server.run(requests));
        }
        for (const { name, failure } of servers) if (failure !== undefined) failures.push(`${name}: ${failure}`);
      });
    }
    const added = (variant: Variant) => median(costs.get(variant)!.map((cost, i) => cost - costs.get('bare')![i]!));
    for (const variant of variants) {
      const cost = median(costs.get(variant)!);
      const name = titles[variant](framework);
      if (costs.get(variant)!.some(Number.isNaN)) rows.push([name, undefined, undefined, undefined]);
      else if (variant === 'bare') rows.push([name, round(cost), undefined, undefined]);
      else rows.push([name, round(cost), round(added(variant)), ratio(added(variant), added('peer'))]);
    }
  }
  return {
    part: 'http',
    title: 'Added time per request',
    note:
      'Microseconds of processor time of a server on this machine per request, what of it is added to the bare framework, ' +
      'and the ratio to what the peer adds. Every request is granted and carries three X-RateLimit headers; with rules, ' +
      'tiers, lists and penalties it is charged for two limits, looked up in three places, and told of both in draft-11. Medians of ' +
      `${rounds} rounds of ${requests.toLocaleString('en-US')} requests in each of ${generations} processes per row, interleaved.`,
    columns: ['', 'µs per request', 'added µs', 'ratio'],
    rows,
    failures,
  };
}

const titles: Readonly<Record<Variant, (framework: Framework) => string>> = {
  bare: (framework) => `${framework}, bare`,
  headers: (framework) => `${framework}, three headers by hand`,
  sluice: (framework) => `${framework}, @sluice/${framework}`,
  full: (framework) => `${framework}, @sluice/${framework} with rules, tiers, lists and penalties`,
  peer: (framework) => `${framework}, ${peerOf[framework]}`,
};

/** A Server answers rounds of requests in a process of its own; one that has failed is not asked again. */
class Server {
  readonly name: string;
  readonly variant: Variant;
  failure: string | undefined;
  readonly #framework: Framework;
  readonly #actor: Actor;
  #port = 0;

  constructor(framework: Framework, variant: Variant, actor: Actor) {
    this.#actor = actor;
    this.name = titles[variant](framework);
    this.#framework = framework;
    this.variant = variant;
  }

  async start(): Promise<void> {
    await this.#try(async () => {
      this.#port = await this.#actor.ask('start', { framework: this.#framework, variant: this.variant });
    });
  }

  /** Microseconds per request; not a number once the server has failed. */
  async run(requests: number): Promise<number> {
    let cost = Number.NaN;
    await this.#try(async () => {
      const before = await this.#actor.ask<number>('usage');
      await load(this.#port, requests);
      const after = await this.#actor.ask<number>('usage');
      cost = (after - before) / requests;
    });
    return cost;
  }

  async #try(act: () => Promise<void>): Promise<void> {
    if (this.failure !== undefined) return;
    try {
      await act();
    } catch (error) {
      this.failure = (error as Error).message;
    }
  }
}
