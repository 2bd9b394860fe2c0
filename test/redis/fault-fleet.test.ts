import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RedisServer } from '../support/redis/server.js';
import { type Ask, FaultLoad, now, type Phase } from './support/fault-load.js';
import { excess, isBounded, phaseOf } from './support/fault-trial.js';

let server: RedisServer;
let loads: readonly FaultLoad[] = [];

beforeAll(async () => {
  server = await RedisServer.start();
  const start = () => FaultLoad.start({ client: 'recommended', ports: [server.port], instances: 2 });
  loads = await Promise.all([start(), start()]);
});
afterAll(async () => {
  await Promise.all(loads.map((load) => load.end()));
  await server?.stop();
});

/**
 * What the least informed of the processes did not know when Redis failed: the units of a key that Redis had granted to
 * the others since it last told him of the key.
 */
function unknown({ hot }: Phase, failed: number): number {
  const told = loads.map(({ asks }) =>
    asks.filter(({ key, source, at }) => key === hot && source === 'store' && at < failed),
  );
  const instants = told.flatMap((asks, of) =>
    asks.filter(({ allowed }) => allowed).map(({ decidedAt }) => ({ of, decidedAt })),
  );
  return Math.max(
    ...told.map((asks, self) => {
      const last = Math.max(...asks.map(({ decidedAt }) => decidedAt));
      return instants.filter(({ of, decidedAt }) => of !== self && decidedAt > last).length;
    }),
  );
}

describe('two processes that share a limit', () => {
  it('grant it once, and what the one had not yet heard of the other, when Redis dies with its data and comes back', async () => {
    const phase = phaseOf({ name: 'shared', algorithm: 'token-bucket' }, 'fleet');
    const isHot = ({ key }: Ask) => key === phase.hot;
    for (const load of loads) load.begin(phase);
    for (const load of loads) await load.sees('a grant', (ask) => isHot(ask) && ask.source === 'store' && ask.allowed);
    const failed = now();
    await server.kill();
    for (const load of loads) {
      await load.sees('a grant of its share', ({ source, allowed }) => source === 'fallback' && allowed);
      await load.sees('a refusal beyond its share', (ask) => isHot(ask) && ask.source === 'fallback' && !ask.allowed);
    }
    // Each grants half of what is left, so that together they grant all of it, and not more.
    const shares = loads.map(({ asks }) =>
      asks.filter((ask) => isHot(ask) && ask.source === 'fallback' && ask.allowed),
    );
    const before = loads.flatMap(({ asks }) =>
      asks.filter((ask) => isHot(ask) && ask.source === 'store' && ask.allowed),
    );
    for (const share of shares) {
      expect(share.length).toBeLessThanOrEqual((phase.hotLimit - before.length + unknown(phase, failed)) / 2);
    }
    await server.restart();
    const back = now();
    for (const load of loads) {
      const first = await load.sees('a decision of Redis', ({ at, source }) => at > back && source === 'store');
      expect(first.at + first.took - back).toBeLessThanOrEqual(2_000);
      await load.sees(
        'a refusal of Redis',
        (ask) => isHot(ask) && ask.at > back && ask.source === 'store' && !ask.allowed,
      );
      isBounded(load);
    }
    expect(excess(loads, { ...phase, keys: [] }, unknown(phase, failed))).toEqual([]);
  });
});
