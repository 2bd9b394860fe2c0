// How many decisions per second does the service make over HTTP, how long do they take, and what does a bare route take?
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RedisServer } from '../support/redis/server.js';
import { type Actor, withActors } from './child.js';
import type { Timing } from './service-load.js';
import { type Endpoint, endpoints, perBatch } from './service-requests.js';
import type { Round } from './service-tasks.js';
import type { Size } from './size.js';
import { type Cell, median, ratio, round, type Table } from './table.js';

/** The servers that are compared: a Fastify route with nothing behind it, and the service with its two storages. */
const kinds = ['empty route', 'embedded', 'Redis'] as const;
type Kind = (typeof kinds)[number];

const batch: Endpoint = 'POST /ratelimit/check/batch';

interface Result extends Timing {
  /** Microseconds of processor time of the server per request. */
  readonly cost: number;
}

export async function service({ isolated, service: size }: Size): Promise<Table> {
  const { requests, connections, rounds } = size;
  await using redis = await RedisServer.start();
  const dataDir = await mkdtemp(join(tmpdir(), 'sluice-bench-'));
  try {
    const contenders = await withActors({ isolated, module: './service-tasks.ts' }, async (start) => {
      const client = start();
      const servers = kinds.map((kind) => new Server(kind, start(), client, size));
      for (const server of servers) await server.start({ redis: redis.url, dataDir });
      const all = connections.flatMap((count) =>
        endpoints
          // A batch is work enough for a connection alone.
          .filter((endpoint) => endpoint !== batch || count === connections[0])
          .flatMap((endpoint) =>
            servers
              .filter(({ kind }) => endpoint !== batch || kind !== 'empty route')
              .map((server) => new Contender(server, endpoint, count)),
          ),
      );
      for (const contender of all) await contender.run();
      for (const contender of all) contender.results.length = 0;
      for (let i = 0; i < rounds; i++) for (const contender of all) await contender.run();
      return all;
    });
    return {
      part: 'service',
      title: 'Decisions over HTTP',
      note:
        'Requests per second, or decisions of batches of 1,000, and the ratio to a Fastify route that answers the same ' +
        'request with a constant of the same size; half, 99 % and 99.9 % of the requests are answered within so many ' +
        'microseconds; microseconds of processor time of the server per request or decision, and the ratio of that. ' +
        'Kept connections with one request under way in each; everything is granted, by four rules and the default limits, ' +
        `to ${size.users.toLocaleString('en-US')} users. Medians of ${rounds} rounds of ${requests.toLocaleString('en-US')} ` +
        `requests or ${size.batches} batches, interleaved; each server, the client and redis-server have a process of their own ` +
        'on this machine.',
      columns: ['', 'per second', 'to empty', 'p50 µs', 'p99 µs', 'p99.9 µs', 'server µs', 'to empty'],
      rows: contenders.map((contender) => rowOf(contender, contenders)),
      failures: [...new Set(contenders.map(({ server }) => server))].flatMap(({ kind, failure }) =>
        failure === undefined ? [] : [`${kind}: ${failure}`],
      ),
    };
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
}

function rowOf(contender: Contender, all: readonly Contender[]): Cell[] {
  const { server, endpoint, connections } = contender;
  const name = `${endpoint}, ${connections} at a time, ${server.kind}`;
  const bare = all.find((one) => {
    return one.server.kind === 'empty route' && one.endpoint === endpoint && one.connections === connections;
  });
  const of = (value: keyof Result) => {
    const found = contender.median(value);
    return found === undefined ? undefined : round(found);
  };
  const toBare = (value: keyof Result) => {
    const reference = bare === contender ? undefined : bare?.median(value);
    return ratio(contender.median(value) ?? Number.NaN, reference ?? Number.NaN);
  };
  const rate = [of('perSecond'), toBare('perSecond')];
  return [name, ...rate, of('p50'), of('p99'), of('p999'), of('cost'), toBare('cost')];
}

/** A Contender is one endpoint of a server under one load. */
class Contender {
  readonly server: Server;
  readonly endpoint: Endpoint;
  readonly connections: number;
  readonly results: Result[] = [];

  constructor(server: Server, endpoint: Endpoint, connections: number) {
    this.server = server;
    this.endpoint = endpoint;
    this.connections = connections;
  }

  async run(): Promise<void> {
    const result = await this.server.run(this.endpoint, this.connections);
    if (result !== undefined) this.results.push(result);
  }

  median(value: keyof Result): number | undefined {
    if (this.server.failure !== undefined) return undefined;
    return median(this.results.map((one) => one[value]));
  }
}

/** A Server has a process of its own; one that has failed is not asked again. */
class Server {
  readonly kind: Kind;
  failure: string | undefined;
  readonly #actor: Actor;
  readonly #client: Actor;
  readonly #size: Size['service'];
  #port = 0;

  constructor(kind: Kind, actor: Actor, client: Actor, size: Size['service']) {
    this.kind = kind;
    this.#actor = actor;
    this.#client = client;
    this.#size = size;
  }

  async start({ redis, dataDir }: { readonly redis: string; readonly dataDir: string }): Promise<void> {
    await this.#try(async () => {
      if (this.kind === 'empty route') this.#port = await this.#actor.ask('startEmpty');
      else if (this.kind === 'embedded')
        this.#port = await this.#actor.ask('startService', { kind: 'embedded', dataDir });
      else {
        // A longer deadline costs the same, and a machine under load is then not taken for a slow Redis.
        const storage = { kind: 'redis', urls: [redis], instances: 1, prefix: 'ratelimit', deadline: '2s' };
        this.#port = await this.#actor.ask('startService', storage);
      }
    });
  }

  async run(endpoint: Endpoint, connections: number): Promise<Result | undefined> {
    const { requests, batches, users } = this.#size;
    const isBatch = endpoint === batch;
    const each = isBatch ? perBatch : 1;
    const count = isBatch ? batches : requests;
    return this.#try(async () => {
      const before = await this.#actor.ask<number>('usage');
      const job: Round = { endpoint, users, connections, port: this.#port, requests: count };
      const timing = await this.#client.ask<Timing>('run', job);
      const after = await this.#actor.ask<number>('usage');
      if (timing.fallback > 0.01) throw new Error(`answered ${timing.fallback} of ${endpoint} without Redis`);
      return { ...timing, perSecond: timing.perSecond * each, cost: (after - before) / count / each };
    });
  }

  async #try<T>(act: () => Promise<T>): Promise<T | undefined> {
    if (this.failure !== undefined) return undefined;
    try {
      return await act();
    } catch (error) {
      this.failure = (error as Error).message;
      return undefined;
    }
  }
}
