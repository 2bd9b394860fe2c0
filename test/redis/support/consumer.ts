import { once } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import { createLimiter, type Policy } from '@sluice/core';
import { RedisStore } from '@sluice/redis';
import { Cluster, Redis } from 'ioredis';

/** What each process of a fleet asks for. */
export interface Load {
  readonly key: string;
  readonly policies: readonly Policy[];
  readonly requests: number;
  /** What the requests cost, in turn. */
  readonly costs: readonly number[];
}

/** What the process was told. */
export interface Tally {
  /** Units. */
  readonly granted: number;
  /** What was left after each grant. */
  readonly left: readonly number[];
  /** The policies that refused. */
  readonly refusedBy: readonly string[];
  readonly sources: readonly string[];
}

const nodes = process.argv.slice(2).map((port) => ({ host: '127.0.0.1', port: Number(port) }));
// Options that give a silent server up have no place here: it is held until all requests are on their way.
const redis = nodes.length === 1 ? new Redis(nodes[0]!) : new Cluster(nodes);
const store = new RedisStore(redis, { onError: 'throw', deadline: '30s', logger: { warn() {} } });

async function consume({ key, policies, requests, costs }: Load): Promise<void> {
  const limiter = createLimiter({ policies, store });
  // Takes nothing, but has the client of a cluster connect to the server, and the server know the script. Otherwise the
  // first request would have to be sent again, and a process that is slow to do so would come when all is granted.
  await limiter.consume(key, 0);
  process.send?.('prepared');
  await once(process, 'message');

  const cost = (request: number) => costs[request % costs.length]!;
  const answers = Array.from({ length: requests }, (_, request) => limiter.consume(key, cost(request)));
  await setImmediate();
  process.send?.('sent');

  const decisions = await Promise.all(answers);
  const tally: Tally = {
    granted: decisions.reduce((sum, { allowed }, request) => sum + (allowed ? cost(request) : 0), 0),
    left: decisions.filter(({ allowed }) => allowed).map(({ remaining }) => remaining),
    refusedBy: [...new Set(decisions.filter(({ allowed }) => !allowed).map(({ policy }) => policy))],
    sources: [...new Set(decisions.map(({ source }) => source))],
  };
  await limiter.close();
  process.send?.(tally);
}

process.on('disconnect', () => process.exit());
await once(redis, 'ready');
process.send?.('ready');
for (;;) {
  const [load] = (await once(process, 'message')) as [Load];
  await consume(load);
}
