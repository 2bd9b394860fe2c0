// How many microseconds of processor time does a limiter add to a request, in each framework?
import { type Actor, withActors } from './child.js';
import { load } from './load.js';
import { type Framework, frameworks, peerOf, type Variant, variants } from './servers.js';
import type { Size } from './size.js';
import { type Cell, median, ratio, round, type Table } from './table.js';

export async function http({ isolated, http: { requests, rounds } }: Size): Promise<Table> {
  const rows: Cell[][] = [];
  const failures: string[] = [];
  for (const framework of frameworks) {
    const servers = await withActors({ isolated, module: './http-tasks.ts' }, async (start) => {
      const all = variants.map((variant) => new Server(framework, variant, start()));
      for (const server of all) await server.start();
      for (const server of all) await server.run(2 * requests, false);
      for (let i = 0; i < rounds; i++) for (const server of all) await server.run(requests, true);
      return all;
    });
    const bare = servers.find(({ variant }) => variant === 'bare')!;
    const peer = servers.find(({ variant }) => variant === 'peer')!.addedTo(bare);
    for (const server of servers) {
      const { name, cost, failure } = server;
      if (failure !== undefined) failures.push(`${name}: ${failure}`);
      const added = server === bare ? undefined : server.addedTo(bare);
      const compared = added === undefined || peer === undefined ? undefined : ratio(added, peer);
      rows.push([name, cost && round(cost), added && round(added), compared]);
    }
  }
  return {
    part: 'http',
    title: 'Added time per request',
    note:
      'Microseconds of processor time of a server on this machine per request, what of it is added to the bare framework, ' +
      `and the ratio to what the peer adds. Every request is granted and carries three X-RateLimit headers. Medians of ${rounds} rounds of ` +
      `${requests.toLocaleString('en-US')} requests, interleaved, one process per row.`,
    columns: ['', 'µs per request', 'added µs', 'ratio'],
    rows,
    failures,
  };
}

const titles: Readonly<Record<Variant, (framework: Framework) => string>> = {
  bare: (framework) => `${framework}, bare`,
  headers: (framework) => `${framework}, three headers by hand`,
  sluice: (framework) => `${framework}, @sluice/${framework}`,
  peer: (framework) => `${framework}, ${peerOf[framework]}`,
};

/** A Server answers rounds of requests in a process of its own; one that has failed is not asked again. */
class Server {
  readonly name: string;
  readonly variant: Variant;
  failure: string | undefined;
  readonly #framework: Framework;
  readonly #actor: Actor;
  readonly #costs: number[] = [];
  #port = 0;

  constructor(framework: Framework, variant: Variant, actor: Actor) {
    this.#actor = actor;
    this.name = titles[variant](framework);
    this.#framework = framework;
    this.variant = variant;
  }

  /** Microseconds per request. */
  get cost(): number | undefined {
    return this.failure === undefined ? median(this.#costs) : undefined;
  }

  /** Microseconds that it takes more than another server does; the median of rounds that ran side by side. */
  addedTo(other: Server): number | undefined {
    if (this.failure !== undefined || other.failure !== undefined) return undefined;
    return median(this.#costs.map((cost, i) => cost - other.#costs[i]!));
  }

  async start(): Promise<void> {
    await this.#try(async () => {
      this.#port = await this.#actor.ask('start', { framework: this.#framework, variant: this.variant });
    });
  }

  async run(requests: number, counts: boolean): Promise<void> {
    await this.#try(async () => {
      const before = await this.#actor.ask<number>('usage');
      await load(this.#port, requests);
      const after = await this.#actor.ask<number>('usage');
      if (counts) this.#costs.push((after - before) / requests);
    });
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
